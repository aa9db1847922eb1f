//! What a router knows: its lanes, and where each partition's users are subscribed. Calls lanes, which
//! answer at once; waits for nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use infra_ports::link::{Link, SubscriberId, Subscribing};
use infra_ports::registry::{Assignment, Lease, NodeName};
use schemas::ids::UserId;
use schemas::position::Partition;
use schemas::topics::partition_of;

use super::Sharing;
use super::lanes::{Lane, LaneId};
use super::standby::Standby;
use super::waiting::Waiting;

/// A partition's users and where they are subscribed.
#[derive(Default)]
pub(super) struct Home {
    pub(super) users: BTreeMap<UserId, SubscriberId>,
    /// A lane that is up; none when no worker is reached.
    pub(super) at: Option<LaneId>,
    /// The lane that is left once it has told what came before the other one's first record.
    pub(super) leaving: Option<LaneId>,
    /// The lane that was left last, and at which look.
    left: Option<(LaneId, u64)>,
    /// The lane that stands by: it tells all users too.
    pub(super) standby: Standby,
    /// Counts where it was.
    pub(super) moves: u64,
}

impl Home {
    /// True when a lane tells of this partition, as seen at this look. For one look longer than it has
    /// the partition: a worker says how far it has got when it has picked records out, which may be
    /// before it has sent them.
    fn hears(&self, id: LaneId, look: u64) -> bool {
        let left = self.left.filter(|(_, at)| look <= at + 1);
        [self.at, self.leaving, left.map(|(id, _)| id)].contains(&Some(id))
    }
}

/// What follows from a change.
#[derive(Default)]
pub(super) struct Changed {
    /// Records of these partitions may have been left out.
    pub(super) detached: Vec<Partition>,
    /// Lanes that nobody needs any more.
    pub(super) dropped: Vec<Lane>,
}

/// A partition that began to move.
pub(super) struct Move {
    pub(super) partition: Partition,
    /// Which of its moves.
    pub(super) number: u64,
    pub(super) to: LaneId,
    /// What the new worker will answer.
    pub(super) answers: Vec<Subscribing>,
}

/// One of the workers of a partition.
#[derive(Clone, Copy)]
pub(super) enum At {
    /// The one that it leaves.
    Leaving,
    /// The one that it belongs to.
    Owner,
}

/// How a move stands.
pub(super) enum Left {
    /// The worker is asked how far it has got.
    Asked(LaneId, Subscribing),
    /// Nobody is there to be told twice or not at all, or something else has begun.
    Over,
}

/// Lanes and homes.
pub(super) struct Table {
    /// The next in line for a partition tells its users too.
    hot: bool,
    lanes: BTreeMap<LaneId, Lane>,
    numbered: u64,
    /// How often it was told which workers there are.
    looks: u64,
    pub(super) homes: Vec<Home>,
    /// The lane that each partition belongs to.
    targets: Vec<Option<LaneId>>,
    /// The lane that is to stand by for each.
    standbys: Vec<Option<LaneId>>,
    /// Who waits for a worker to be reached: hears `LinkGone` then, and asks again.
    waiting: Waiting,
    /// No worker is taken any more.
    closed: bool,
}

fn index(partition: Partition) -> usize {
    usize::try_from(partition.0).unwrap_or(usize::MAX)
}

pub(super) fn partition(number: usize) -> Partition {
    Partition(u32::try_from(number).unwrap_or(u32::MAX))
}

impl Table {
    pub(super) fn new(sharing: Sharing) -> Self {
        let all = || 0..sharing.partitions;
        Self {
            hot: sharing.hot_standby,
            lanes: BTreeMap::new(),
            numbered: 0,
            looks: 0,
            homes: all().map(|_| Home::default()).collect(),
            targets: all().map(|_| None).collect(),
            standbys: all().map(|_| None).collect(),
            waiting: Waiting::default(),
            closed: false,
        }
    }

