//! Pairs that write to each other: one message from client to client, durable and marked, at a rate
//! fixed in advance; beside it the least it could take, write+fdatasync and a bare echo at the same
//! rate.

use serde::Serialize;

use super::cast::{Cast, bare};
use super::measure::{Measured, Span, Times, from_any, measure_all};
use super::stage::Stage;
use crate::fleet::Fleet;
use crate::fleet::marks::Marking;
use crate::fleet::tally::Latencies;

/// How much.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Load {
    /// Sockets, in pairs.
    pub sockets: usize,
    /// Messages a second, of all together.
    pub rate: u64,
    /// How long.
    pub span: Span,
}

/// One round on the node beside its raw limits.
#[derive(Debug, Clone)]
pub struct Round {
    /// Write+fdatasync.
    pub fsync: Latencies,
    /// A bare echo at the same rate.
    pub echo: Measured,
    /// The node.
    pub node: Measured,
}

impl Round {
    /// The median: of the node, and the sum of those of fdatasync and echo, in microseconds.
    #[must_use]
    pub fn p50(&self) -> (f64, f64) {
        let raw = self.fsync.micros(0.5) + self.echo.delivered(0).p50;
        (self.node.delivered(0).p50, raw)
    }

    /// The 99th of 100: of the node, and the sum of those of fdatasync and echo, in microseconds.
    #[must_use]
    pub fn p99(&self) -> (f64, f64) {
        let raw = self.fsync.micros(0.99) + self.echo.delivered(0).p99;
        (self.node.delivered(0).p99, raw)
    }
}

/// Measures fdatasync, echo and node one after the other, all at the same rate.
///
/// # Errors
/// When something does not start, or a run loses, repeats, swaps or refuses a message.
pub fn round(stage: &Stage, load: Load) -> anyhow::Result<Round> {
    let fsync = stage.fsync(load.rate, load.span)?;
    let echo = stage.echo()?;
    let mut fleet = bare(echo.address, load.sockets, 1)?;
    let id = Some(echo.id());
    let echo = at_rate(&mut fleet, "a bare echo", load.rate, load.span, id)?;
    Ok(Round {
        fsync,
        echo,
        node: alone(stage, load)?,
    })
}

/// Measures the node alone.
///
/// # Errors
/// As [`round`].
pub fn alone(stage: &Stage, load: Load) -> anyhow::Result<Measured> {
    let mut fleet = pairs(stage, load.sockets)?;
    at_rate(&mut fleet, "one-to-one", load.rate, load.span, stage.id())
}

/// Live sockets in pairs, each pair with a new chat.
///
/// # Errors
/// When one does not become live.
pub fn pairs(stage: &Stage, sockets: usize) -> anyhow::Result<Fleet> {
    let sockets = sockets.next_multiple_of(2);
    let mut cast = Cast::new(stage, sockets, Marking::Delivered)?;
    cast.pairs(0..sockets);
    cast.live()
}

/// Has every socket send to its first chat, all together at this rate.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn at_rate(
    fleet: &mut Fleet,
    name: &str,
    rate: u64,
    span: Span,
    server: Option<u32>,
) -> anyhow::Result<Measured> {
    let (times, all) = (Times::from_now(fleet, span), 0..fleet.len());
    let shots = times.evenly(rate, |n| from_any(n, all.clone(), 0));
    measure_all(fleet, name, &times, 1, shots, server)
}
