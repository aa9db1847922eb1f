//! The `cursus` program with a test-only switch: `CURSUS_FLAW=<name>` breaks one rule, to prove
//! that the checker sees it. Without it this is the same node.

use std::process::ExitCode;

use infra_node::config::Config;
use infra_node::node::Adapters;
use infra_testkit::flaws::{Flaw, break_rule};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    infra_node::cli::main(adapters)
}

async fn adapters(config: &Config) -> anyhow::Result<Adapters> {
    let sound = Adapters::open(config).await?;
    let Ok(name) = std::env::var("CURSUS_FLAW") else {
        return Ok(sound);
    };
    let flaw: Flaw = name.parse().map_err(anyhow::Error::msg)?;
    let (log, store) = break_rule(flaw, sound.log, sound.store, sound.runtime.clone());
    Ok(Adapters {
        log,
        store,
        ..sound
    })
}
