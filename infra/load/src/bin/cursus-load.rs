//! `cursus-load`: the load program. See the library for what it measures.

use std::process::ExitCode;

use clap::Parser;
use infra_load::command::run::{self, RunOptions};
use infra_load::raw::{echo, sends};
use infra_load::{cluster, inside, parts, render, sockets};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Loads a node over sockets, measures it beside the raw limits of the machine, and writes the pages.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// One scenario on a node
    Run(RunOptions),
    /// Every scenario beside its raw limit: messages, groups, idle sockets, reconnects, everyday life
    Sockets(sockets::Options),
    /// Log, tables, folds, rebuild, reads and the start of a node, without sockets
    Inside(inside::Options),
    /// Kafka, Cassandra and the link between processes, on real servers of this machine
    Cluster(cluster::Options),
    /// Print every figure that was measured, and write the list of them
    Table(render::TableOptions),
    /// Write docs/benchmarks.md and its plots from what was measured
    Pages(render::PagesOptions),
    /// Be one of the processes of a load that has several; started by the program itself
    #[command(name = parts::ARGUMENT)]
    Part(parts::Options),
    /// Serve as a bare WebSocket echo: what a node is compared with
    #[command(name = echo::ARGUMENT)]
    EchoServer,
    /// Serve as a bare loop of one write a member: what a group is compared with
    #[command(name = sends::ARGUMENT)]
    SendsServer,
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Sockets(options) => sockets::run(&options),
        Command::Inside(options) => inside::run(&options),
        Command::Cluster(options) => cluster::run(&options),
        Command::Table(options) => render::print_table(&options),
        Command::Pages(options) => render::write_pages(&options),
        Command::Part(options) => parts::run(&options),
        Command::EchoServer => echo::serve(),
        Command::SendsServer => sends::serve(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the program's own answer")]
            {
                eprintln!("{error:#}");
            }
            ExitCode::FAILURE
        }
    }
}
