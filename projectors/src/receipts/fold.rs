//! The fold of a chat's marks: who has got how far, and the two counters that follow. Pure.
//!
//! Marks only grow and the largest wins, so their order does not matter. The counters are step
//! functions over seq made of the stretches (joined, mark] of the members; a member counts once,
//! whichever of their devices is ahead.

use std::collections::{BTreeMap, BTreeSet};

use schemas::events::{Mark, MarkKind};
use schemas::ids::{DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Seq, Timestamp, Version};
use schemas::tables::Steps;

/// A place with the countable messages up to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reached {
    /// Up to here.
    pub seq: Seq,
    /// Countable messages up to there.
    pub ordinal: Ordinal,
}

/// How far one device has got in one stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceMarks {
    /// It has everything up to here.
    pub delivered: Reached,
    /// The user has read on it up to here.
    pub read: Reached,
}

/// One device of one stay: user, device, join.
pub type Who = (UserId, DeviceId, Seq);

/// What is to be told after a chunk.
#[derive(Debug, Default)]
pub struct Ticks {
    /// Whom to tell of the counters.
    pub authors: BTreeSet<UserId>,
    /// The newest place that was marked.
    pub seq: Seq,
    /// The newest mark's own place in the log and time.
    pub origin: Option<(Offset, Timestamp)>,
    /// Read marks of users, for their own devices.
    pub own: BTreeMap<UserId, OwnRead>,
}

/// How far a user has read, and on which device they did last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRead {
    /// On this device.
    pub device: DeviceId,
    /// Up to here.
    pub reached: Reached,
    /// The mark's place in the log.
    pub origin: Offset,
    /// The mark's time.
    pub at: Timestamp,
}

/// The marks of one chat.
#[derive(Debug, Default)]
pub struct Marks {
    /// The newest mark that changed anything: what rows are written as.
    pub position: Version,
    by_user: BTreeMap<UserId, BTreeMap<Seq, BTreeMap<DeviceId, DeviceMarks>>>,
    delivered: Steps,
    read: Steps,
    /// Devices whose marks grew since they were last written.
    pub(super) unwritten: BTreeSet<Who>,
    /// News not told yet.
    pub(super) ticks: Ticks,
    devices: usize,
}

impl Marks {
    /// Takes in a device's marks as they were written. The counters follow.
    pub fn restore(&mut self, who: Who, marks: DeviceMarks, version: Version) {
        let before = self.furthest(&who.0, who.2);
        self.position = self.position.max(version);
        self.put(&who, marks);
        self.count(&who, before);
    }

    /// Applies a mark. Returns whether anything grew.
    ///
    /// What was applied before grows nothing. So no mark is skipped by its place: of marks that were
    /// written together, and are in one replica of the store only, a load may see the newest and not
    /// the others; they come again, since no checkpoint is beyond them. Rows are written as of the
    /// mark that grew them now, be there newer ones: those of the store stay.
    pub fn apply(&mut self, mark: &Mark, offset: Offset) -> bool {
        let who = (mark.user.clone(), mark.device.clone(), mark.since);
        let reached = Reached {
            seq: mark.seq,
            ordinal: mark.ordinal,
        };
        let had = self.of(&who);
        let mut has = had;
        has.delivered = has.delivered.max(reached);
        if mark.kind == MarkKind::Read {
            has.read = has.read.max(reached);
        }
        if has == had {
            return false;
        }
        let before = self.furthest(&who.0, who.2);
        let read_before = self.user_read(&who.0).map(|(reached, _)| reached);
        self.position = Version::from(offset);
        self.put(&who, has);
        let grew = self.count(&who, before);
        self.note(mark, offset, read_before, grew);
        self.unwritten.insert(who);
        true
    }

    /// How far a device has got in a stay.
    pub fn of(&self, (user, device, since): &Who) -> DeviceMarks {
        let stay = self.by_user.get(user).and_then(|stays| stays.get(since));
        let marks = stay.and_then(|devices| devices.get(device));
        marks.copied().unwrap_or_default()
    }

    /// How far a device has got, and the join that this belongs to: that of its last stay.
    pub fn device_cursor(&self, user: &UserId, device: &DeviceId) -> Option<(Reached, Seq)> {
        let stays = self.by_user.get(user)?.iter().rev();
        let mut found = stays.filter_map(|(since, d)| d.get(device).map(|m| (m.delivered, *since)));
        found.next()
    }

    /// Up to where the user has read, and the join that this belongs to: that of the last stay in
    /// which they read anything.
    pub fn user_read(&self, user: &UserId) -> Option<(Reached, Seq)> {
        let stays = self.by_user.get(user)?.iter().rev();
        let furthest = stays.map(|(since, _)| (self.furthest(user, *since).read, *since));
        let mut read = furthest.filter(|(reached, _)| reached.seq > Seq(0));
        read.next()
    }

    /// The two counters: delivered and read.
    pub fn counters(&self) -> (&Steps, &Steps) {
        (&self.delivered, &self.read)
    }

    /// Whether a user counts among those who have, and who have read, the message at `seq`.
    pub fn covers(&self, user: &UserId, seq: Seq) -> (bool, bool) {
        let stays = self.by_user.get(user).into_iter().flat_map(BTreeMap::keys);
        let reached = stays.filter(|since| **since < seq).map(|since| {
            let furthest = self.furthest(user, *since);
            let read = furthest.read.seq >= seq;
            (read || furthest.delivered.seq >= seq, read)
        });
        reached.fold((false, false), |(a, b), (delivered, read)| {
            (a || delivered, b || read)
        })
    }

    /// Devices with marks, over all stays.
    pub fn devices(&self) -> usize {
        self.devices
    }

    fn put(&mut self, (user, device, since): &Who, marks: DeviceMarks) {
        let stays = self.by_user.entry(user.clone()).or_default();
        let devices = stays.entry(*since).or_default();
        if devices.insert(device.clone(), marks).is_none() {
            self.devices += 1;
        }
    }

    /// The furthest that any device of the user has got in a stay.
    fn furthest(&self, user: &UserId, since: Seq) -> DeviceMarks {
        let stay = self.by_user.get(user).and_then(|stays| stays.get(&since));
        let devices = stay.into_iter().flat_map(BTreeMap::values);
        devices.fold(DeviceMarks::default(), |furthest, one| DeviceMarks {
            delivered: furthest.delivered.max(one.delivered),
            read: furthest.read.max(one.read),
        })
    }

    /// Counts what a stay covers now and did not cover `before`. Returns whether a counter changed.
    fn count(&mut self, (user, _, since): &Who, before: DeviceMarks) -> bool {
        let now = self.furthest(user, *since);
        let covered = |had: Reached, has: Reached| (had.seq.max(*since), has.seq.max(*since));
        let (from, to) = covered(before.delivered, now.delivered);
        self.delivered.cover(from, to);
        let (read_from, read_to) = covered(before.read, now.read);
        self.read.cover(read_from, read_to);
        from < to || read_from < read_to
    }

    fn note(&mut self, mark: &Mark, offset: Offset, read_before: Option<Reached>, grew: bool) {
        if grew {
            self.ticks.authors.extend(mark.authors.iter().cloned());
            self.ticks.seq = self.ticks.seq.max(mark.seq);
            self.ticks.origin = Some((offset, mark.at));
        }
        let read = self.user_read(&mark.user).map(|(reached, _)| reached);
        if read > read_before
            && let Some(reached) = read
        {
            let own = OwnRead {
                device: mark.device.clone(),
                reached,
                origin: offset,
                at: mark.at,
            };
            self.ticks.own.insert(mark.user.clone(), own);
        }
    }
}
