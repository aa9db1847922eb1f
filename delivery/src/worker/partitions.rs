//! Which partitions of `users` a worker reads, and where it is in each: those that somebody here is
//! subscribed in. Pure: who holds it does the reading.
//!
//! ```text
//!           somebody subscribes                  turn: the tail gains it
//!   away ─────────────────────────▶ wanted ─────────────────────────────▶ read
//!    ▲   answered with the end that                                        │
//!    │   was seen last: no later than the real one                         │ nobody is subscribed
//!    └──────────────────────────────── turn: the tail loses it ◀───────────┘ for a whole look
//! ```

use schemas::position::{Offset, Partition};

/// A partition as the worker has it.
#[derive(Debug, Clone)]
struct Place {
    /// The next offset to hand out; of one that is away, an end that it had.
    next: Offset,
    /// Users that are subscribed.
    users: usize,
    /// It is to be read.
    wanted: bool,
    /// The tail has it.
    tailed: bool,
    /// Nobody was subscribed at the last look, nor since.
    idle: bool,
}

/// All partitions.
#[derive(Debug)]
pub(super) struct Partitions(Vec<Place>);

/// What a tail is to gain and to lose.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Turn {
    /// With the offset from which it is to be read.
    pub(super) gained: Vec<(Partition, Offset)>,
    /// Nobody is subscribed there.
    pub(super) lost: Vec<Partition>,
}

impl Partitions {
    /// None is read; these are their ends.
    pub(super) fn new(ends: Vec<Offset>) -> Self {
        let away = |next| Place {
            next,
            users: 0,
            wanted: false,
            tailed: false,
            idle: true,
        };
        Self(ends.into_iter().map(away).collect())
    }

    fn place(&mut self, partition: Partition) -> Option<&mut Place> {
        self.0.get_mut(usize::try_from(partition.0).ok()?)
    }

    fn each(&self) -> impl Iterator<Item = (Partition, &Place)> {
        (0..).map(Partition).zip(&self.0)
    }

    /// The next offset to hand out.
    pub(super) fn next(&mut self, partition: Partition) -> Offset {
        self.place(partition)
            .map_or(Offset::default(), |place| place.next)
    }

    /// The same of each partition, in their order; none of those that are not read.
    pub(super) fn read(&self) -> Vec<Option<Offset>> {
        let next = |place: &Place| place.tailed.then_some(place.next);
        self.0.iter().map(next).collect()
    }

    /// It was handed out up to here, or has nothing before it any more.
    pub(super) fn reached(&mut self, partition: Partition, next: Offset) {
        if let Some(place) = self.place(partition) {
            place.next = next;
        }
    }

    /// One more user is subscribed; true when the tail is to turn for it.
    pub(super) fn came(&mut self, partition: Partition) -> bool {
        let Some(place) = self.place(partition) else {
            return false;
        };
        place.users += 1;
        place.idle = false;
        !std::mem::replace(&mut place.wanted, true)
    }

    /// One user fewer is subscribed.
    pub(super) fn went(&mut self, partition: Partition) {
        if let Some(place) = self.place(partition) {
            place.users = place.users.saturating_sub(1);
        }
    }

    /// Looks for partitions that nobody was subscribed in since the look before; true when the tail is
    /// to turn for them. Not at once: whoever reconnects is back before.
    pub(super) fn look(&mut self) -> bool {
        let mut turns = false;
        for place in self.0.iter_mut().filter(|place| place.users == 0) {
            turns |= place.wanted && place.idle;
            place.wanted &= !place.idle;
            place.idle = true;
        }
        turns
    }

    /// Those whose ends are to be looked at.
    pub(super) fn away(&self) -> Vec<Partition> {
        let away = self.each().filter(|(_, place)| place.is_away());
        away.map(|(partition, _)| partition).collect()
    }

    /// A partition ended there: whoever subscribes in it needs nothing from before.
    pub(super) fn ended(&mut self, partition: Partition, end: Offset) {
        if let Some(place) = self.place(partition)
            && place.is_away()
        {
            place.next = place.next.max(end);
        }
    }

    /// What the tail is to gain and to lose; it has it from now on.
    pub(super) fn turn(&mut self) -> Turn {
        let mut turn = Turn::default();
        for (partition, place) in (0..).map(Partition).zip(&mut self.0) {
            match (place.tailed, place.wanted) {
                (false, true) => turn.gained.push((partition, place.next)),
                (true, false) => turn.lost.push(partition),
                (false, false) | (true, true) => {}
            }
            place.tailed = place.wanted;
        }
        turn
    }

    /// Where a new tail is to begin; it has that from now on.
    pub(super) fn begin(&mut self) -> Vec<(Partition, Offset)> {
        for place in &mut self.0 {
            place.tailed = false;
        }
        self.turn().gained
    }
}

impl Place {
    /// Neither read nor about to be: nobody was promised anything of it.
    fn is_away(&self) -> bool {
        !self.tailed && !self.wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Partition = Partition(1);

    fn partitions() -> Partitions {
        Partitions::new([4, 5, 6].map(Offset).into())
    }

    #[test]
    fn a_partition_is_read_from_where_its_first_user_was_told_whatever_is_seen_meanwhile() {
        let mut all = partitions();
        all.ended(ONE, Offset(9));
        assert!(all.came(ONE));
        assert_eq!(all.next(ONE), Offset(9));
        // It was asked for before somebody came, and answered after.
        all.ended(ONE, Offset(12));
        assert!(!all.came(ONE), "it is on its way");
        assert_eq!(all.turn().gained, [(ONE, Offset(9))]);
        assert_eq!(all.turn(), Turn::default());
        assert_eq!(all.read(), [None, Some(Offset(9)), None]);
        assert_eq!(all.away(), [Partition(0), Partition(2)]);
        all.reached(ONE, Offset(11));
        assert_eq!(all.begin(), [(ONE, Offset(11))], "a new tail");
    }

    #[test]
    fn a_partition_that_nobody_needs_is_read_for_one_look_more() {
        let mut all = partitions();
        all.came(ONE);
        all.turn();
        all.went(ONE);
        assert!(!all.look(), "somebody was here since the last one");
        all.came(ONE);
        all.went(ONE);
        assert!(!all.look(), "and again");
        assert!(all.look());
        assert!(all.away().len() < 3, "the tail has it still");
        all.ended(ONE, Offset(50));
        assert_eq!(all.turn().lost, [ONE]);
        assert_eq!(all.next(ONE), Offset(5), "as far as it was handed out");
        all.ended(ONE, Offset(50));
        assert!(all.came(ONE));
        assert_eq!(all.turn().gained, [(ONE, Offset(50))]);
    }

    #[test]
    fn who_comes_before_the_tail_has_let_go_keeps_it() {
        let mut all = partitions();
        all.came(ONE);
        all.turn();
        all.went(ONE);
        all.look();
        assert!(all.look());
        assert!(all.came(ONE), "wanted anew");
        assert_eq!(all.turn(), Turn::default());
        assert_eq!(all.read(), [None, Some(Offset(5)), None]);
    }
}
