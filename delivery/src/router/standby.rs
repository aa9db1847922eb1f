//! Hot standby: the next in line for a partition has its users subscribed, too, and tells them what the owner
//! tells. So when the owner is lost it goes on where it stands: nobody resumes, and nothing is read again.
//!
//! ```text
//!          users are subscribed there              the owner has told all that
//!   none ──────────────────────────────▶ comes ─────────────────────────────────▶ hot ──▶ owner
//!                                               comes before its first record          the owner is lost
//! ```
//!
//! Both tell all the time: one that kept silent would have to know what the owner, of which nothing is heard any
//! more, has told. Sessions drop what they have. Who subscribes is answered when both have it.

use futures_util::future::join_all;
use schemas::position::Partition;

use super::Shared;
use super::lanes::LaneId;
use super::moves::{ASK_AGAIN, BOTH_FOR, QUESTIONS, heard, latest};
use super::table::{At, Home, Left, Move, Table, partition};

/// The lane that stands by for a partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Standby {
    #[default]
    None,
    /// The users are subscribed there; what comes before its first record may not have been told yet.
    Comes(LaneId),
    /// It tells everything that has not been told yet.
    Hot(LaneId),
}

impl Standby {
    pub(super) fn lane(self) -> Option<LaneId> {
        match self {
            Self::None => None,
            Self::Comes(lane) | Self::Hot(lane) => Some(lane),
        }
    }

    /// Nobody stands by any more; who did.
    pub(super) fn take(&mut self) -> Option<LaneId> {
        std::mem::take(self).lane()
    }
}

impl Table {
    /// Subscribes the users of each partition that is where it belongs where they are to be subscribed too.
    fn begin_standbys(&mut self) -> Vec<Move> {
        let mut begun = Vec::new();
        for number in 0..self.homes.len() {
            let (target, standby) = self.aims(number);
            let Some(home) = self.homes.get_mut(number) else {
                continue;
            };
            let is_moving = home.at.is_none() || home.at != target || home.leaving.is_some();
            if is_moving || home.standby.lane() == standby {
                continue;
            }
            let left = home.standby.take();
            home.standby = standby.map_or(Standby::None, Standby::Comes);
            home.moves += 1;
            let moves = home.moves;
            self.leave(number, &[left]);
            begun.extend(standby.map(|to| Move {
                partition: partition(number),
                number: moves,
                to,
                answers: self.subscribe_all(number, Some(to)),
            }));
        }
        begun
    }

    /// A standby tells everything from now on; if it is still the same one.
    fn becomes_hot(&mut self, partition: Partition, number: u64) {
        if let Some(home) = self.home_of(partition)
            && home.moves == number
            && let Standby::Comes(lane) = home.standby
        {
            home.standby = Standby::Hot(lane);
        }
    }

    /// Those who stand by there do so no more.
    pub(super) fn drop_standbys(&mut self, is_one: impl Fn(Partition, &Home) -> bool) {
        for number in 0..self.homes.len() {
            let Some(home) = self.homes.get_mut(number) else {
                continue;
            };
            if home.standby.lane().is_some() && is_one(partition(number), home) {
                let left = home.standby.take();
                home.moves += 1;
                self.leave(number, &[left]);
            }
        }
    }

    /// The owner of partitions was lost: those that are told by a standby as well are that one's.
    pub(super) fn switch(&mut self, lost: LaneId) {
        let mut switched = 0_usize;
        for number in 0..self.homes.len() {
            let Some(home) = self.homes.get_mut(number) else {
                continue;
            };
            if let Standby::Hot(lane) = home.standby
                && home.at == Some(lost)
            {
                (home.at, home.standby) = (Some(lane), Standby::None);
                home.moves += 1;
                switched += 1;
                self.leave(number, &[Some(lost)]);
            }
        }
        if switched > 0 {
            tracing::info!(
                partitions = switched,
                "standbys go on for a worker that was lost"
            );
        }
    }
}

/// Has somebody stand by wherever somebody should, until the router is closed.
pub(super) async fn run(shared: &Shared) {
    loop {
        let begun = {
            let mut table = shared.table.lock();
            if table.is_closed() {
                return;
            }
            table.begin_standbys()
        };
        if begun.is_empty() {
            shared.stood_by.notified().await;
            continue;
        }
        tracing::info!(partitions = begun.len(), "workers stand by");
        join_all(begun.into_iter().map(|one| carry_out(shared, one))).await;
    }
}

async fn carry_out(shared: &Shared, one: Move) {
    let (partition, number) = (one.partition, one.number);
    let Some(from) = heard(shared, one.to, latest(one.answers)).await else {
        return;
    };
    for _ in 0..QUESTIONS {
        let asked = shared.table.lock().ask(partition, number, At::Owner);
        let told = match asked {
            // Who comes is subscribed at both.
            Left::Over => true,
            Left::Asked(owner, answer) => match heard(shared, owner, answer).await {
                Some(there) => there.from >= from,
                None => return,
            },
        };
        if told {
            // It says how far it is before it has sent that.
            shared.runtime.sleep(BOTH_FOR).await;
            shared.table.lock().becomes_hot(partition, number);
            return;
        }
        shared.runtime.sleep(ASK_AGAIN).await;
    }
    // Begun anew: the owner may never get there.
    let mut table = shared.table.lock();
    table.drop_standbys(|of, home| of == partition && home.moves == number);
}