    fn home(&mut self, user: &UserId) -> Option<&mut Home> {
        let count = u32::try_from(self.homes.len()).unwrap_or(u32::MAX);
        let partition = partition_of(user.as_str().as_bytes(), count);
        self.homes.get_mut(index(partition))
    }

    pub(super) fn home_of(&mut self, partition: Partition) -> Option<&mut Home> {
        self.homes.get_mut(index(partition))
    }

    /// Where a partition belongs, and who is to stand by for it.
    pub(super) fn aims(&self, number: usize) -> (Option<LaneId>, Option<LaneId>) {
        let of = |lanes: &[Option<LaneId>]| lanes.get(number).copied().flatten();
        (of(&self.targets), of(&self.standbys))
    }

    fn link(&self, id: Option<LaneId>) -> Option<Arc<dyn Link>> {
        Some(Arc::clone(&self.lanes.get(&id?)?.link))
    }

    pub(super) fn subscribe(&mut self, user: &UserId, subscriber: SubscriberId) -> Subscribing {
        let (mut at, mut standby, mut leaving) = (None, None, None);
        if let Some(home) = self.home(user) {
            home.users.insert(user.clone(), subscriber);
            (at, standby, leaving) = (home.at, home.standby.lane(), home.leaving);
        }
        if let Some(old) = self.link(leaving) {
            // It has all users of the partition until it is left. Nobody waits for its answer.
            drop(old.subscribe(user, subscriber));
        }
        let Some(link) = self.link(at) else {
            return self.waiting.one();
        };
        let answer = link.subscribe(user, subscriber);
        match self.link(standby) {
            Some(standby) => Subscribing::both(answer, standby.subscribe(user, subscriber)),
            None => answer,
        }
    }

    pub(super) fn unsubscribe(&mut self, user: &UserId) {
        let Some(home) = self.home(user) else {
            return;
        };
        home.users.remove(user);
        for at in [home.at, home.leaving, home.standby.lane()] {
            if let Some(link) = self.link(at) {
                link.unsubscribe(user);
            }
        }
    }

    /// How many users the workers know: those that are placed, less those that a link does not hold
    /// though it has their partition.
    pub(super) fn known(&self) -> usize {
        let placed = self.homes.iter().filter(|home| home.at.is_some());
        let placed: usize = placed.map(|home| home.users.len()).sum();
        let mut due = BTreeMap::<LaneId, usize>::new();
        for home in &self.homes {
            let standby = home.standby.lane();
            for id in [home.at, home.leaving, standby].into_iter().flatten() {
                *due.entry(id).or_default() += home.users.len();
            }
        }
        let missing = due.into_iter().map(|(id, due)| {
            let held = self.link(Some(id)).map_or(0, |link| link.subscribers());
            due.saturating_sub(held)
        });
        placed.saturating_sub(missing.sum())
    }

    pub(super) fn reached(&self) -> usize {
        self.lanes.values().filter(|lane| lane.up).count()
    }

    pub(super) fn hears_of(&self, partition: Partition, id: LaneId) -> bool {
        let home = self.homes.get(index(partition));
        home.is_some_and(|home| home.hears(id, self.looks))
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }

    /// All lanes go, and none comes any more.
    pub(super) fn close(&mut self) -> Changed {
        self.closed = true;
        self.homes
            .iter_mut()
            .for_each(|home| *home = Home::default());
        Changed {
            detached: Vec::new(),
            dropped: std::mem::take(&mut self.lanes).into_values().collect(),
        }
    }

    /// These are to be the workers: answers those that have no lane yet, with the numbers of theirs.
    pub(super) fn keep(&mut self, members: &[Lease]) -> Vec<(LaneId, Lease)> {
        let is_to = |lane: &Lane, lease: &Lease| {
            lane.worker.name == lease.name && lane.worker.detail == lease.detail
        };
        self.looks += 1;
        for lane in self.lanes.values_mut() {
            lane.wanted = members.iter().any(|lease| is_to(lane, lease));
        }
        let has_lane = |lease: &&Lease| !self.lanes.values().any(|lane| is_to(lane, lease));
        let missing: Vec<Lease> = members.iter().filter(has_lane).cloned().collect();
        let numbered = missing.into_iter().map(|lease| {
            self.numbered += 1;
            (LaneId(self.numbered), lease)
        });
        numbered.collect()
    }

