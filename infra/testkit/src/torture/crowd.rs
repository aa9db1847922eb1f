//! The crowd: one client for each device, each writing, reading and changing at random while its
//! node dies and comes back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use cursus_client::{Client, Config, Group, Outcome, Pending};
use schemas::frames::WireBody;
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Seq, Timestamp};

use super::audit::{self, Asked};
use super::cast::Cast;
use super::guests::{Guest, Visits};
use crate::checker::{self, Chosen, Endpoint, History};
use crate::process::Entrance;
use crate::recorder::Recorder;

/// Commands of one device that wait for their verdict at once.
const IN_FLIGHT: usize = 8;
/// How often the truth is read until it is as it should be.
const ASK_EVERY: Duration = Duration::from_millis(250);

struct Member {
    client: Client,
    recorder: Arc<Recorder>,
}

/// Everybody, connected and busy.
pub(super) struct Crowd {
    members: BTreeMap<Endpoint, Member>,
    tokens: BTreeMap<UserId, String>,
    asked: Asked,
    stop: Arc<AtomicBool>,
    work: Vec<tokio::task::JoinHandle<anyhow::Result<()>>>,
    guests: Vec<tokio::task::JoinHandle<anyhow::Result<Visits>>>,
}

impl Crowd {
    /// Connects everybody, makes the groups, and sets everybody to work; a device rests for so long
    /// between two commands, at most.
    pub(super) async fn gather(
        cast: &Cast,
        entrance: &Entrance,
        rest: Duration,
        chance: &mut fastrand::Rng,
    ) -> anyhow::Result<Self> {
        let mut crowd = Self {
            members: BTreeMap::new(),
            tokens: BTreeMap::new(),
            asked: Asked::new(),
            stop: Arc::default(),
            work: Vec::new(),
            guests: Vec::new(),
        };
        for (number, (user, device)) in cast.devices.iter().enumerate() {
            let token = entrance.token(user, device)?;
            crowd.tokens.insert(user.clone(), token.clone());
            let recorder = Recorder::new();
            let address = entrance.address(number)?;
            let mut config = Config::new(format!("ws://{address}"), token);
            config.observer = Some(recorder.clone());
            config.session.backoff.most_ms = 500;
            config.session.resend_ms = 3_000;
            let client = Client::connect(config);
            crowd
                .members
                .insert((user.clone(), device.clone()), Member { client, recorder });
        }
        crowd.listen();
        for chat in &cast.direct {
            crowd.asked.insert(
                chat.clone(),
                chat.pair().into_iter().flat_map(|(a, b)| [a, b]).collect(),
            );
        }
        crowd.make_groups(cast).await?;
        for (endpoint, member) in &crowd.members {
            let all = crowd.asked.keys().filter(|chat| may_try(chat, &endpoint.0));
            let arranged = crowd.asked.iter();
            let arranged = arranged.filter(|(_, members)| {
                is_first(&crowd.members, endpoint) && members.contains(&endpoint.0)
            });
            let worker = Worker {
                client: member.client.clone(),
                recorder: Arc::clone(&member.recorder),
                user: endpoint.0.clone(),
                chats: all.cloned().collect(),
                arranged: arranged
                    .map(|(chat, _)| (chat.clone(), Chosen::default()))
                    .collect(),
                chance: chance.fork(),
                rest,
                stop: Arc::clone(&crowd.stop),
            };
            crowd.work.push(tokio::spawn(worker.run()));
        }
        crowd.invite(cast, entrance, chance)?;
        Ok(crowd)
    }

    /// Guests talk where they are members whatever happens: in their user's direct chats.
    fn invite(
        &mut self,
        cast: &Cast,
        entrance: &Entrance,
        chance: &mut fastrand::Rng,
    ) -> anyhow::Result<()> {
        for (number, (user, device)) in cast.guests.iter().enumerate() {
            let guest = Guest {
                url: format!("ws://{}/v1/connect", entrance.address(number)?),
                token: entrance.token(user, device)?,
                endpoint: (user.clone(), device.clone()),
                chats: cast
                    .direct
                    .iter()
                    .filter(|chat| may_try(chat, user))
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
        for (title, members) in &cast.groups {
            let owner = self.members.values().next().context("somebody")?;
            let group = Group {
                title: (*title).to_owned(),
                members: members.iter().skip(1).cloned().collect(),
                ..Group::default()
            };
            let pending = owner.client.create_group(group).await?;
            match pending.await? {
                Outcome::Accepted { chat, .. } => {
                    self.asked.insert(chat, members.iter().cloned().collect());
                }
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
        entrance: &Entrance,
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
            let address = entrance.address(0)?;
            let chats = match audit::read(address, &self.tokens, &self.asked).await {
                Ok(chats) => chats,
                // Tables that were away may need a moment longer to be read.
                Err(_) if begun.elapsed() < lag => {
                    tokio::time::sleep(ASK_EVERY).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
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
            tokio::time::sleep(ASK_EVERY).await;
        }
    }
}

/// True for one's own direct chats and for every group: who is none of its members is refused.
fn may_try(chat: &ChatId, user: &UserId) -> bool {
    chat.pair().is_none_or(|(a, b)| a == *user || b == *user)
}

/// True for the first device of each user, which arranges the user's chats.
fn is_first(members: &BTreeMap<Endpoint, Member>, endpoint: &Endpoint) -> bool {
    let of_user = |(user, _): &&Endpoint| *user == endpoint.0;
    let first: Option<&(UserId, DeviceId)> = members.keys().find(of_user);
    first == Some(endpoint)
}

/// One device at work.
struct Worker {
    client: Client,
    recorder: Arc<Recorder>,
    user: UserId,
    chats: Vec<ChatId>,
    /// Chats whose settings this device changes, and how they are.
    arranged: Vec<(ChatId, Chosen)>,
    chance: fastrand::Rng,
    rest: Duration,
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
            let rest = self.chance.u64(0..=u64::try_from(self.rest.as_millis())?);
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
            98.. => {
                self.arrange().await?;
                None
            }
            _ => None,
        })
    }

    /// Changes a setting and waits until it is durable, so that the last one is the last one.
    async fn arrange(&mut self) -> anyhow::Result<()> {
        let Some((chat, settings)) = self.chance.choice(&mut self.arranged) else {
            return Ok(());
        };
        match self.chance.u32(0..3) {
            0 => {
                settings.muted_until = Timestamp(self.chance.i64(0..=1));
                let until = (settings.muted_until > Timestamp(0)).then_some(settings.muted_until);
                self.client.mute(chat, until).await?;
            }
            1 => {
                settings.archived = self.chance.bool();
                self.client.archive(chat, settings.archived).await?;
            }
            _ => {
                settings.pinned = self.chance.bool();
                self.client.pin(chat, settings.pinned).await?;
            }
        }
        self.recorder.chose(chat, *settings);
        Ok(())
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
