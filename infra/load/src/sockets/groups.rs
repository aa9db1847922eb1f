//! Groups against one bare write a member, and what a busy group does to others.

use super::Found;
use crate::figure::{Figure, Goal};
use crate::scenarios::group::{beside, of_node, of_sends};
use crate::scenarios::measure::Span;
use crate::scenarios::stage::Stage;

/// The largest group.
const LARGEST: usize = 1_024;
/// Deliveries that wait together.
const WAITING: u64 = 200_000;

pub(super) fn measure(stage: &Stage, full: bool) -> anyhow::Result<Found> {
    let (runs, alone, seconds) = if full { (7, 40, 10.0) } else { (3, 8, 3.0) };
    let mut found = Found {
        sizes: format!("{runs} runs; {alone} messages alone, {WAITING} deliveries waiting"),
        ..Found::default()
    };
    for members in [8, 256, LARGEST] {
        let (mut one, mut many, mut swift) = (Vec::new(), Vec::new(), Vec::new());
        // At most as many as a device may have unsettled in a chat, from each of a few writers.
        let waiting = (WAITING / members as u64).min(1_500);
        for _ in 0..runs {
            let raw = of_sends(stage, members, alone, waiting)?;
            let node = of_node(stage, members, alone, waiting)?;
            one.push((node.alone, raw.alone));
            many.push((node.waiting, raw.waiting));
            swift.push((node.alone_micros, raw.alone_micros));
        }
        let is_largest = members == LARGEST;
        let goal = |ratio| is_largest.then_some(Goal::AtLeast(ratio));
        let name = |what: &str| format!("group of {members}: {what}");
        let unit = "deliveries/s";
        found.add(Figure::against_raw(
            &name("one message alone"),
            unit,
            &one,
            goal(0.95),
        ));
        found.add(Figure::against_raw(
            &name("many waiting"),
            unit,
            &many,
            goal(6.0),
        ));
        found.add(Figure::against_raw(
            &name("one message alone, p50"),
            "µs",
            &swift,
            None,
        ));
    }
    let span = Span {
        warm_up: 1.0,
        seconds,
    };
    let mut pairs = Vec::new();
    for _ in 0..runs {
        let quiet = beside(stage, LARGEST, 0, span)?.delivered(0).p99;
        pairs.push((beside(stage, LARGEST, 20, span)?.delivered(0).p99, quiet));
    }
    let name = "one-to-one p99 while a group of 1024 gets 20/s, beside a quiet group";
    found.add(Figure::against_raw(
        name,
        "µs",
        &pairs,
        Some(Goal::AtMost(3.0)),
    ));
    Ok(found)
}