    /// A worker has a link; `up` is what was told of it before there was a lane to be told of. It is
    /// read here, with the table locked: who says otherwise from now on finds the lane.
    pub(super) fn add(&mut self, id: LaneId, worker: Lease, link: Arc<dyn Link>, up: &AtomicBool) {
        let lane = Lane {
            worker,
            link,
            up: up.load(Ordering::Acquire),
            wanted: true,
        };
        if !self.closed {
            self.lanes.insert(id, lane);
        }
    }

    /// A worker is reached.
    pub(super) fn came(&mut self, id: LaneId) -> Changed {
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.up = true;
        }
        self.place_all();
        Changed::default()
    }

    /// A worker is not reached any more: its partitions go to others, with what they were told in doubt.
    pub(super) fn lost(&mut self, id: LaneId) -> Changed {
        match self.lanes.get_mut(&id) {
            Some(lane) if lane.up => lane.up = false,
            Some(_) | None => return Changed::default(),
        }
        self.drop_standbys(|_, home| home.standby.lane() == Some(id));
        self.switch(id);
        let mut detached = Vec::new();
        for number in 0..self.homes.len() {
            let Some(home) = self.homes.get_mut(number) else {
                continue;
            };
            if !home.hears(id, self.looks) {
                continue;
            }
            detached.push(partition(number));
            home.left = None;
            if home.at != Some(id) && home.leaving != Some(id) {
                continue;
            }
            let stays = home.at.filter(|at| *at != id);
            let left = [home.at, home.leaving, home.standby.take()]
                .map(|lane| lane.filter(|lane| Some(*lane) != stays));
            (home.at, home.leaving) = (stays, None);
            home.moves += 1;
            self.leave(number, &left);
        }
        self.place_all();
        let dropped = Vec::new();
        Changed { detached, dropped }
    }

    /// A worker that is taken for reached and does not answer: it is lost, and its link with it. If it
    /// is still known at the next look it is linked to anew.
    pub(super) fn give_up(&mut self, id: LaneId) -> Changed {
        let mut changed = self.lost(id);
        if let Some(lane) = self.lanes.remove(&id) {
            tracing::warn!(worker = %lane.worker.name, "a worker does not answer, it is left");
            changed.dropped.push(lane);
        }
        changed
    }

    /// Decides anew where each partition belongs, and subscribes the users of those that are nowhere.
    fn place_all(&mut self) {
        self.aim();
        for number in 0..self.homes.len() {
            let (target, _) = self.aims(number);
            let Some(home) = self.homes.get_mut(number) else {
                continue;
            };
            if home.at.is_none() && target.is_some() {
                home.at = target;
                home.moves += 1;
                // Whoever waits for an answer asks again.
                drop(self.subscribe_all(number, target));
            }
        }
        if self.homes.iter().all(|home| home.at.is_some()) {
            self.waiting.ask_again();
        }
    }

    /// Those who are wanted and reached; if there are none, those who are reached.
    fn aim(&mut self) {
        let reached = || self.lanes.iter().filter(|(_, lane)| lane.up);
        let mut fit: BTreeMap<&NodeName, LaneId> = BTreeMap::new();
        fit.extend(
            reached()
                .filter(|(_, lane)| lane.wanted)
                .map(|(id, lane)| (&lane.worker.name, *id)),
        );
        if fit.is_empty() {
            fit.extend(reached().map(|(id, lane)| (&lane.worker.name, *id)));
        }
        let lane = |name: &NodeName| fit.get(name).copied();
        let names: Vec<NodeName> = fit.keys().map(|name| (*name).clone()).collect();
        let count = u32::try_from(self.homes.len()).unwrap_or(u32::MAX);
        let assignment = Assignment::of(&names, count);
        let all = || (0..count).map(Partition);
        let target = |partition| lane(&assignment.place(partition)?.owner);
        let standby = |partition| lane(assignment.place(partition)?.standby.as_ref()?);
        self.targets = all().map(target).collect();
        self.standbys = all().map(|one| standby(one).filter(|_| self.hot)).collect();
    }

    pub(super) fn subscribe_all(&self, number: usize, at: Option<LaneId>) -> Vec<Subscribing> {
        let (Some(link), Some(home)) = (self.link(at), self.homes.get(number)) else {
            return Vec::new();
        };
        let users = home.users.iter();
        users
            .map(|(user, subscriber)| link.subscribe(user, *subscriber))
            .collect()
    }

    /// Unsubscribes a partition's users from lanes.
    pub(super) fn leave(&self, number: usize, lanes: &[Option<LaneId>]) {
        let Some(home) = self.homes.get(number) else {
            return;
        };
        for link in lanes.iter().filter_map(|id| self.link(*id)) {
            home.users.keys().for_each(|user| link.unsubscribe(user));
        }
    }

    /// All lanes are there that the last look asked for; those that nobody needs go.
    pub(super) fn looked(&mut self) -> Changed {
        self.place_all();
        let (homes, look) = (&self.homes, self.looks);
        let gone = |(id, lane): (&LaneId, &Lane)| {
            let is_used = |home: &Home| home.hears(*id, look) || home.standby.lane() == Some(*id);
            let used = lane.wanted || homes.iter().any(is_used);
            (!used).then_some(*id)
        };
        let gone: Vec<LaneId> = self.lanes.iter().filter_map(gone).collect();
        Changed {
            detached: Vec::new(),
            dropped: gone.iter().filter_map(|id| self.lanes.remove(id)).collect(),
        }
    }

    /// Begins to move every partition that is not where it belongs.
    pub(super) fn begin_moves(&mut self) -> Vec<Move> {
        let mut begun = Vec::new();
        for number in 0..self.homes.len() {
            let (target, _) = self.aims(number);
            let Some(home) = self.homes.get_mut(number) else {
                continue;
            };
            let Some(to) = target.filter(|_| home.at != target && home.leaving.is_none()) else {
                continue;
            };
            if home.standby == Standby::Hot(to) {
                // It tells everything already, whether the other one still answers or not.
                let left = home.at.replace(to);
                home.standby = Standby::None;
                home.moves += 1;
                self.leave(number, &[left]);
                continue;
            }
            (home.leaving, home.at) = (home.at, target);
            let standby = home
                .standby
                .take()
                .filter(|standby| Some(*standby) != target);
            home.moves += 1;
            let moves = home.moves;
            self.leave(number, &[standby]);
            begun.push(Move {
                partition: partition(number),
                number: moves,
                to,
                answers: self.subscribe_all(number, target),
            });
        }
        begun
    }

    /// Asks a worker of a partition how far it has got: by subscribing somebody once more.
    pub(super) fn ask(&self, partition: Partition, number: u64, at: At) -> Left {
        let home = self.homes.get(index(partition));
        let Some(home) = home.filter(|home| home.moves == number) else {
            return Left::Over;
        };
        let at = match at {
            At::Leaving => home.leaving,
            At::Owner => home.at,
        };
        let (Some(at), Some((user, subscriber))) = (at, home.users.first_key_value()) else {
            return Left::Over;
        };
        match self.link(Some(at)) {
            Some(link) => Left::Asked(at, link.subscribe(user, *subscriber)),
            None => Left::Over,
        }
    }

    /// Leaves the old worker, if this is still the same move; what it owed may be lost with it.
    pub(super) fn end_move(&mut self, partition: Partition, number: u64, owed: bool) -> Changed {
        let place = index(partition);
        let mut detached = Vec::new();
        if let Some(home) = self.homes.get_mut(place)
            && home.moves == number
        {
            let left = home.leaving.take();
            home.left = left.map(|left| (left, self.looks));
            detached.extend(owed.then_some(partition));
            self.leave(place, &[left]);
        }
        let dropped = Vec::new();
        Changed { detached, dropped }
    }
}
