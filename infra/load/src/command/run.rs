//! `cursus-load run <scenario>`: one scenario, told as JSON.

use std::io::Write;

use anyhow::Context;
use serde_json::{Value, json};

use crate::parts::Whole;
use crate::scenarios::group::{self, FanOut};
use crate::scenarios::highest::{self, Steps};
use crate::scenarios::measure::{Measured, Quantiles, Span};
use crate::scenarios::one_to_one::{self, Load};
use crate::scenarios::stage::{Place, Stage};
use crate::scenarios::{away, day, first, history, idle};

/// One scenario.
#[derive(Debug, clap::Args)]
pub struct RunOptions {
    #[command(subcommand)]
    scenario: Scenario,
    #[command(flatten)]
    place: Place,
    /// How long it is measured, in seconds, where its length is not in its nature
    #[arg(long, default_value_t = 5.0, global = true)]
    seconds: f64,
    /// Before that, so long unmeasured
    #[arg(long, default_value_t = 1.0, global = true)]
    warm_up: f64,
    /// Print it in one line
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Scenario {
    /// Pairs write to each other at a fixed rate, beside fdatasync and a bare echo
    OneToOne {
        /// Messages a second, of all together
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
        /// Sockets, in pairs
        #[arg(long, default_value_t = 100)]
        sockets: usize,
        /// The node alone, without the raw limits
        #[arg(long)]
        only: bool,
        /// From so many processes, the node alone
        #[arg(long)]
        processes: Option<usize>,
    },
    /// The highest rates of one-to-one messages, beside a bare echo
    Highest {
        /// Sockets, in pairs
        #[arg(long, default_value_t = 100)]
        sockets: usize,
        /// The first rate to try on the node
        #[arg(long, default_value_t = 10_000)]
        first: u64,
        /// The node alone, without the raw limit
        #[arg(long)]
        only: bool,
    },
    /// Messages to a group, alone and waiting, beside one bare write a member
    Group {
        /// Members, all of them connected
        #[arg(long, default_value_t = 1_024)]
        members: usize,
        /// Messages that are each alone
        #[arg(long, default_value_t = 20)]
        alone: usize,
        /// Messages that wait together
        #[arg(long, default_value_t = 300)]
        waiting: u64,
        /// The node alone, without the raw limit
        #[arg(long)]
        only: bool,
    },
    /// Memory while idle sockets are added
    Idle {
        /// Sockets in the end
        #[arg(long, default_value_t = 15_000)]
        sockets: usize,
    },
    /// Idle sockets of several processes, which then write a message each: all must be reached
    Held {
        /// Sockets, in pairs
        #[arg(long, default_value_t = 100_000)]
        sockets: usize,
        /// Processes that hold them; one has at most 20,000 files
        #[arg(long, default_value_t = 6)]
        processes: usize,
        /// Messages a second, of all together
        #[arg(long, default_value_t = 5_000)]
        rate: u64,
    },
    /// Sockets that are cut off, miss a message each and come back together
    Storm {
        /// How many
        #[arg(long, default_value_t = 10_000)]
        sockets: usize,
    },
    /// One device that comes back to many missed messages
    CatchUp {
        /// How many
        #[arg(long, default_value_t = 100_000)]
        messages: usize,
    },
    /// The first message of a new chat beside the thousandth
    First,
    /// Pages of history, over a socket and over HTTP
    History,
    /// Everybody writes to one group
    Hot {
        /// Members
        #[arg(long, default_value_t = 100)]
        members: usize,
        /// Messages a second, of all together
        #[arg(long, default_value_t = 200)]
        rate: u64,
    },
    /// 90 of 100 messages to one person, 10 to groups, one an edit
    Day {
        /// Users
        #[arg(long, default_value_t = 400)]
        users: usize,
        /// Messages a second, of all together
        #[arg(long, default_value_t = 1_000)]
        rate: u64,
    },
    /// One-to-one messages while a group is busy
    Beside {
        /// Members of the group
        #[arg(long, default_value_t = 1_024)]
        members: usize,
        /// Messages a second to the group; 0 for a quiet one
        #[arg(long, default_value_t = 20)]
        rate: u64,
    },
}

/// Runs it.
///
/// # Errors
/// When something does not start, or the run loses, repeats or swaps a message.
pub fn run(options: &RunOptions) -> anyhow::Result<()> {
    let span = Span {
        warm_up: options.warm_up,
        seconds: options.seconds,
    };
    let stage = Stage::set_up(&options.place)?;
    let told = play(&stage, &options.scenario, span)?;
    let mut out = std::io::stdout().lock();
    if options.json {
        writeln!(out, "{told}")
    } else {
        writeln!(out, "{told:#}")
    }
    .context("standard output")
}

fn play(stage: &Stage, scenario: &Scenario, span: Span) -> anyhow::Result<Value> {
    Ok(match *scenario {
        Scenario::OneToOne {
            rate,
            sockets,
            only,
            processes,
        } => {
            let load = Load {
                sockets,
                rate,
                span,
            };
            match processes {
                Some(processes) => {
                    let found = Whole::live(stage, load, processes)?.go()?;
                    json!({"load": load, "node": measured(&found, 0)})
                }
                None => one_to_one(stage, load, only)?,
            }
        }
        Scenario::Highest {
            sockets,
            first,
            only,
        } => {
            let node = highest::of_node(stage, sockets, first)?;
            let echo = (!only).then(|| highest::of_echo(stage, sockets, first * 3));
            let echo = echo.transpose()?;
            json!({"node": steps(&node), "echo": echo.as_ref().map(steps)})
        }
        Scenario::Group {
            members,
            alone,
            waiting,
            only,
        } => {
            let node = group::of_node(stage, members, alone, waiting)?;
            let sends = (!only).then(|| group::of_sends(stage, members, alone, waiting));
            let sends = sends.transpose()?;
            json!({"node": fan_out(node), "sends": sends.map(fan_out)})
        }
        Scenario::Idle { sockets } => {
            let looks = idle::grow(stage, &[sockets])?;
            let (node, kernel) = idle::per_socket(&looks).unwrap_or_default();
            json!({"node_bytes_a_socket": node, "kernel_bytes_a_socket": kernel})
        }
        Scenario::Held {
            sockets,
            processes,
            rate,
        } => {
            let held = idle::hold(stage, sockets, processes, rate)?.go()?;
            json!({"sockets": sockets, "reached": held.delivered(0).count, "node": measured(&held, 0)})
        }
        Scenario::Storm { sockets } => come_back(away::storm(stage, sockets)?),
        Scenario::CatchUp { messages } => come_back(away::catch_up(stage, messages)?),
        Scenario::First => {
            let found = first::first_and_thousandth(stage)?;
            json!({"first": found.delivered(0), "thousandth": found.delivered(1)})
        }
        Scenario::History => {
            let pages = history::paging(stage)?;
            json!({"frames_us": pages.frames, "http_us": pages.http})
        }
        Scenario::Hot { members, rate } => measured(&day::hot(stage, members, rate, span)?, 0),
        Scenario::Day { users, rate } => {
            let found = day::mixed(stage, users, rate, span)?;
            json!({"one_to_one": measured(&found, 0), "groups": measured(&found, 1)})
        }
        Scenario::Beside { members, rate } => {
            let found = group::beside(stage, members, rate, span)?;
            json!({"one_to_one": measured(&found, 0), "group": measured(&found, 1)})
        }
    })
}

fn one_to_one(stage: &Stage, load: Load, only: bool) -> anyhow::Result<Value> {
    if only {
        let found = one_to_one::alone(stage, load)?;
        return Ok(json!({"load": load, "node": measured(&found, 0)}));
    }
    let round = one_to_one::round(stage, load)?;
    let ratio = |(value, raw): (f64, f64)| value / raw;
    Ok(json!({
        "load": load,
        "node": measured(&round.node, 0),
        "echo": measured(&round.echo, 0),
        "fdatasync_us": Quantiles::from(&round.fsync),
        "ratio_p50": ratio(round.p50()),
        "ratio_p99": ratio(round.p99()),
    }))
}

fn come_back(found: away::Return) -> Value {
    json!({"seconds": found.seconds, "entries": found.entries})
}

fn measured(found: &Measured, class: usize) -> Value {
    json!({
        "delivered_us": found.delivered(class),
        "sent_us": found.sent(class),
        "complete_us": found.complete(class),
        "per_second": found.per_second(class),
        "server_cpu_us": found.server_cpu_micros,
        "load_cpu_us": found.load_cpu_micros,
        "marks": found.marks,
        "marks_refused": found.marks_refused,
    })
}

fn steps(steps: &Steps) -> Value {
    let all: Vec<_> = steps
        .0
        .iter()
        .map(|s| json!({"rate": s.rate, "sustained": s.is_sustained, "p99_us": s.p99}))
        .collect();
    json!({"sustained": steps.sustained(), "below_10_ms": steps.swift(), "steps": all})
}

fn fan_out(found: FanOut) -> Value {
    json!({
        "alone_per_second": found.alone,
        "alone_p50_us": found.alone_micros,
        "waiting_per_second": found.waiting,
    })
}
