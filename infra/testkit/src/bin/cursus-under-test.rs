//! The `cursus` program with test-only switches: `CURSUS_FLAW=<name>` breaks one rule, to prove that the
//! checker sees it; `CURSUS_BUILD=reads` or `writes` makes it a build of a later time, as far as its
//! events go. Without them this is the same node.

use std::process::ExitCode;
use std::sync::Arc;

use infra_node::config::Config;
use infra_node::node::Adapters;
use infra_testkit::flaws::{Flaw, break_rule};
use infra_testkit::later::{self, Build};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let build = later::begin().expect("a test names a build that there is");
    infra_node::cli::main(async move |config: &Config| adapters(config, build).await)
}

async fn adapters(config: &Config, build: Build) -> anyhow::Result<Adapters> {
    let mut sound = Adapters::open(config).await?;
    if build == Build::Writes {
        sound.log = Arc::new(later::writing(sound.log));
    }
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
