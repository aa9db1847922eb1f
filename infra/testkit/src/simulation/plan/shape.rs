//! The shape of a world: how many of everything, how large, and how likely each kind of trouble.
//!
//! Each seed has a shape of its own, with some kinds of trouble switched off: a world in which
//! everything goes wrong at once explores less than many in which a few things do.

use std::time::Duration;

use infra_ports::memory::Chances;
use projectors::EngineConfig;

use super::super::dice::Dice;
use crate::flaws::{ClientFlaw, Flaw};

/// Which roles share a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Composition {
    /// All roles in one process, as a node runs by default.
    Together,
    /// The projectors in one process, ingest and delivery in others, all on one log and store.
    Apart {
        /// How many of the latter.
        edges: usize,
    },
    /// The projectors in every process, which share their partitions in groups, on one log and store.
    Shared {
        /// How many processes serve as well.
        whole: usize,
        /// How many only project.
        folds: usize,
    },
}

/// A world.
#[derive(Debug, Clone)]
pub struct Shape {
    /// People; the first has two devices.
    pub users: usize,
    /// Which roles share a process.
    pub composition: Composition,
    /// Partitions of every topic.
    pub partitions: u32,
    /// How likely the faults of a moment are.
    pub chances: Chances,
    /// Connections break and devices crash.
    pub links_break: bool,
    /// Bytes that fit between a device and its gateway, each way.
    pub socket_bytes: usize,
    /// Tokens travel in the first frame instead of the handshake.
    pub says_hello: bool,
    /// How long a token is valid.
    pub token_for: Duration,
    /// Users come for more before they write down what they have.
    pub writes_late: bool,
    /// Sizes of the projectors.
    pub engine: EngineConfig,
    /// Sizes of delivery.
    pub delivery: delivery::Config,
    /// A rule that is broken on purpose, to see that it is found.
    pub flaw: Option<Flaw>,
    /// The same of every client.
    pub client_flaw: Option<ClientFlaw>,
}

impl Shape {
    /// Everything by default and nothing goes wrong.
    pub(super) fn calm() -> Self {
        Self {
            users: 3,
            composition: Composition::Together,
            partitions: 3,
            chances: Chances::CALM,
            links_break: false,
            socket_bytes: 64 * 1024,
            says_hello: false,
            token_for: Duration::from_secs(86_400),
            writes_late: false,
            engine: EngineConfig::default(),
            delivery: delivery::Config::default(),
            flaw: None,
            client_flaw: None,
        }
    }

    /// What a seed makes of it.
    pub(super) fn of(dice: &mut Dice) -> Self {
        let composition = composition(dice);
        Self {
            users: usize::try_from(dice.between(2, 4)).unwrap_or(2),
            composition,
            partitions: partitions(dice, composition),
            chances: chances(dice),
            links_break: dice.below(3) > 0,
            socket_bytes: *dice.pick(&[64 * 1024, 4 * 1024, 700]).unwrap_or(&4_096),
            says_hello: dice.once_in(2),
            token_for: Duration::from_secs(86_400),
            engine: engine(dice),
            delivery: delivery(dice),
            writes_late: dice.once_in(3),
            flaw: None,
            client_flaw: None,
        }
    }

    /// Processes of servers.
    #[must_use]
    pub fn nodes(&self) -> usize {
        match self.composition {
            Composition::Together => 1,
            Composition::Apart { edges } => 1 + edges,
            Composition::Shared { whole, folds } => whole + folds,
        }
    }

    /// True when the projectors of several processes share partitions.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        matches!(self.composition, Composition::Shared { .. })
    }
}

fn composition(dice: &mut Dice) -> Composition {
    let drawn = dice.below(6);
    let mut one_or_two = || usize::try_from(dice.between(1, 2)).unwrap_or(1);
    match drawn {
        0 | 3 => Composition::Apart {
            edges: one_or_two(),
        },
        5 => Composition::Shared {
            whole: one_or_two(),
            // A process that joins for a while shares with one alone as well: then half of it moves.
            folds: one_or_two() - 1,
        },
        _ => Composition::Together,
    }
}

/// Few; but where they are shared, everybody has some and some move when one more comes.
fn partitions(dice: &mut Dice, composition: Composition) -> u32 {
    let few = u32::try_from(dice.between(1, 4)).unwrap_or(1);
    match composition {
        Composition::Shared { .. } => few + 2,
        Composition::Together | Composition::Apart { .. } => few,
    }
}

fn chances(dice: &mut Dice) -> Chances {
    let mut or_none = |permille: u32| if dice.once_in(3) { 0 } else { permille };
    let mut chances = Chances {
        order: or_none(500),
        yields: or_none(200),
        delay: or_none(150),
        delay_max_ms: 20,
        crash: or_none(1),
        effect: or_none(15),
    };
    if dice.once_in(5) {
        // Few delays, but long ones.
        chances.delay = chances.delay.min(10);
        chances.delay_max_ms = 3_000;
    }
    chances
}

/// Bounds that matter even where there is little.
fn engine(dice: &mut Dice) -> EngineConfig {
    let mut upto = |most: u64| usize::try_from(dice.between(1, most)).unwrap_or(1);
    EngineConfig {
        chunk_records: upto(8),
        job_records: upto(20),
        max_gathered_records: upto(40),
        linger: Duration::from_millis(upto(12) as u64 - 1),
        rows_per_write: upto(10),
        rows_per_read: upto(50),
        cache_weight: upto(60),
        first_pause: Duration::from_millis(20),
        ..EngineConfig::default()
    }
}

fn delivery(dice: &mut Dice) -> delivery::Config {
    let default = delivery::Config::default();
    let small = dice.once_in(4);
    delivery::Config {
        outbox_bytes: if small {
            8 * 1024
        } else {
            default.outbox_bytes
        },
        outbox_frames: if small { 12 } else { default.outbox_frames },
        worker_batch: usize::try_from(dice.between(1, 20)).unwrap_or(1),
        ..default
    }
}
