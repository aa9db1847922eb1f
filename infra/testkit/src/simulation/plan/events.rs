//! What befalls the world: crashes, power cuts, zombies, full disks, outages, clocks that jump.

use super::super::dice::Dice;
use super::Shape;

/// Something that befalls the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A node of servers is killed, by its place; it is started again after a while.
    Kill(usize),
    /// A node goes down in order and is started again.
    Restart(usize),
    /// All nodes lose their power, and what was not synced.
    PowerCut,
    /// A second instance of the projectors begins to work beside the first.
    Zombie,
    /// It ends.
    ZombieEnds,
    /// Disks are full, or no longer.
    DiskFull(bool),
    /// The store answers nothing, or again.
    StoreDown(bool),
    /// The log answers nothing, or again.
    LogDown(bool),
    /// An fsync of the log fails.
    FsyncFails,
    /// The wall clock of a node jumps by so many milliseconds.
    ClockJump(usize, i64),
    /// What everybody has of `users` is dropped.
    Retention,
    /// One more process joins those that share the projectors' partitions; true: it hears what is
    /// taken from it, false: it does not, and goes on with what others have by then.
    Joins(bool),
    /// It leaves in order.
    Leaves,
    /// Every member of every group counts as dead, and those that hear are told so.
    GivenUp,
}

/// Events of one plan: some kinds only, so that each has runs of its own.
pub(super) struct Events {
    kinds: Vec<u64>,
    once_in: u64,
    nodes: u64,
    zombie: bool,
    disk_full: bool,
    store_down: bool,
    log_down: bool,
}

impl Events {
    pub(super) fn new(dice: &mut Dice, shape: &Shape) -> Self {
        let mut kinds: Vec<u64> = (0..10).filter(|_| dice.once_in(3)).collect();
        if shape.is_shared() {
            // All of them: partitions that move once do little, those that come back may.
            kinds.extend(10..14);
        }
        Self {
            kinds,
            once_in: if shape.is_shared() {
                dice.between(2, 5)
            } else {
                dice.between(4, 12)
            },
            nodes: u64::try_from(shape.nodes()).unwrap_or(1),
            zombie: false,
            disk_full: false,
            store_down: false,
            log_down: false,
        }
    }

    /// Now and then an event.
    pub(super) fn draw(&mut self, dice: &mut Dice) -> Option<Event> {
        if !dice.once_in(self.once_in) {
            return None;
        }
        let flip = |flag: &mut bool| {
            *flag = !*flag;
            *flag
        };
        let node = usize::try_from(dice.below(self.nodes)).unwrap_or(0);
        Some(match dice.pick(&self.kinds)? {
            0 => Event::Kill(node),
            1 => Event::Restart(node),
            2 => Event::PowerCut,
            3 if flip(&mut self.zombie) => Event::Zombie,
            3 => Event::ZombieEnds,
            4 => Event::DiskFull(flip(&mut self.disk_full)),
            5 => Event::StoreDown(flip(&mut self.store_down)),
            6 => Event::LogDown(flip(&mut self.log_down)),
            7 => Event::FsyncFails,
            8 => {
                let ms = i64::try_from(dice.below(7_200_000)).unwrap_or(0);
                Event::ClockJump(node, ms - 3_600_000)
            }
            9 => Event::Retention,
            10 => Event::Joins(true),
            11 => Event::Joins(false),
            12 => Event::Leaves,
            _ => Event::GivenUp,
        })
    }
}
