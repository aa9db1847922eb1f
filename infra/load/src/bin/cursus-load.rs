//! `cursus-load`: the load program. See the library for what it measures.

use clap::Parser;

/// Loads a node over sockets, measures it beside the raw limits of the machine, and writes the pages.
#[derive(Parser)]
#[command(version)]
struct Arguments {}

fn main() {
    Arguments::parse();
}
