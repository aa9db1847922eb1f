//! The `cursus` program.

use infra_node::node::Adapters;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    infra_node::cli::run(Adapters::embedded)
}
