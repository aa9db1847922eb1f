//! One-to-one messages from client to client on a node whose log is on Kafka, beside the least it
//! could take: two hops over Kafka without us, and a bare WebSocket echo, at the same rate.

use std::time::Duration;

use infra_servers::Servers;

use super::bare_kafka::Hops;
use super::{Found, Options};
use crate::figure::{Figure, Goal};
use crate::scenarios::cast::bare;
use crate::scenarios::measure::{Span, TEXT_BYTES};
use crate::scenarios::one_to_one::{Load, alone, at_rate};
use crate::scenarios::stage::{Place, Stage, settings};

/// As many as one broker needs on few cores, and as many as an embedded log has: a request to a broker
/// bears records of one partition only, so many partitions are many requests.
const PARTITIONS: [u32; 2] = [8, 64];
const LOAD: Load = Load {
    sockets: 100,
    rate: 1_000,
    span: Span {
        warm_up: 1.0,
        seconds: 4.0,
    },
};
/// What a record has around the text.
const AROUND_BYTES: usize = 100;

pub(super) fn measure(options: &Options) -> anyhow::Result<Found> {
    let mut figures = Vec::new();
    for partitions in PARTITIONS {
        figures.extend(with_partitions(options, partitions)?);
    }
    let seconds = LOAD.span.seconds;
    let sizes = format!(
        "one broker, {} runs of {seconds} s each, {TEXT_BYTES} bytes of text; node: {}",
        options.runs,
        settings()
    );
    Ok(Found { figures, sizes })
}

/// On servers of their own: topics keep the number of partitions that they were made with.
fn with_partitions(options: &Options, partitions: u32) -> anyhow::Result<Vec<Figure>> {
    let servers = Servers::start(&["kafka"])?;
    let hops = Hops {
        partitions: i32::try_from(partitions)?,
        value_bytes: TEXT_BYTES + AROUND_BYTES,
        rate: LOAD.rate,
        warm_up: Duration::from_secs_f64(LOAD.span.warm_up),
        span: Duration::from_secs_f64(LOAD.span.seconds),
    };
    hops.create(servers.kafka())?;
    let count = partitions.to_string();
    let on_kafka = [
        ("CURSUS__LOG__KIND", "kafka"),
        ("CURSUS__LOG__KAFKA__BROKERS", servers.kafka()),
        ("CURSUS__LOG__KAFKA__PARTITIONS", &count),
    ];
    let place = Place {
        node: Vec::new(),
        data: None,
        program: options.program.clone(),
        scratch: options.scratch.clone(),
    };
    let stage = Stage::set_up_with(&place, &on_kafka)?;
    let (mut halves, mut tails) = (Vec::new(), Vec::new());
    for _ in 0..options.runs {
        let hops = hops.measure(servers.kafka())?;
        let echo = {
            let echo = stage.echo()?;
            let mut fleet = bare(echo.address, LOAD.sockets, 1)?;
            let id = Some(echo.id());
            at_rate(&mut fleet, "a bare echo", LOAD.rate, LOAD.span, id)?.delivered(0)
        };
        let node = alone(&stage, LOAD)?.delivered(0);
        halves.push((node.p50, hops.micros(0.5) + echo.p50));
        tails.push((node.p99, hops.micros(0.99) + echo.p99));
    }
    let name = |what| {
        format!(
            "one-to-one over Kafka, {partitions} partitions, {} sockets, {}/s: {what}",
            LOAD.sockets, LOAD.rate
        )
    };
    let (half, tail) = (Some(Goal::AtMost(1.25)), Some(Goal::AtMost(1.5)));
    let figures = [
        Figure::against_raw(&name("p50"), "µs", &halves, half),
        Figure::against_raw(&name("p99"), "µs", &tails, tail),
    ];
    Ok(figures.into_iter().flatten().collect())
}
