//! Finding out what a device has missed: the first step of a session, and again after its worker
//! was lost.
//!
//! Ordering: the session is subscribed before anything is read and notes what is told meanwhile, so
//! between "in the inbox up to offset X" and "told from X on" nothing is left out. When the inbox is
//! not at X in time, `users` itself is read from the inbox's position to X (`gateway::replays`).

use std::sync::Arc;
use std::time::Duration;

use infra_ports::link::Subscribed;
use infra_ports::{LogError, StoreError};
use schemas::frames::PAGE;
use schemas::ids::ChatId;
use schemas::position::{Offset, Seq, Timestamp};

use super::{Session, SignedIn};
use crate::gateway::Gateway;
use crate::gateway::replays::Heads;
use crate::metrics;
use crate::reads::DeviceView;
use crate::seams::INBOX;

/// Chats that are sent to a device that has no mark in them: as many as a screen shows.
const FRESH_CHATS: usize = 20;
/// Entries of such a chat that a device gets which has marks elsewhere.
const FRESH_ENTRIES: u64 = 1_000;
/// A moment for the link to settle on another worker.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// What a user's inbox says of a chat.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The newest place that the user sees.
    pub(crate) seq: Seq,
    /// Its time.
    pub(crate) at: Timestamp,
    /// Its offset in `chats`.
    pub(crate) origin: Offset,
}

/// What a device is to be sent of one chat.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missed {
    chat: ChatId,
    /// Nothing up to here.
    sent: Seq,
    head: Head,
}

impl Head {
    /// Takes the other one where that is newer.
    pub(crate) fn raise(&mut self, other: Self) {
        if other.seq > self.seq {
            *self = other;
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] LogError),
}

/// Loads what the device has and puts what it missed in line. Tried again by the session's task
/// when the tables do not answer.
pub(super) async fn load(gateway: Arc<Gateway>, session: Arc<Session>) {
    let Some(signed_in) = session.signed_in() else {
        return;
    };
    let round = signed_in.track.lock().round;
    let begun = gateway.runtime.elapsed();
    let Ok(subscribed) = gateway.subscribe(&signed_in.hub).await else {
        // The worker was lost, and this is tried again at once; or delivery is going down, and the
        // session with it.
        return gateway.runtime.sleep(ASK_AGAIN).await;
    };
    match gather(&gateway, signed_in, subscribed).await {
        Ok((heads, device)) => {
            metrics::resumed(gateway.runtime.elapsed().saturating_sub(begun));
            settle(&gateway, &session, signed_in, heads, device, round);
        }
        Err(error) => {
            tracing::warn!(session = session.id.0, %error, "a session cannot be resumed yet");
            gateway.runtime.sleep(gateway.retry_pause()).await;
        }
    }
}

async fn gather(
    gateway: &Gateway,
    signed_in: &SignedIn,
    subscribed: Subscribed,
) -> Result<(Heads, DeviceView), LoadError> {
    let Subscribed { partition, from } = subscribed;
    let identity = &signed_in.identity;
    // First: it waits for tables that are still being opened, and no projection gets on before.
    let device = gateway
        .reads
        .device(&identity.user, &identity.device)
        .await?;
    let applied = gateway.inbox_at(partition, from).await;
    // Looked up before the rows are read: what it does not cover is replayed.
    let inbox_at = gateway.applied.applied(INBOX, partition);
    let mut heads = gateway.reads.heads(&identity.user).await?;
    if !applied && inbox_at < from {
        let (user, lacking) = (&identity.user, (inbox_at, from));
        let told = gateway.replays.heads(user, partition, lacking).await?;
        for (chat, head) in told {
            heads.entry(chat).or_default().raise(head);
        }
    }
    Ok((heads, device))
}

fn settle(
    gateway: &Gateway,
    session: &Session,
    signed_in: &SignedIn,
    heads: Heads,
    device: DeviceView,
    round: u64,
) {
    let missed = missed(heads, &device);
    let mut track = signed_in.track.lock();
    if track.round != round {
        // The worker was lost meanwhile: what was read may have a hole at its end.
        return;
    }
    for (chat, seq) in device.read {
        track.marked(chat, Seq(0), seq);
    }
    for (chat, seq) in device.delivered {
        track.marked(chat, seq, Seq(0));
    }
    let mut order = Vec::with_capacity(missed.len());
    for Missed { chat, sent, head } in missed {
        order.push(chat.clone());
        track.known(chat, sent, head.seq, head.origin);
    }
    for frame in track.loaded(&order) {
        session.put(frame);
    }
    gateway.live_if_done(session, &mut track);
}

/// What a device has missed of each chat, those with the newest activity first. Pure.
///
/// A device gets everything after its mark. Of a chat where it has none it gets the newest entries,
/// of as many chats as a screen shows; of the others it learns when they speak or are asked for.
fn missed(heads: Heads, device: &DeviceView) -> Vec<Missed> {
    let fresh_entries = match device.delivered.is_empty() {
        true => PAGE as u64,
        false => FRESH_ENTRIES,
    };
    let mut newest: Vec<_> = heads.into_iter().collect();
    newest.sort_by(|(a, x), (b, y)| y.at.cmp(&x.at).then_with(|| a.cmp(b)));
    let mut fresh = 0;
    let missed = newest.into_iter().map(|(chat, head)| {
        let sent = match device.delivered.get(&chat) {
            Some(mark) => *mark,
            None => {
                fresh += 1;
                match fresh <= FRESH_CHATS {
                    true => Seq(head.seq.0.saturating_sub(fresh_entries)),
                    false => head.seq,
                }
            }
        };
        Missed { chat, sent, head }
    });
    missed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads(chats: usize, seq: u64) -> Heads {
        let chat = |n: usize| ChatId::new(format!("d.a.b{n:03}")).unwrap();
        let head = |n: usize| Head {
            seq: Seq(seq),
            at: Timestamp(n as i64),
            origin: Offset(0),
        };
        (0..chats).map(|n| (chat(n), head(n))).collect()
    }

    #[test]
    fn a_new_device_gets_the_newest_page_of_the_newest_chats() {
        let missed = missed(heads(25, 80), &DeviceView::default());
        let sent: Vec<u64> = missed.iter().map(|m| m.sent.0).collect();
        assert_eq!(sent, [vec![30; 20], vec![80; 5]].concat());
        assert_eq!(missed[0].chat.as_str(), "d.a.b024", "newest first");
    }

    #[test]
    fn a_known_device_gets_everything_after_its_mark_and_whole_new_chats() {
        let mut device = DeviceView::default();
        device
            .delivered
            .insert(ChatId::new("d.a.b001").unwrap(), Seq(7));
        let missed = missed(heads(2, 10_000), &device);
        assert_eq!(missed[0].sent, Seq(7));
        assert_eq!(missed[1].sent, Seq(9_000));
    }
}
