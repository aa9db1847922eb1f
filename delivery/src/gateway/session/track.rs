//! What a session has been sent, chat by chat: the pure part of rule 3 (push nothing up to the
//! mark, nothing twice, leave no gap). Decides what happens to a live entry; does nothing itself.
//!
//! ```text
//!  1 … delivered … sent   sent+1 … want
//!  └── marked ──┘         └── missing: read from the timeline, then `pending` follows ──┘
//! ```
//!
//! A chat with something missing is *behind*: live entries wait in `pending` (bounded; what does
//! not fit is read from the timeline instead) until the rest is sent. Before a session knows what
//! it has, every chat that speaks is behind.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Offset, Seq};

use crate::gateway::pushed::Pushed;

/// Live entries that wait behind a gap, a chat.
const MAX_PENDING: usize = 256;
/// And their bytes.
const MAX_PENDING_BYTES: usize = 256 * 1024;
/// Entries that a session remembers of those it was sent, to stamp marks and to push again.
const MAX_RECENT: usize = 64;
/// And the bytes of their frames, which are shared with other sessions.
const MAX_RECENT_BYTES: usize = 128 * 1024;
/// So many of those that are marked already: the user may read them at any moment.
const MARKED_RECENT: usize = 8;

/// What is to be done with a live entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offer {
    /// Push it.
    Push,
    /// The device has it.
    Drop,
    /// It waits for what is missing before it.
    Wait,
    /// The same, and the chat is newly behind: somebody must fill it.
    Gap,
}

/// What is missing of a chat.
#[derive(Debug, Default)]
pub(crate) struct Behind {
    /// Up to here something is known to exist.
    pub(crate) want: Seq,
    /// Rows up to `want` are there when `chats` has applied this offset.
    pub(crate) origin: Offset,
    /// What is being filled: up to where, and which offset brings the rows up to there.
    goal: Option<(Seq, Offset)>,
    /// The newest live entries, without a hole.
    pending: VecDeque<Arc<Pushed>>,
    pending_bytes: usize,
}

impl Behind {
    fn note(&mut self, pushed: &Arc<Pushed>) {
        self.want = self.want.max(pushed.seq);
        self.origin = self.origin.max(pushed.origin);
        if let Some(last) = self.pending.back() {
            if pushed.seq <= last.seq {
                return;
            }
            let full = self.pending.len() >= MAX_PENDING || self.pending_bytes >= MAX_PENDING_BYTES;
            if pushed.seq != last.seq.next() || full {
                self.pending.clear();
                self.pending_bytes = 0;
            }
        }
        self.pending_bytes += pushed.frame.len();
        self.pending.push_back(Arc::clone(pushed));
    }

    /// What is to come from the timeline next: the last place, and the offset that brings its rows. It stays
    /// the same until it was sent: the rows of a chat that never rests are always a little late, and who
    /// waited for the newest ones would wait for as long as somebody writes.
    fn goal(&mut self, sent: Seq) -> (Seq, Offset) {
        if let Some(goal) = self.goal.filter(|(through, _)| *through > sent) {
            return goal;
        }
        let before = |first: &Arc<Pushed>| (Seq(first.seq.0.saturating_sub(1)), first.origin);
        let newest = (self.want, self.origin);
        *self
            .goal
            .insert(self.pending.front().map_or(newest, before))
    }
}

/// What was pushed and is not marked yet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Unmarked {
    /// The oldest such place.
    pub(crate) from: Seq,
    /// When to push it again.
    pub(crate) due: Duration,
    /// How often that was done.
    pub(crate) attempts: usize,
}

/// One chat of a session.
#[derive(Debug, Default)]
pub(crate) struct ChatTrack {
    /// Everything this person sees up to here was sent, or is on the device by its mark.
    pub(crate) sent: Seq,
    /// This device's mark.
    pub(crate) delivered: Seq,
    /// The user's read mark.
    pub(crate) read: Seq,
    /// Missing entries.
    pub(crate) behind: Option<Box<Behind>>,
    /// Pushed entries without a mark.
    pub(crate) unmarked: Option<Box<Unmarked>>,
    /// In a group, the join that marks from there on belong to, once it was looked up.
    pub(crate) joined: Option<Seq>,
    /// How often `joined` had to be forgotten.
    pub(crate) joins: u32,
}

impl ChatTrack {
    /// The user may have joined anew.
    fn forget_join(&mut self) {
        self.joined = None;
        self.joins = self.joins.wrapping_add(1);
    }
}

/// Where a session stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It does not know yet what the device has.
    Loading,
    /// It does.
    Serving,
}

