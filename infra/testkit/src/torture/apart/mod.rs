//! The same torture of a platform with a process a role: in each round one process, or one of the
//! servers that they stand on, is killed, or ended in order, and started again; and it is measured how
//! long a client of one gateway hears nothing from a client of another who says something all the time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cursus_client::{Client, Config, Event};
use parking_lot::Mutex;
use schemas::frames::{EntryEvent, WireBody};
use schemas::ids::{ChatId, DeviceId, UserId};
use tokio::sync::watch;

use super::crowd::Crowd;
use super::{Cast, Outcome, SETTLE_WITHIN, millis, outcome};
use crate::checker;
use crate::cluster::Cluster;
use crate::process::Entrance;

/// How long messages may take to flow again, on a busy machine.
const FLOW_WITHIN: Duration = Duration::from_secs(60);
/// How often the probe says something.
const SAY_EVERY: Duration = Duration::from_millis(10);
/// How long tables may lag on a busy machine.
const LAG: Duration = Duration::from_secs(60);

/// Kills something that is no process of the platform, and starts it again.
pub type Server = (
    &'static str,
    Box<dyn Fn(bool) -> anyhow::Result<()> + Send + Sync>,
);

/// What is to be run.
pub struct Plan {
    /// How often something is killed.
    pub rounds: u32,
    /// Where chance comes from.
    pub seed: u64,
    /// Everything lives so long, at least and at most, between two rounds.
    pub life: (Duration, Duration),
    /// Servers that are killed too: called with `true` to kill, with `false` to start again.
    pub servers: Vec<Server>,
}

/// One kill, or orderly end.
#[derive(Debug, Clone)]
pub struct Round {
    /// Which, from 1.
    pub number: u32,
    /// Who was hit.
    pub victim: String,
    /// It was ended with SIGTERM, not with SIGKILL.
    pub in_order: bool,
    /// How long it took to end it and to start it again, until it served.
    pub back_after: Duration,
    /// The longest time without a message since then.
    pub silence: Duration,
}

/// Who is hit, and how: everything is killed once, every process is ended in order once, and then
/// chance decides.
fn targets(cluster: &Cluster, plan: &Plan, chance: &mut fastrand::Rng) -> Vec<(String, bool)> {
    let names = cluster.names();
    let servers = plan.servers.iter().map(|(name, _)| (*name).to_owned());
    let killed = names.iter().cloned().chain(servers);
    let mut all: Vec<(String, bool)> = killed.map(|name| (name, false)).collect();
    all.extend(names.into_iter().map(|name| (name, true)));
    let rounds = usize::try_from(plan.rounds).unwrap_or(usize::MAX);
    let (each, mut left) = (all.clone(), rounds.saturating_sub(all.len()));
    while left > 0 {
        all.extend(chance.choice(&each).cloned());
        left -= 1;
    }
    all.truncate(rounds);
    all
}

/// Runs a plan on a platform that runs.
///
/// # Errors
/// When something does not come back, or what was begun does not settle.
pub async fn run(
    cluster: Arc<Mutex<Cluster>>,
    plan: &Plan,
    mut progress: impl FnMut(&Round),
) -> anyhow::Result<Outcome> {
    let mut chance = fastrand::Rng::with_seed(plan.seed);
    let entrance = cluster.lock().entrance();
    let probe = Probe::start(&entrance)?;
    probe.flows().await.context("before the first round")?;
    let cast = Cast::new();
    let crowd = Crowd::gather(&cast, &entrance, &mut chance).await?;
    let targets = targets(&cluster.lock(), plan, &mut chance);
    let mut longest = Duration::ZERO;
    for (number, (victim, in_order)) in (1..).zip(targets) {
        let life = chance.u64(millis(plan.life.0)..=millis(plan.life.1));
        tokio::time::sleep(Duration::from_millis(life)).await;
        probe.begin();
        let begun = Instant::now();
        strike(&cluster, plan, &victim, in_order)?;
        let back_after = begun.elapsed();
        let silence = probe.flows().await;
        let round = Round {
            number,
            silence: silence.with_context(|| format!("after {victim} was hit"))?,
            victim,
            in_order,
            back_after,
        };
        longest = longest.max(round.silence);
        progress(&round);
    }
    let history = crowd.settle(&entrance, SETTLE_WITHIN, LAG).await?;
    let violations = checker::check(&history);
    Ok(outcome(plan.rounds, longest, &history, violations))
}

