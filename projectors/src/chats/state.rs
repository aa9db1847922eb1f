//! What the fold of one chat knows: members, head, settled commands.
//!
//! Held in the engine's cache, kept in one partition of `chat_states` (see `memory`). Only this and
//! immutable facts of a target decide what is accepted. No I/O, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use ahash::AHashMap;
use schemas::events::{Origin, Role};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq, Timestamp, Version};

use super::dedupe::{Ring, Verdict};
use super::fan_out::Routes;
use super::sum;

/// Facts of messages are kept in memory at least this long, so that a reaction to a fresh message
/// costs no read.
const RECENT_MESSAGES: usize = 32;

/// One stay of a user in a chat: from the event that made them a member to the one that ended it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    /// Seq of the joining event; 0 in a direct chat.
    pub since: Seq,
    /// Countable messages up to the join.
    pub since_ordinal: Ordinal,
    /// Seq of the leaving event; 0 while it lasts.
    pub until: Seq,
    /// What the member may do.
    pub role: Role,
    /// Chat time of the join.
    pub joined_at: Timestamp,
    /// The record that changed it last.
    pub version: Version,
}

/// What a group is called and how large it may grow.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// Title; empty in a direct chat.
    pub title: String,
    /// Description; empty in a direct chat.
    pub description: String,
    /// Chat time of the first event.
    pub created_at: Timestamp,
    /// The most members it may have.
    pub max_members: u32,
}

/// A message as those need it who edit, delete or react to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Who sent it.
    pub author: UserId,
}

/// What was changed since the state was last written.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// Members whose stay changed.
    pub(super) members: BTreeMap<UserId, Stay>,
    /// Ring places that were filled: user, device, count.
    pub(super) verdicts: Vec<(UserId, DeviceId, u64)>,
    /// The newest event that changed the row of `chats`.
    pub(super) chat: Option<Version>,
}

/// The state of one chat's fold.
#[derive(Debug, Default)]
pub struct ChatState {
    /// One past the offset of the newest record applied; records below are skipped whole.
    pub position: Version,
    /// The highest rules version seen.
    pub rules: u32,
    /// The last seq given.
    pub head: Seq,
    /// Countable messages so far.
    pub ordinal: Ordinal,
    /// Chat time: the highest `at` of an accepted event.
    pub at: Timestamp,
    /// None: a group that was not created yet.
    pub details: Option<Details>,
    /// Those who are in.
    pub members: BTreeMap<UserId, Stay>,
    pub(super) rings: AHashMap<UserId, Vec<(DeviceId, Ring)>>,
    pub(super) unwritten: Unwritten,
    pub(super) routes: Option<Routes>,
    pub(super) everyone: Option<Arc<[UserId]>>,
    recent: VecDeque<(Offset, Seq, Option<Target>)>,
    /// What its members add up to; none when they changed since that was worked out.
    pub(super) members_sum: Option<u64>,
    /// It was read of rows that say no sum and need not be of one moment: what is in the store beside it
    /// nobody knows.
    pub(super) is_unsure: bool,
}

impl ChatState {
    /// The state of a chat of which nothing is known yet. A direct chat has its two members by its
    /// id; a group does not exist.
    pub fn new(chat: &ChatId) -> Self {
        let mut state = Self::default();
        if let Some((a, b)) = chat.pair() {
            state.members = [a, b].map(|user| (user, Stay::direct())).into();
            state.details = Some(Details {
                max_members: 2,
                ..Details::default()
            });
        }
        state
    }

    /// The verdict given to this command before, if it is among those remembered.
    pub fn verdict(&self, origin: &Origin) -> Option<&Verdict> {
        let ring = self.ring_at(&origin.author, &origin.device)?;
        ring.find(&origin.client_id)
    }

    /// Remembers the verdict on a command.
    pub(super) fn settle(&mut self, origin: &Origin, verdict: Verdict) {
        let version = self.position;
        let ring = self.ring(&origin.author, &origin.device);
        let nth = ring.push(origin.client_id.clone(), verdict, version);
        let place = (origin.author.clone(), origin.device.clone(), nth);
        self.unwritten.verdicts.push(place);
    }

    /// What is remembered of a device, if anything is.
    pub(super) fn ring_at(&self, user: &UserId, device: &DeviceId) -> Option<&Ring> {
        let devices = self.rings.get(user)?;
        devices.iter().find(|(d, _)| d == device).map(|(_, r)| r)
    }

    pub(super) fn ring(&mut self, user: &UserId, device: &DeviceId) -> &mut Ring {
        let devices = self.rings.entry(user.clone()).or_default();
        let place = devices.iter().position(|(d, _)| d == device);
        let place = place.unwrap_or_else(|| {
            devices.push((device.clone(), Ring::of(sum::of_owner(user, device))));
            devices.len() - 1
        });
        let (_, ring) = devices.get_mut(place).expect("found or pushed just now");
        ring
    }

    /// What everything that has rows of its own adds up to; none when that cannot be said.
    pub(super) fn sum(&mut self) -> Option<u64> {
        let members = || sum::of_members(&self.members);
        let members = *self.members_sum.get_or_insert_with(members);
        let rings = self.rings.values().flatten();
        let sums = rings.map(|(_, ring)| ring.sum());
        (!self.is_unsure).then(|| sums.fold(members, u64::wrapping_add))
    }

    /// Keeps the facts of an accepted entry at hand; `None` for what is no message.
    pub(super) fn note_recent(&mut self, offset: Offset, seq: Seq, target: Option<Target>) {
        self.recent.push_back((offset, seq, target));
    }

    /// Drops facts that can be read from the tables again: those below `written`.
    pub(super) fn trim_recent(&mut self, written: Offset) {
        while self.recent.len() > RECENT_MESSAGES
            && self.recent.front().is_some_and(|(o, _, _)| *o < written)
        {
            self.recent.pop_front();
        }
    }

    /// The facts of a recent entry. `None`: not at hand, see the tables; `Some(None)`: no message.
    pub(super) fn recent(&self, seq: Seq) -> Option<Option<&Target>> {
        let (_, first, _) = self.recent.front()?;
        let place = usize::try_from(seq.0.checked_sub(first.0)?).ok()?;
        let (_, _, target) = self.recent.get(place)?;
        Some(target.as_ref())
    }

    /// The members by partition of the `users` topic, worked out when membership changed.
    pub(super) fn routes(&mut self, partitions: u32) -> &mut Vec<(Partition, Vec<UserId>)> {
        let routes = self
            .routes
            .get_or_insert_with(|| Routes::of(self.members.keys(), partitions));
        &mut routes.0
    }

    /// The members, in the order of their ids.
    pub(super) fn everyone(&mut self) -> Arc<[UserId]> {
        let all = || self.members.keys().cloned().collect();
        Arc::clone(self.everyone.get_or_insert_with(all))
    }

    /// To be called when somebody came or went.
    pub(super) fn members_changed(&mut self) {
        self.routes = None;
        self.everyone = None;
    }

    /// How much room it takes in the cache, in rough units of a hundred bytes.
    pub fn weight(&self) -> usize {
        let verdicts: usize = self.rings.values().flatten().map(|(_, r)| r.len()).sum();
        4 + 2 * self.members.len() + verdicts + self.recent.len()
    }
}

impl Stay {
    /// The stay of a member of a direct chat: from before the first event.
    fn direct() -> Self {
        Self {
            since: Seq(0),
            since_ordinal: Ordinal(0),
            until: Seq(0),
            role: Role::Member,
            joined_at: Timestamp(0),
            version: Version(0),
        }
    }
}