/// The chats of a session.
#[derive(Debug)]
pub(crate) struct Track {
    user: UserId,
    pub(crate) phase: Phase,
    /// It was found out before what the device has.
    served: bool,
    /// Grows whenever everything must be looked at again.
    pub(crate) round: u64,
    chats: BTreeMap<ChatId, ChatTrack>,
    /// Chats of the resume that are not through, newest first.
    resume: VecDeque<ChatId>,
    /// Chats with a gap, in the order found.
    gaps: VecDeque<ChatId>,
    /// The next step is a gap's, when there is one: both lines go on.
    gap_next: bool,
    /// `live` was said, and holds.
    pub(crate) live: bool,
    /// Something may have been left out before it was said for the first time: it is said twice.
    lost_before: bool,
    recent: Recent,
}

/// What a session was pushed of late, oldest first.
#[derive(Debug, Default)]
struct Recent {
    pushed: VecDeque<Arc<Pushed>>,
    bytes: usize,
}

impl Recent {
    fn remember(&mut self, pushed: Arc<Pushed>) {
        self.bytes += pushed.frame.len();
        self.pushed.push_back(pushed);
        while self.pushed.len() > MAX_RECENT || self.bytes > MAX_RECENT_BYTES {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let oldest = self.pushed.pop_front();
        self.bytes -= oldest.map_or(self.bytes, |pushed| pushed.frame.len());
    }
}

impl Track {
    pub(crate) fn new(user: UserId) -> Self {
        Self {
            user,
            phase: Phase::Loading,
            served: false,
            round: 0,
            chats: BTreeMap::new(),
            resume: VecDeque::new(),
            gaps: VecDeque::new(),
            gap_next: true,
            live: false,
            lost_before: false,
            recent: Recent::default(),
        }
    }

    /// Decides about a live entry and notes what it means.
    pub(crate) fn offer(&mut self, pushed: &Arc<Pushed>) -> Offer {
        let known = self.chats.contains_key(&pushed.chat);
        if !known {
            self.chats.insert(pushed.chat.clone(), ChatTrack::default());
        }
        let chat = self.chats.get_mut(&pushed.chat).expect("it is there now");
        if pushed.joins.contains(&self.user) {
            chat.forget_join();
        }
        if self.phase == Phase::Loading {
            chat.behind.get_or_insert_default().note(pushed);
            return Offer::Wait;
        }
        if pushed.seq <= chat.sent {
            return Offer::Drop;
        }
        if let Some(behind) = &mut chat.behind {
            behind.note(pushed);
            return Offer::Wait;
        }
        if pushed.seq == chat.sent.next() || (!known && pushed.opens(&self.user)) {
            chat.sent = pushed.seq;
            self.recent.remember(Arc::clone(pushed));
            return Offer::Push;
        }
        chat.behind.get_or_insert_default().note(pushed);
        self.gaps.push_back(pushed.chat.clone());
        Offer::Gap
    }

    /// Marks came: what they cover is needed no longer, but for the newest.
    pub(crate) fn forget_marked(&mut self) {
        while self.recent.pushed.len() > MARKED_RECENT {
            let oldest = self.recent.pushed.front();
            let is_marked = |pushed: &Arc<Pushed>| {
                self.chats
                    .get(&pushed.chat)
                    .is_some_and(|chat| pushed.seq <= chat.delivered)
            };
            if !oldest.is_some_and(is_marked) {
                return;
            }
            self.recent.forget_oldest();
        }
    }

    /// Everything must be looked at again: live entries may have been left out, and what is no entry
    /// with them. So `live` is said anew.
    pub(crate) fn reload(&mut self) {
        self.served |= self.phase == Phase::Serving;
        self.phase = Phase::Loading;
        self.lost_before |= !self.live;
        self.live = false;
        self.round += 1;
        self.resume.clear();
        self.gaps.clear();
    }

    /// The device has everything of a chat up to `sent` (or need not get it); there is more up to
    /// `head`. To be called for all chats of the inbox, those with the newest activity first. What a device
    /// need not get is decided when it comes: of a chat that it is served already nothing is left out.
    pub(crate) fn known(&mut self, id: ChatId, sent: Seq, head: Seq, origin: Offset) {
        let chat = self.chats.entry(id).or_default();
        chat.forget_join();
        if !self.served || chat.sent == Seq(0) {
            chat.sent = chat.sent.max(sent);
        }
        if head > chat.sent {
            let behind = chat.behind.get_or_insert_default();
            behind.want = behind.want.max(head);
            behind.origin = behind.origin.max(origin);
        }
    }

    /// The marks of a chat, as the tables have them.
    pub(crate) fn marked(&mut self, id: ChatId, delivered: Seq, read: Seq) {
        let chat = self.chats.entry(id).or_default();
        chat.delivered = chat.delivered.max(delivered);
        // A mark means "push nothing up to here".
        chat.sent = chat.sent.max(delivered);
        chat.read = chat.read.max(read);
    }

