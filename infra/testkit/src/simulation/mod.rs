//! The whole-node simulation: real ingest, folds, engine, delivery and client sessions on ports in
//! memory, under a seeded executor with virtual time.
//!
//! ```text
//!  seed ─▶ plan (who does what, what befalls the world, when)     ─┐
//!       └▶ choices (which task runs, what waits, fails, crashes) ──┴▶ world ─▶ outcome
//!
//!  device ═ line ═ gateway · ingest · projectors ═ log, store        witness sees all devices,
//!  (one app each)  (one or several processes)      (what survives)   truth is read at rest
//! ```
//!
//! Same seed, same run, bit for bit, on any machine. Trouble is of two sorts: *choices* are made at
//! every fault point, each under a key of its own; *events* stand in the plan. Both can be taken back
//! one by one, so a failing run is shrunk to what matters. See `docs/simulation.md`.

mod acts;
mod cast;
mod device;
mod dice;
mod line;
mod membership;
mod network;
mod plan;
mod server;
mod shrink;
mod sweep;
mod told_marks;
mod told_ticks;
mod truth;
mod user;
mod weather;
mod witness;
mod world;

pub use plan::{Act, Action, Composition, Deed, Event, Plan, Shape};
pub use shrink::{Shrunk, shrink};
pub use sweep::{Found, sweep};

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use infra_ports::memory::runtime::{ChoiceKey, Choices};

use self::world::World;
use crate::checker::Observation;

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// What was promised and did not hold.
    #[error("{}", .0.join("; "))]
    Broken(Vec<String>),
    /// A task panicked.
    #[error("panicked: {0}")]
    Panicked(String),
    /// It went on for longer than any sound run.
    #[error("the steps are used up")]
    StepsUsedUp,
}

/// What became of a run.
#[derive(Debug)]
pub struct Outcome {
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// A hash of everything: which task was polled when, and all that devices were told.
    pub trace: u64,
    /// Polls and jumps of time.
    pub steps: u64,
    /// Virtual time.
    pub lived: Duration,
    /// Processes and powers that failed.
    pub crashes: u32,
    /// Commands that were acknowledged.
    pub acknowledged: usize,
    /// Entries that were handed to users.
    pub delivered: usize,
    /// The decisions that were not the harmless ones.
    pub made: BTreeMap<ChoiceKey, u32>,
    /// Every decision asked for, where that was kept.
    pub asked: Vec<(ChoiceKey, u32)>,
    /// What happened, line by line, where that was kept.
    pub told: Vec<String>,
}

/// What a run keeps for those who look at it afterwards.
#[derive(Debug, Clone, Copy, Default)]
pub struct Keep {
    /// What happened, line by line.
    pub told: bool,
    /// Every decision asked for.
    pub asked: bool,
}

/// Runs the plan and the choices of a seed.
#[must_use]
pub fn simulate(seed: u64, keep: Keep) -> Outcome {
    let plan = Plan::of(seed);
    let choices = Choices::seeded(seed, plan.shape.chances);
    run(&plan, choices, keep)
}

/// Runs a plan under some choices.
#[must_use]
pub fn run(plan: &Plan, mut choices: Choices, keep: Keep) -> Outcome {
    if keep.asked {
        choices.keep_asked();
    }
    let mut world = World::new(&plan.shape, choices, keep.told);
    let failure = live(&mut world, plan).err();
    outcome(&world, failure)
}

fn live(world: &mut World, plan: &Plan) -> Result<(), Failure> {
    for action in &plan.actions {
        world.come_to(action)?;
    }
    world.rest()
}

fn outcome(world: &World, failure: Option<Failure>) -> Outcome {
    let seen: Vec<Observation> = world
        .devices
        .iter()
        .flat_map(|device| device.recorder.observations())
        .collect();
    let count = |wanted: fn(&Observation) -> bool| seen.iter().filter(|o| wanted(o)).count();
    let choices = world.executor.choices();
    let (made, asked) = (choices.made().clone(), choices.asked().to_vec());
    drop(choices);
    Outcome {
        failure,
        trace: hash(world.executor.trace(), &format!("{seen:?}")),
        steps: world.executor.steps(),
        lived: world.executor.elapsed(),
        crashes: world.crashes,
        acknowledged: count(|o| matches!(o, Observation::Acknowledged { .. })),
        delivered: count(|o| matches!(o, Observation::Received(_))),
        made,
        asked,
        told: world.witness.told(),
    }
}

/// FNV-1a.
fn hash(start: u64, text: &str) -> u64 {
    text.bytes()
        .fold(start ^ 0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
}

/// The answer of a port without faults, which never waits.
fn at_once<T>(future: impl Future<Output = T>) -> T {
    future
        .now_or_never()
        .expect("a port without faults answers at once")
}
