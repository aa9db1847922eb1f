//! Pairs that write to each other: one message from client to client, durable and marked, at a rate
//! fixed in advance; beside it the least it could take, write+fdatasync and a bare echo at the same
//! rate.

use std::time::Duration;

use serde::Serialize;

use super::cost::cpu_seconds;
use super::stage::Stage;
use crate::fleet::drive::{Run, Shot};
use crate::fleet::marks::Marking;
use crate::fleet::schedule::{Pace, sender};
use crate::fleet::socket::Login;
use crate::fleet::tally::{Class, Latencies};
use crate::fleet::{Fleet, Nanos, Target};
use crate::progress::Progress;
use crate::raw::fsync;

/// Bytes of a message's text.
pub const TEXT_BYTES: usize = 200;
/// After the last message, so long for everything to arrive.
const PATIENCE: Duration = Duration::from_secs(10);

/// How much.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Load {
    /// Sockets; half of them pairs with the other half.
    pub sockets: usize,
    /// Messages a second, of all together.
    pub rate: u64,
    /// How long it is measured.
    pub seconds: f64,
    /// Before that, so long unmeasured.
    pub warm_up: f64,
}

/// Quantiles, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of all are at or below.
    pub p50: f64,
    /// 90 of 100.
    pub p90: f64,
    /// 99 of 100.
    pub p99: f64,
    /// 999 of 1,000.
    pub p999: f64,
    /// The slowest.
    pub most: f64,
    /// How many there are.
    pub count: u64,
}

impl From<&Latencies> for Quantiles {
    fn from(all: &Latencies) -> Self {
        Self {
            p50: all.micros(0.5),
            p90: all.micros(0.9),
            p99: all.micros(0.99),
            p999: all.micros(0.999),
            most: all.most_micros(),
            count: all.count(),
        }
    }
}

/// What one run found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Latencies and arrivals.
    pub class: Class,
    /// Arrivals a second while it was measured.
    pub per_second: f64,
    /// CPU time of the server for one message, in microseconds, where it is a process of ours.
    pub server_cpu_micros: Option<f64>,
    /// CPU time of the load program for one message, in microseconds.
    pub load_cpu_micros: f64,
    /// Marks that were sent.
    pub marks: usize,
}

/// One round on the node beside its raw limits.
#[derive(Debug, Clone)]
pub struct Round {
    /// Write+fdatasync.
    pub fsync: Latencies,
    /// A bare echo at the same rate.
    pub echo: Found,
    /// The node.
    pub node: Found,
}

impl Round {
    /// The node's quantile against the sum of those of fdatasync and echo.
    #[must_use]
    pub fn ratio(&self, share: f64) -> f64 {
        self.node.class.delivered.micros(share) / self.raw(share)
    }

    /// The sum of the quantiles of fdatasync and echo, in microseconds.
    #[must_use]
    pub fn raw(&self, share: f64) -> f64 {
        self.fsync.micros(share) + self.echo.class.delivered.micros(share)
    }
}

/// Measures fdatasync, echo and node one after the other, all at the same rate.
///
/// # Errors
/// When something does not start, or a run loses, repeats or swaps a message.
pub fn round(stage: &Stage, name: &str, load: Load) -> anyhow::Result<Round> {
    let fsync = fsync::measure(stage.folder(), Duration::from_secs(1))?;
    let echo = stage.echo()?;
    let mut fleet = echo_fleet(echo.address, load.sockets)?;
    let echo = run(&mut fleet, load, Some(echo.id()), "echo")?;
    let mut fleet = pairs(stage, name, load.sockets, Marking::Delivered)?;
    let node = run(&mut fleet, load, stage.id(), "one-to-one")?;
    Ok(Round { fsync, echo, node })
}

/// Sockets of a node in pairs, each pair with a chat. `name` sets their users apart from others'.
///
/// # Errors
/// When one does not become live.
pub fn pairs(stage: &Stage, name: &str, sockets: usize, marking: Marking) -> anyhow::Result<Fleet> {
    let mut fleet = Fleet::new(stage.target(), marking)?;
    let mut logins = Vec::with_capacity(sockets);
    let user = |n: usize| format!("{name}-{n:06}");
    for n in 0..sockets {
        let (even, odd) = (n & !1, n | 1);
        let chat = format!("d.{}.{}", user(even), user(odd));
        let chat = fleet
            .ledger
            .find(&chat)
            .unwrap_or_else(|| fleet.ledger.chat(chat, 2));
        logins.push(Login {
            token: Some(stage.token(&user(n), "phone")?),
            chats: vec![chat],
        });
    }
    fleet.connect_all(logins)?;
    Ok(fleet)
}

/// Sockets of an echo server. Their frames have the same bytes as those for a node.
///
/// # Errors
/// When one does not open.
pub fn echo_fleet(address: std::net::SocketAddr, sockets: usize) -> anyhow::Result<Fleet> {
    let path = "/".to_owned();
    let mut fleet = Fleet::new(Target { address, path }, Marking::Off)?;
    let logins: Vec<_> = (0..sockets)
        .map(|n| Login {
            token: None,
            chats: vec![fleet.ledger.chat(format!("d.echo-{n:06}.echo-{n:06}"), 1)],
        })
        .collect();
    fleet.connect_all(logins)?;
    Ok(fleet)
}

/// Has every socket send to its first chat, at the rate of all together.
///
/// # Errors
/// When a message is lost, repeated or swapped.
pub fn run(
    fleet: &mut Fleet,
    load: Load,
    server: Option<u32>,
    name: &str,
) -> anyhow::Result<Found> {
    let begins = fleet.now() + 50_000_000;
    let seconds = |s: f64| Nanos::try_from(Duration::from_secs_f64(s).as_nanos());
    let from = begins + seconds(load.warm_up)?;
    let measured = from..from + seconds(load.seconds)?;
    let pace = Pace {
        begins,
        per_second: load.rate,
    };
    let sockets = fleet.len();
    let shots = (0..pace.before(measured.end)).filter_map(move |n| {
        Some(Shot {
            due: pace.moment(n)?,
            from: sender(n, sockets),
            view: 0,
            class: 0,
        })
    });
    let messages = pace.before(measured.end) as f64;
    let (server_before, load_before) = (used(server)?, cpu_seconds(std::process::id())?);
    let marks = fleet.marks.count();
    let progress = Progress::new(name, begins..measured.end);
    let run = Run {
        shots,
        text: "x".repeat(TEXT_BYTES),
        measured,
        classes: 1,
        patience: PATIENCE,
    };
    fleet.run(run, &progress)?;
    fleet.close_books()?;
    let micros = |before: f64, after: f64| (after - before) * 1e6 / messages;
    let server_cpu = server_before.zip(used(server)?);
    let class = fleet.tally.classes.pop().unwrap_or_default();
    Ok(Found {
        per_second: class.arrivals as f64 / load.seconds,
        class,
        server_cpu_micros: server_cpu.map(|(before, after)| micros(before, after)),
        load_cpu_micros: micros(load_before, cpu_seconds(std::process::id())?),
        marks: fleet.marks.count() - marks,
    })
}

fn used(process: Option<u32>) -> anyhow::Result<Option<f64>> {
    process.map(cpu_seconds).transpose()
}