    /// All chats are known: those behind are put in line, the given ones first and in their order.
    pub(crate) fn loaded(&mut self, order: &[ChatId]) -> Vec<Bytes> {
        self.phase = Phase::Serving;
        let mut frames = Vec::new();
        for id in order {
            let Some(chat) = self.chats.get_mut(id) else {
                continue;
            };
            frames.extend(flush_pending(chat, &mut self.recent));
            if chat.behind.is_some() {
                self.resume.push_back(id.clone());
            }
        }
        let listed: std::collections::BTreeSet<&ChatId> = order.iter().collect();
        for (id, chat) in &mut self.chats {
            if listed.contains(id) || chat.behind.is_none() {
                continue;
            }
            frames.extend(flush_pending(chat, &mut self.recent));
            if chat.behind.is_some() {
                self.gaps.push_back(id.clone());
            }
        }
        frames
    }

    /// The next chat to fill: where it stands, what is missing, and which offset brings its rows.
    pub(crate) fn next_to_fill(&mut self) -> Option<(ChatId, Seq, Seq, Offset)> {
        let gap_first = self.gap_next || self.resume.is_empty();
        self.gap_next = !self.gap_next;
        let id = match gap_first && !self.gaps.is_empty() {
            true => self.gaps.front(),
            false => self.resume.front().or(self.gaps.front()),
        }?;
        let chat = self.chats.get_mut(id)?;
        let (through, origin) = chat.behind.as_mut()?.goal(chat.sent);
        Some((id.clone(), chat.sent.next(), through, origin))
    }

    /// True when something may have been left out, now or earlier, since the session began.
    pub(crate) fn has_lost(&self) -> bool {
        self.round > 0
    }

    /// True when there is something to read from the tables.
    pub(crate) fn has_work(&self) -> bool {
        self.phase == Phase::Loading || !self.resume.is_empty() || !self.gaps.is_empty()
    }

    /// How often `live` is to be said now that everything missed was sent.
    pub(crate) fn goes_live(&mut self) -> usize {
        if self.phase != Phase::Serving || !self.resume.is_empty() || self.live {
            return 0;
        }
        self.live = true;
        // The second says that what is no entry may have been left out.
        1 + usize::from(std::mem::take(&mut self.lost_before))
    }

    /// Everything of a chat up to `through` was sent from the timeline. Answers the live entries
    /// that follow now.
    pub(crate) fn filled(&mut self, id: &ChatId, through: Seq) -> Vec<Bytes> {
        let Some(chat) = self.chats.get_mut(id) else {
            return Vec::new();
        };
        chat.sent = chat.sent.max(through);
        chat.forget_join();
        let frames = flush_pending(chat, &mut self.recent);
        if chat.behind.is_none() {
            self.resume.retain(|other| other != id);
            self.gaps.retain(|other| other != id);
        }
        frames
    }

    /// Nothing could be read for a chat: others come first.
    pub(crate) fn stalled(&mut self, id: &ChatId) {
        for line in [&mut self.resume, &mut self.gaps] {
            if line.front() == Some(id) {
                line.rotate_left(1);
            }
        }
    }

    pub(crate) fn chat(&self, id: &ChatId) -> Option<&ChatTrack> {
        self.chats.get(id)
    }

    pub(crate) fn chat_mut(&mut self, id: &ChatId) -> &mut ChatTrack {
        if !self.chats.contains_key(id) {
            self.chats.insert(id.clone(), ChatTrack::default());
        }
        self.chats.get_mut(id).expect("it is there now")
    }

    /// Chats with their state, in id order.
    pub(crate) fn chats_mut(&mut self) -> impl Iterator<Item = (&ChatId, &mut ChatTrack)> {
        self.chats.iter_mut()
    }

    /// Entries of a chat that were pushed of late, newest first.
    pub(crate) fn recent<'a>(&'a self, id: &'a ChatId) -> impl Iterator<Item = &'a Arc<Pushed>> {
        self.recent
            .pushed
            .iter()
            .rev()
            .filter(move |pushed| pushed.chat == *id)
    }
}

/// Takes the live entries that follow what was sent; the chat is not behind any more when that is
/// all there is.
fn flush_pending(chat: &mut ChatTrack, recent: &mut Recent) -> Vec<Bytes> {
    let Some(behind) = &mut chat.behind else {
        return Vec::new();
    };
    let mut frames = Vec::new();
    while behind
        .pending
        .front()
        .is_some_and(|first| first.seq <= chat.sent.next())
    {
        let Some(first) = behind.pending.pop_front() else {
            break;
        };
        behind.pending_bytes -= first.frame.len();
        if first.seq > chat.sent {
            chat.sent = first.seq;
            frames.push(first.frame.clone());
            recent.remember(first);
        }
    }
    if chat.sent >= behind.want {
        chat.behind = None;
    }
    frames
}

#[cfg(test)]
mod tests;