/// Ends a process or a server, and starts it again.
fn strike(
    cluster: &Mutex<Cluster>,
    plan: &Plan,
    victim: &str,
    in_order: bool,
) -> anyhow::Result<()> {
    tokio::task::block_in_place(|| {
        if let Some((_, server)) = plan.servers.iter().find(|(name, _)| *name == victim) {
            server(true)?;
            return server(false);
        }
        let mut cluster = cluster.lock();
        match in_order {
            true => drop(cluster.end(victim)?),
            false => cluster.kill(victim)?,
        }
        cluster.start(victim)
    })
}

/// What a listener has heard.
#[derive(Clone, Copy)]
struct Heard {
    /// When what was heard last was said.
    said: Option<Instant>,
    /// When it was heard.
    at: Instant,
    /// The longest time between two messages, since it was asked to measure.
    silence: Duration,
}

/// Somebody at one gateway who says something all the time to somebody at another.
pub struct Probe {
    heard: Arc<watch::Sender<Heard>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Probe {
    /// Connects both to the first and the last gateway.
    ///
    /// # Errors
    /// When there is no gateway, or no token.
    pub fn start(entrance: &Entrance) -> anyhow::Result<Self> {
        let last = entrance.addresses.len().saturating_sub(1);
        let (yan, zed) = (UserId::new("yan")?, UserId::new("zed")?);
        let speaker = client(entrance, 0, &yan)?;
        let listener = client(entrance, last, &zed)?;
        let begun = Instant::now();
        let heard = Arc::new(watch::Sender::new(Heard {
            said: None,
            at: begun,
            silence: Duration::ZERO,
        }));
        let chat = ChatId::direct(&yan, &zed)?;
        let tasks = vec![
            tokio::spawn(speak(speaker, chat, begun)),
            tokio::spawn(listen(listener, begun, Arc::clone(&heard))),
        ];
        Ok(Self { heard, tasks })
    }

    /// Begins to measure silence anew.
    pub fn begin(&self) {
        self.heard
            .send_modify(|heard| heard.silence = Duration::ZERO);
    }

    /// Waits until something is heard that is said after now, and answers the longest silence since it
    /// was begun to measure.
    ///
    /// # Errors
    /// When nothing is for a minute.
    pub async fn flows(&self) -> anyhow::Result<Duration> {
        let now = Instant::now();
        let mut news = self.heard.subscribe();
        let heard = news.wait_for(|heard| heard.said.is_some_and(|said| said >= now));
        let heard = tokio::time::timeout(FLOW_WITHIN, heard).await;
        Ok(heard.context("no message flows")??.silence)
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

fn client(entrance: &Entrance, number: usize, user: &UserId) -> anyhow::Result<Client> {
    let token = entrance.token(user, &DeviceId::new("probe")?)?;
    let address = entrance.address(number)?;
    let mut config = Config::new(format!("ws://{address}"), token);
    config.session.backoff.most_ms = 100;
    config.session.resend_ms = 3_000;
    Ok(Client::connect(config))
}

/// Says what time it is, for ever.
async fn speak(client: Client, chat: ChatId, begun: Instant) {
    let takes = async { while let Some(_event) = client.next().await {} };
    let says = async {
        loop {
            let text = begun.elapsed().as_micros().to_string();
            // What cannot be taken now is said anew with a later time.
            drop(client.send(&chat, WireBody::text(text)).await);
            tokio::time::sleep(SAY_EVERY).await;
        }
    };
    tokio::join!(takes, says);
}

async fn listen(client: Client, begun: Instant, told: Arc<watch::Sender<Heard>>) {
    while let Some(event) = client.next().await {
        let Event::Entry(entry) = event else {
            continue;
        };
        if let EntryEvent::Message { body, .. } = &entry.event
            && let Some(micros) = body.text.as_deref().and_then(|text| text.parse().ok())
        {
            let (said, now) = (begun + Duration::from_micros(micros), Instant::now());
            told.send_modify(|heard| {
                heard.silence = heard.silence.max(now - heard.at);
                (heard.said, heard.at) = (Some(said), now);
            });
        }
    }
}
