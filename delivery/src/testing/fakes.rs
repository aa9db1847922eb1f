//! Whoever takes commands and whoever knows the tables' progress, played by the test.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::{BoxFuture, Runtime};
use parking_lot::Mutex;
use schemas::errors::{Code, Refusal};
use schemas::frames::{Accepted, Command, Receipt, Settled};
use schemas::ids::{ChatId, DeviceId, Identity, MessageId};
use schemas::position::{Offset, Partition, Timestamp};
use tokio::sync::oneshot;

use super::user;
use crate::{Applied, Commands, StampedMark};

/// How far the tables are said to be; everything, unless a test says otherwise.
pub(crate) struct FakeApplied {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) held: Mutex<BTreeMap<&'static str, Offset>>,
    pub(crate) moved: tokio::sync::Notify,
}

impl FakeApplied {
    pub(crate) fn hold(&self, projection: &'static str, at: u64) {
        self.held.lock().insert(projection, Offset(at));
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Applied for FakeApplied {
    fn applied(&self, projection: &'static str, _: Partition) -> Offset {
        self.held
            .lock()
            .get(projection)
            .copied()
            .unwrap_or(Offset(u64::MAX))
    }

    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool {
        let mut bell = self.runtime.sleep(timeout);
        loop {
            let moved = self.moved.notified();
            if self.applied(projection, partition) >= offset {
                return true;
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = &mut bell => return false,
            }
        }
    }
}

/// Takes every command and remembers in which order their appends were begun.
pub(crate) struct FakeCommands {
    pub(crate) runtime: Arc<dyn Runtime>,
    pub(crate) expires_at: Mutex<Timestamp>,
    pub(crate) taken: Mutex<Vec<String>>,
    /// How many commands are under way, and the most that ever were.
    pub(crate) at_once: Arc<Mutex<(usize, usize)>>,
    pub(crate) marks: Mutex<Vec<(String, StampedMark)>>,
    /// How many marks came together, each time, and how long that takes.
    pub(crate) rounds: Mutex<Vec<usize>>,
    pub(crate) round_takes: Mutex<Duration>,
    /// A chat whose partition takes no marks, and what those that wait are refused with in the end.
    pub(crate) no_marks_of: Mutex<Option<ChatId>>,
    pub(crate) refuse_marks: Mutex<Option<Code>>,
    pub(crate) refuse: Mutex<Option<Code>>,
    /// When there, commands are through once these are told so, all at once.
    pub(crate) held: Mutex<Option<Vec<oneshot::Sender<()>>>>,
    /// So many reads, and requests of any address, are let through.
    pub(crate) reads_left: Mutex<u32>,
    pub(crate) requests_left: Mutex<u32>,
}

fn one_of(left: &Mutex<u32>) -> Result<(), Refusal> {
    let mut left = left.lock();
    let fewer = left.checked_sub(1);
    *left = fewer.ok_or_else(|| Refusal::plain(Code::RateLimited).retry_after_ms(1_500))?;
    Ok(())
}

#[async_trait]
impl Commands for FakeCommands {
    fn authenticate(&self, token: &str) -> Result<Identity, Refusal> {
        let (name, device) = token
            .split_once('/')
            .ok_or_else(|| Refusal::plain(Code::Unauthorized))?;
        let device = DeviceId::new(device).unwrap();
        Ok(Identity {
            user: user(name),
            device,
            expires_at: *self.expires_at.lock(),
        })
    }

    fn admit(&self, _: IpAddr) -> Result<(), Refusal> {
        one_of(&self.requests_left)
    }

    fn may_read(&self, _: &Identity) -> Result<(), Refusal> {
        one_of(&self.reads_left)
    }

    fn accept(
        &self,
        who: &Identity,
        command: Command,
    ) -> BoxFuture<'static, Result<Receipt, Refusal>> {
        let (chat, client_id) = match command {
            Command::Send(c) => (c.chat, c.client_id),
            Command::Pin(c) => {
                return Box::pin(async { Ok(Receipt::Settled(Settled { chat: c.chat })) });
            }
            other => panic!("not in these tests: {other:?}"),
        };
        self.taken.lock().push(client_id.to_string());
        if let Some(code) = *self.refuse.lock() {
            return Box::pin(async move { Err(Refusal::plain(code)) });
        }
        let (runtime, at_once) = (Arc::clone(&self.runtime), Arc::clone(&self.at_once));
        let accepted = Accepted {
            id: MessageId::of(&chat, &who.user, &who.device, &client_id).text(),
            chat,
            client_id,
            at: Timestamp(1),
        };
        if let Some(held) = &mut *self.held.lock() {
            let (tells, is_told) = oneshot::channel();
            held.push(tells);
            return Box::pin(async move {
                is_told.await.unwrap();
                Ok(Receipt::Sent(accepted))
            });
        }
        Box::pin(async move {
            {
                let mut at_once = at_once.lock();
                at_once.0 += 1;
                at_once.1 = at_once.0.max(at_once.1);
            }
            // As long as a disk might take: later ones are often through before earlier ones.
            let takes = Duration::from_millis(runtime.random() % 5);
            runtime.sleep(takes).await;
            at_once.lock().0 -= 1;
            Ok(Receipt::Sent(accepted))
        })
    }

    async fn mark_all(&self, marks: Vec<(Identity, StampedMark)>) -> Vec<Result<Settled, Refusal>> {
        let settled = marks.iter().map(|(_, mark)| {
            Ok(Settled {
                chat: mark.chat.clone(),
            })
        });
        let settled = settled.collect();
        self.rounds.lock().push(marks.len());
        let takes = *self.round_takes.lock();
        self.runtime.sleep(takes).await;
        let is_stuck = |chat: &ChatId| marks.iter().any(|(_, mark)| mark.chat == *chat);
        let mut was_stuck = false;
        while self.no_marks_of.lock().as_ref().is_some_and(is_stuck) {
            was_stuck = true;
            self.runtime.sleep(Duration::from_millis(10)).await;
        }
        if let Some(code) = self.refuse_marks.lock().filter(|_| was_stuck) {
            return marks.iter().map(|_| Err(Refusal::plain(code))).collect();
        }
        let name = |who: &Identity| format!("{}/{}", who.user, who.device);
        let named = marks.into_iter().map(|(who, mark)| (name(&who), mark));
        self.marks.lock().extend(named);
        settled
    }
}
