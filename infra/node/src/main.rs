//! The `cursus` program.

use std::process::ExitCode;

use infra_node::node::Adapters;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    infra_node::cli::main(Adapters::open)
}
