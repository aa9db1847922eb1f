//! The crowd: one client for each device, each writing, reading and changing at random while its
//! node dies and comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cursus_client::{Client, Config, Group, Outcome, Pending};
use schemas::frames::WireBody;
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;

use super::audit;
use super::cast::Cast;
use super::guests::{Guest, Visits};
use crate::checker::{self, Endpoint, History};
use crate::process::NodeProcess;
use crate::recorder::Recorder;

/// Commands of one device that wait for their verdict at once.
const IN_FLIGHT: usize = 8;
/// A device rests so long between two commands, at most.
const REST: Duration = Duration::from_millis(12);

struct Member {
    client: Client,
    recorder: Arc<Recorder>,
}

/// Everybody, connected and busy.
pub(super) struct Crowd {
    members: BTreeMap<Endpoint, Member>,
    tokens: BTreeMap<UserId, String>,
    chats: Vec<ChatId>,
    stop: Arc<AtomicBool>,
    work: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
    guests: Vec<tokio::task::JoinHandle<anyhow::Result<Visits>>>,
}

impl Crowd {
    /// Connects everybody, makes the groups, and sets everybody to work.
    pub(super) async fn gather(
        cast: &Cast,
        process: &NodeProcess,
        chance: &mut fastrand::Rng,
    ) -> anyhow::Result<Self> {
        let mut crowd = Self {
            members: BTreeMap::new(),
            tokens: BTreeMap::new(),
            chats: cast.direct.clone(),
            stop: Arc::default(),
            work: Vec::new(),
            guests: Vec::new(),
        };
        for (user, device) in &cast.devices {
            let token = process.token(user, device)?;
            crowd.tokens.insert(user.clone(), token.clone());
            let recorder = Recorder::new();
            let mut config = Config::new(format!("ws://{}", process.address), token);
            config.observer = Some(recorder.clone());
            config.session.backoff.most_ms = 500;
            config.session.resend_ms = 3_000;
            let client = Client::connect(config);
            crowd
                .members
                .insert((user.clone(), device.clone()), Member { client, recorder });
        }
        crowd.listen();
        crowd.make_groups(cast).await?;
        for (endpoint, member) in &crowd.members {
            let mine = crowd
                .chats
                .iter()
                .filter(|chat| has(chat, &endpoint.0))
                .cloned()
                .collect();
            let worker = Worker {
                client: member.client.clone(),
                recorder: Arc::clone(&member.recorder),
                user: endpoint.0.clone(),
                chats: mine,
                chance: chance.fork(),
                stop: Arc::clone(&crowd.stop),
            };
            crowd.work.push(tokio::spawn(worker.run()));
        }
        crowd.invite(cast, process, chance)?;
        Ok(crowd)
    }

    /// Guests talk where they are members whatever happens: in their user's direct chats.
    fn invite(
        &mut self,
        cast: &Cast,
        process: &NodeProcess,
        chance: &mut fastrand::Rng,
    ) -> anyhow::Result<()> {
        for (user, device) in &cast.guests {
            let guest = Guest {
                url: format!("ws://{}/v1/connect", process.address),
                token: process.token(user, device)?,
                endpoint: (user.clone(), device.clone()),
                chats: cast
                    .direct
                    .iter()
                    .filter(|chat| has(chat, user))
                    .cloned()
                    .collect(),
                chance: chance.fork(),
                stop: Arc::clone(&self.stop),
            };
            self.guests.push(tokio::spawn(guest.visit()));
        }
        Ok(())
    }

    /// Somebody takes every client's events all the time.
    fn listen(&self) {
        for member in self.members.values() {
            let client = member.client.clone();
            tokio::spawn(async move { while let Some(_event) = client.next().await {} });
        }
    }

