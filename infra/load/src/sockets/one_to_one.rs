//! One-to-one messages at fixed rates, p50 and p99 against the sums of fdatasync and echo; the first
//! message of a chat against the thousandth.

use super::Found;
use crate::figure::{Figure, Goal};
use crate::report::{Line, Plot};
use crate::scenarios::first::first_and_thousandth;
use crate::scenarios::measure::{Quantiles, Span};
use crate::scenarios::one_to_one::{Load, Round, round};
use crate::scenarios::stage::Stage;

/// Sockets and messages a second, with what p50 and p99 should be.
const LOADS: [(usize, u64, Option<f64>, f64); 4] = [
    (100, 1_000, Some(1.5), 2.0),
    (1_000, 1_000, Some(1.5), 2.0),
    (100, 5_000, None, 4.0),
    (1_000, 5_000, None, 4.0),
];

pub(super) fn measure(stage: &Stage, full: bool) -> anyhow::Result<Found> {
    let (runs, span) = if full { (7, 5.0) } else { (3, 2.0) };
    let span = Span {
        warm_up: 0.5,
        seconds: span,
    };
    let mut rounds = vec![Vec::new(); LOADS.len()];
    let mut chats = Vec::new();
    for _ in 0..runs {
        for ((sockets, rate, ..), rounds) in LOADS.iter().zip(&mut rounds) {
            let load = Load {
                sockets: *sockets,
                rate: *rate,
                span,
            };
            rounds.push(round(stage, load)?);
        }
        let found = first_and_thousandth(stage)?;
        chats.push((found.delivered(0).p50, found.delivered(1).p50));
    }
    let mut found = Found {
        sizes: format!("{runs} runs of {} s each, 200 bytes of text", span.seconds),
        ..Found::default()
    };
    for ((sockets, rate, p50, p99), rounds) in LOADS.iter().zip(&rounds) {
        let name = format!("one-to-one, {sockets} sockets, {rate}/s");
        let halves: Vec<_> = rounds.iter().map(Round::p50).collect();
        let tails: Vec<_> = rounds.iter().map(Round::p99).collect();
        let goal = p50.map(Goal::AtMost);
        found.add(Figure::against_raw(
            &format!("{name}: p50"),
            "µs",
            &halves,
            goal,
        ));
        let goal = Some(Goal::AtMost(*p99));
        found.add(Figure::against_raw(
            &format!("{name}: p99"),
            "µs",
            &tails,
            goal,
        ));
        found
            .plots
            .extend(rounds.last().map(|round| plot(*sockets, *rate, round)));
    }
    let name = "first message of a new chat, beside the thousandth: p50";
    found.add(Figure::against_raw(
        name,
        "µs",
        &chats,
        Some(Goal::AtMost(1.2)),
    ));
    Ok(found)
}

fn plot(sockets: usize, rate: u64, round: &Round) -> Plot {
    let line = |name: &str, all: Quantiles| Line {
        name: name.to_owned(),
        points: vec![
            (50.0, all.p50),
            (90.0, all.p90),
            (99.0, all.p99),
            (99.9, all.p999),
        ],
    };
    Plot {
        name: format!("latency-{sockets}-{rate}"),
        title: format!("One-to-one, {sockets} sockets, {rate}/s: latency from client to client"),
        x: "percentile".to_owned(),
        y: "µs".to_owned(),
        x_is_log: false,
        y_is_log: true,
        lines: vec![
            line("durable, delivered", round.node.delivered(0)),
            line("a bare echo", round.echo.delivered(0)),
            line("write + fdatasync", (&round.fsync).into()),
        ],
    }
}
