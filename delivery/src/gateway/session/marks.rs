//! Marks on their way in: gathered for a tick, the largest of each chat stamped and appended, all
//! who asked answered. A mark that is known already is answered without an append.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::runtime::BoxFuture;
use schemas::errors::Refusal;
use schemas::events::MarkKind;
use schemas::frames::{Frame, MarkUpTo, Settled};
use schemas::ids::ChatId;
use schemas::position::{Seq, Timestamp};

use super::task::Task;
use super::{Session, SignedIn, answer, refusal, stamp};
use crate::gateway::{Gateway, since};
use crate::metrics;

/// A mark asked for, and under which `ref`s.
#[derive(Debug, Default)]
struct Wanted {
    seq: Seq,
    references: Vec<Option<String>>,
}

/// The marks gathered since the last tick.
#[derive(Default)]
pub(super) struct Marks {
    wanted: BTreeMap<(ChatId, MarkKind), Wanted>,
    /// Runs while marks are gathered.
    pub(super) timer: Option<BoxFuture<'static, ()>>,
}

impl Marks {
    /// Adds a mark; true when it is the first of its tick.
    pub(super) fn want(&mut self, reference: Option<&str>, kind: MarkKind, mark: MarkUpTo) -> bool {
        let wanted = self.wanted.entry((mark.chat, kind)).or_default();
        wanted.seq = wanted.seq.max(mark.seq);
        wanted.references.push(reference.map(str::to_owned));
        self.timer.is_none()
    }
}

impl Task {
    /// The tick is over: what was gathered goes.
    pub(super) fn send_marks(&mut self) {
        self.marks.timer = None;
        for ((chat, kind), wanted) in std::mem::take(&mut self.marks.wanted) {
            let (gateway, session) = (Arc::clone(&self.gateway), Arc::clone(&self.session));
            self.others
                .push(Box::pin(settle(gateway, session, chat, kind, wanted)));
        }
    }
}

async fn settle(
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    chat: ChatId,
    kind: MarkKind,
    wanted: Wanted,
) -> Vec<Bytes> {
    let Some(signed_in) = session.signed_in() else {
        return Vec::new();
    };
    let done = append(&gateway, signed_in, &chat, kind, wanted.seq).await;
    let frame = |reference: &Option<String>| match &done {
        Ok(settled) => answer(reference.as_deref(), &Frame::Settled(settled.clone())),
        Err(refused) => refusal(reference.as_deref(), refused.clone()),
    };
    wanted.references.iter().map(frame).collect()
}

async fn append(
    gateway: &Gateway,
    signed_in: &SignedIn,
    chat: &ChatId,
    kind: MarkKind,
    seq: Seq,
) -> Result<Settled, Refusal> {
    let mut kind = kind;
    if kind == MarkKind::Read && known(signed_in, chat, kind) >= seq {
        // Read on another device: this one has it too from now on.
        kind = MarkKind::Delivered;
    }
    if known(signed_in, chat, kind) >= seq {
        return Ok(Settled { chat: chat.clone() });
    }
    let stamped = stamp::stamp(gateway, signed_in, chat, kind, seq).await?;
    let seq = stamped.seq;
    let settled = gateway.commands.mark(&signed_in.identity, stamped).await?;
    let newest = note(signed_in, chat, kind, seq);
    if let Some(taken_at) = newest {
        metrics::delivered_after(since(taken_at, gateway.runtime.now()));
    }
    Ok(settled)
}

/// How far this device (or, for read, this user) is known to have got.
pub(super) fn known(signed_in: &SignedIn, chat: &ChatId, kind: MarkKind) -> Seq {
    let track = signed_in.track.lock();
    let Some(chat) = track.chat(chat) else {
        return Seq(0);
    };
    match kind {
        MarkKind::Delivered => chat.delivered,
        MarkKind::Read => chat.read,
    }
}

/// The log has the mark: nothing up to it is pushed again. Answers when the newest event was taken
/// that it covers, if it was pushed live, this device had not marked it before and somebody else
/// wrote it.
fn note(signed_in: &SignedIn, id: &ChatId, kind: MarkKind, seq: Seq) -> Option<Timestamp> {
    let mut track = signed_in.track.lock();
    let newest = track.recent(id).find(|pushed| pushed.seq == seq).cloned();
    let before = track.chat(id).map_or(Seq(0), |chat| chat.delivered);
    let chat = track.chat_mut(id);
    chat.delivered = chat.delivered.max(seq);
    chat.sent = chat.sent.max(seq);
    if kind == MarkKind::Read {
        chat.read = chat.read.max(seq);
    }
    chat.acknowledged();
    track.forget_marked();
    newest
        .filter(|pushed| pushed.seq > before && !signed_in.is_own(&pushed.author))
        .map(|pushed| pushed.taken_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_a_tick_become_the_largest_a_chat_and_kind() {
        let mut marks = Marks::default();
        let mark = |chat: &str, seq| MarkUpTo {
            chat: ChatId::new(chat).unwrap(),
            seq: Seq(seq),
        };
        for (reference, kind, mark) in [
            ("1", MarkKind::Delivered, mark("d.a.b", 4)),
            ("2", MarkKind::Delivered, mark("d.a.b", 3)),
            ("3", MarkKind::Read, mark("d.a.b", 2)),
            ("4", MarkKind::Delivered, mark("d.a.c", 1)),
        ] {
            assert!(marks.want(Some(reference), kind, mark), "no timer runs");
        }
        let all: Vec<_> = marks
            .wanted
            .iter()
            .map(|((chat, kind), w)| (chat.as_str(), *kind, w.seq.0, w.references.len()))
            .collect();
        let expected = [
            ("d.a.b", MarkKind::Delivered, 4, 2),
            ("d.a.b", MarkKind::Read, 2, 1),
            ("d.a.c", MarkKind::Delivered, 1, 1),
        ];
        assert_eq!(all, expected);
    }
}