    async fn make_groups(&mut self, cast: &Cast) -> anyhow::Result<()> {
        for (title, members) in [("all", cast.users.len()), ("four", 4)] {
            let owner = self.members.values().next().context("somebody")?;
            let members = cast.users.iter().take(members).skip(1).cloned().collect();
            let group = Group {
                title: title.to_owned(),
                members,
                ..Group::default()
            };
            let pending = owner.client.create_group(group).await?;
            match pending.await? {
                Outcome::Accepted { chat, .. } => self.chats.push(chat),
                Outcome::Refused(refusal) => return Err(refusal.into()),
            }
        }
        Ok(())
    }

    /// Lets everybody finish, and reads the truth until nothing is wrong or the time is over:
    /// tables may lag behind the log for a moment, what is wrong for good stays wrong.
    ///
    /// # Errors
    /// When commands do not settle `within` this time.
    pub(super) async fn settle(
        self,
        process: &NodeProcess,
        within: Duration,
        lag: Duration,
    ) -> anyhow::Result<History> {
        self.stop.store(true, Ordering::Relaxed);
        for work in self.work {
            tokio::time::timeout(within, work)
                .await
                .context("commands did not settle")???;
        }
        let mut visits = Vec::new();
        for guest in self.guests {
            let visit = tokio::time::timeout(within, guest).await;
            visits.push(visit.context("a guest did not get its answer")???);
        }
        let begun = Instant::now();
        loop {
            let chats = audit::read(process, &self.tokens, &self.chats).await?;
            let seen = |(e, m): (&Endpoint, &Member)| (e.clone(), m.recorder.observations());
            let devices = self
                .members
                .iter()
                .map(seen)
                .chain(visits.iter().cloned())
                .collect();
            let history = History { devices, chats };
            if checker::check(&history).is_empty() || begun.elapsed() > lag {
                return Ok(history);
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }
}

fn has(chat: &ChatId, user: &UserId) -> bool {
    chat.pair().is_none_or(|(a, b)| a == *user || b == *user)
}

/// One device at work.
struct Worker {
    client: Client,
    recorder: Arc<Recorder>,
    user: UserId,
    chats: Vec<ChatId>,
    chance: fastrand::Rng,
    stop: Arc<AtomicBool>,
}

impl Worker {
    async fn run(mut self) -> anyhow::Result<()> {
        let mut pending = std::collections::VecDeque::new();
        let mut number = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            if let Some(given) = self.act(number).await? {
                pending.push_back(given);
            }
            if pending.len() >= IN_FLIGHT
                && let Some(oldest) = pending.pop_front()
            {
                settled(oldest).await?;
            }
            let rest = self.chance.u64(0..=u64::try_from(REST.as_millis())?);
            tokio::time::sleep(Duration::from_millis(rest)).await;
        }
        for given in pending {
            settled(given).await?;
        }
        Ok(())
    }

    async fn act(&mut self, number: u64) -> anyhow::Result<Option<Pending>> {
        let Some(chat) = self.chance.choice(&self.chats).cloned() else {
            return Ok(None);
        };
        let newest = self.recorder.newest(&chat);
        let text = |what: &str| WireBody::text(format!("{what} {number} of {}", self.user));
        let target = Seq(self.chance.u64(1..=newest.0.max(1)));
        Ok(match self.chance.u32(0..100) {
            0..70 => Some(self.client.send(&chat, text("message")).await?),
            70..85 if newest > Seq(0) => {
                self.client.mark_read(&chat, newest).await?;
                self.recorder.has_read(&chat, newest);
                None
            }
            85..90 => Some(self.client.react(&chat, target, Some("+1".into())).await?),
            90..95 => Some(self.client.edit(&chat, target, text("edit")).await?),
            95..98 => Some(self.client.delete(&chat, target).await?),
            _ => None,
        })
    }
}

/// A refusal is an answer: the target may be somebody else's, or no message.
async fn settled(pending: Pending) -> anyhow::Result<()> {
    match pending.await? {
        Outcome::Accepted { .. } => Ok(()),
        Outcome::Refused(refusal) => {
            ensure!(!refusal.code.is_retryable(), "settled with {refusal}");
            Ok(())
        }
    }
}
