//! Groups: one message to all members, alone and among many that wait; beside it the same bytes in a
//! loop of one write a member. And what a busy group does to other people's messages.

use super::cast::{Cast, bare};
use super::measure::{Measured, Span, Times, from_any, measure_all, merge};
use super::stage::Stage;
use crate::fleet::Fleet;
use crate::fleet::drive::Shot;
use crate::fleet::marks::Marking;
use crate::fleet::schedule::sender;

/// Messages a second when each of them is alone.
const ALONE_RATE: u64 = 4;
/// Members that write when many messages wait.
const SENDERS: usize = 64;
/// Sockets in pairs beside a busy group, and their messages a second.
const BESIDE: (usize, u64) = (100, 1_000);

/// Deliveries a second of one message, and of many that wait, to a group of some size.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FanOut {
    /// One message alone: members by the time until the last has it, the median of all messages.
    pub alone: f64,
    /// Many waiting: all deliveries by the time until the last.
    pub waiting: f64,
    /// One message alone: until a member has it, p50 in microseconds.
    pub alone_micros: f64,
}

/// Fan-out of a node.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn of_node(
    stage: &Stage,
    members: usize,
    alone: usize,
    waiting: u64,
) -> anyhow::Result<FanOut> {
    let mut cast = Cast::new(stage, members, Marking::Delivered)?;
    cast.group(0..members)?;
    fan_out(&mut cast.live()?, alone, waiting)
}

/// Fan-out of a loop of one write a member.
///
/// # Errors
/// When a message is lost, repeated or swapped.
pub fn of_sends(
    stage: &Stage,
    members: usize,
    alone: usize,
    waiting: u64,
) -> anyhow::Result<FanOut> {
    let sends = stage.sends()?;
    fan_out(&mut bare(sends.address, members, members)?, alone, waiting)
}

fn fan_out(fleet: &mut Fleet, alone: usize, waiting: u64) -> anyhow::Result<FanOut> {
    let members = fleet.len();
    let span = Span {
        warm_up: 0.5,
        seconds: alone as f64 / ALONE_RATE as f64,
    };
    let times = Times::from_now(fleet, span);
    let shots = times.evenly(ALONE_RATE, |n| from_any(n, 0..members, 0));
    let found = measure_all(fleet, "a message alone", &times, 1, shots, None)?;
    burst(fleet, waiting / 10)?;
    let many = burst(fleet, waiting)?;
    let deliveries = waiting as f64 * members as f64;
    Ok(FanOut {
        alone: members as f64 / found.complete(0).p50 * 1e6,
        waiting: deliveries / many.lasted as f64 * 1e9,
        alone_micros: found.delivered(0).p50,
    })
}

/// So many messages of many senders, all due at once.
fn burst(fleet: &mut Fleet, messages: u64) -> anyhow::Result<Measured> {
    let span = Span {
        warm_up: 0.0,
        seconds: 0.001,
    };
    let times = Times::from_now(fleet, span);
    let (due, senders) = (times.begins, fleet.len().min(SENDERS));
    let shots = (0..messages).map(move |n| Shot {
        due,
        from: sender(n, senders),
        ..from_any(n, 0..1, 0)
    });
    measure_all(fleet, "messages waiting", &times, 1, shots, None)
}

/// One-to-one messages while a group of this size gets so many a second: class 0 is one-to-one, 1 the
/// group.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn beside(
    stage: &Stage,
    members: usize,
    group_rate: u64,
    span: Span,
) -> anyhow::Result<Measured> {
    let (pairs, rate) = BESIDE;
    let mut cast = Cast::new(stage, pairs + members, Marking::Delivered)?;
    cast.pairs(0..pairs);
    cast.group(pairs..pairs + members)?;
    let mut fleet = cast.live()?;
    let times = Times::from_now(&fleet, span);
    let group = times.evenly(group_rate, |n| from_any(n, pairs..pairs + members, 1));
    let shots = merge(times.evenly(rate, |n| from_any(n, 0..pairs, 0)), group);
    let name = format!("beside a group with {group_rate}/s");
    measure_all(&mut fleet, &name, &times, 2, shots, stage.id())
}
