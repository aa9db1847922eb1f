//! Who was away and comes back: a storm of reconnects with something to catch up, and one device
//! that has missed very much.

use std::ops::Range;
use std::time::Duration;

use super::cast::Cast;
use super::measure::{Span, TEXT_BYTES, Times, from_any};
use super::stage::Stage;
use crate::fleet::drive::{Run, Shot, Until};
use crate::fleet::marks::Marking;
use crate::fleet::{Fleet, Nanos};
use crate::progress::Progress;

/// Those who write while others are away.
const WRITERS: usize = 100;
/// Messages a second while others are away.
const RATE: u64 = 8_000;
/// Handshakes under way at once in a storm: fewer than the node's backlog holds.
const AT_ONCE: usize = 2_000;
/// So long for everything to arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// How a return went.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Return {
    /// Until everybody was live and had everything, in seconds.
    pub seconds: f64,
    /// Entries that were caught up.
    pub entries: usize,
}

/// So many sockets are cut off, miss a message each and come back all together.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn storm(stage: &Stage, sockets: usize) -> anyhow::Result<Return> {
    let mut cast = Cast::new(stage, WRITERS + sockets, Marking::Delivered)?;
    for n in 0..sockets {
        cast.direct(n % WRITERS, WRITERS + n);
    }
    // The n-th message goes to the n-th of them.
    let to_all = move |n: usize| (n % WRITERS, n / WRITERS % sockets.div_ceil(WRITERS));
    let away = WRITERS..WRITERS + sockets;
    come_back(cast, away, sockets, sockets, to_all)
}

/// One device is cut off, misses so many messages in a hundred chats and comes back.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn catch_up(stage: &Stage, messages: usize) -> anyhow::Result<Return> {
    let mut cast = Cast::new(stage, WRITERS + 1, Marking::Delivered)?;
    for writer in 0..WRITERS {
        cast.direct(writer, WRITERS);
    }
    let to_one = |n: usize| (n % WRITERS, 0);
    come_back(cast, WRITERS..WRITERS + 1, WRITERS, messages, to_one)
}

/// Everybody gets `known` messages, those of a range are cut off, miss `missed` and come back. A
/// message's number says its writer and which of the writer's chats.
fn come_back(
    cast: Cast<'_>,
    away: Range<usize>,
    known: usize,
    missed: usize,
    path: impl Fn(usize) -> (usize, usize) + Copy,
) -> anyhow::Result<Return> {
    let logins = cast.logins()?;
    let mut fleet = cast.live()?;
    write(&mut fleet, known, Until::Settled, path)?;
    away.clone().for_each(|number| fleet.cut_off(number));
    write(&mut fleet, missed, Until::Answered, path)?;
    fleet.tally.begin(0..Nanos::MAX, 1);
    let begun = fleet.now();
    let logins = logins.into_iter().enumerate();
    let back = logins.filter(|(number, _)| away.contains(number));
    fleet.reconnect_all(back, AT_ONCE)?;
    fleet.settle(PATIENCE)?;
    let ended = fleet.tally.last_arrival.max(fleet.tally.last_live);
    fleet.close_books()?;
    Ok(Return {
        seconds: ended.saturating_sub(begun) as f64 / 1e9,
        entries: fleet.tally.missed,
    })
}

fn write(
    fleet: &mut Fleet,
    messages: usize,
    until: Until,
    path: impl Fn(usize) -> (usize, usize),
) -> anyhow::Result<()> {
    let span = Span {
        warm_up: 0.0,
        seconds: messages as f64 / RATE as f64,
    };
    let times = Times::from_now(fleet, span);
    let shots = times.evenly(RATE, |n| {
        let (from, view) = path(usize::try_from(n).unwrap_or(0));
        Shot {
            from,
            view,
            ..from_any(n, 0..1, 0)
        }
    });
    let run = Run {
        shots,
        text: "x".repeat(TEXT_BYTES),
        measured: times.measured.clone(),
        classes: 1,
        patience: PATIENCE,
        until,
    };
    fleet.run(
        run,
        &Progress::new("messages", times.begins..times.measured.end),
    )?;
    let (refused, why) = fleet.ledger.refusals();
    anyhow::ensure!(
        refused == 0,
        "a failed run: {refused} messages were refused: {why}"
    );
    if until == Until::Settled {
        fleet.close_books()?;
    }
    Ok(())
}
