//! Tables on Cassandra: another generation beside the live one, to which the processes of the platform
//! move by themselves.
//!
//! ```text
//!   claim ─▶ begin ─▶ rounds, silent ─▶ adopt ─▶ fold it, as the processes do ─▶ switch ─▶ fold on
//!              └─── killed here: goes on ──┘         └──── killed here: goes on here ────┘
//! ```
//!
//! A generation that was adopted is folded as any other, and never again built in silence: its chats
//! may be ahead of its chat lists then, which only `users` brings on. Where `users` has lost that, since
//! it was left for days, another one is begun.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, anyhow, ensure};
use infra_ports::{StoreError, TableStore};
use infra_store_scylla::Claim;
use projectors::generations::Generations;
use projectors::rebuild::{self, Beside};
use projectors::{PROJECTIONS, Ports, Projectors, Share, Stop};
use schemas::position::Generation;
use schemas::tables::{ChatRow, Table};

use crate::adapters::Adapters;
use crate::adapters::store::Behind;
use crate::applied::checkpoints;
use crate::config::Config;

/// What the claim on generations is called.
const CLAIM: &str = "generations";
/// A round of at most so many events is the last: the rest is folded as it comes.
const LAST_ROUND_EVENTS: u64 = 20_000;
/// Rounds, at most.
const MOST_ROUNDS: usize = 30;
/// How long the live generation has to get on between two rounds.
const BETWEEN_ROUNDS: Duration = Duration::from_secs(1);
/// How long a new generation is folded on here, until every process has taken it up.
const HAND_OVER: Duration = Duration::from_secs(5);

/// Builds a generation beside the live one, and makes it live.
pub(super) async fn rebuild(config: &Config, adapters: &Adapters) -> anyhow::Result<()> {
    let ports = adapters.ports_that_answer().await?;
    alone(adapters, async {
        let (generations, next) = make(&ports, &config.projectors).await?;
        make_live(&ports, config, adapters, generations, next).await
    })
    .await
}

/// Makes a generation that can be folded: that which was begun and not finished, or another one.
async fn make(
    ports: &Ports,
    config: &projectors::Config,
) -> anyhow::Result<(Generations, Generation)> {
    let mut generations = Generations::read(&*ports.store).await?;
    loop {
        let (live, next) = (generations.live(), generations.begin());
        generations.write(&*ports.store).await?;
        let was_adopted = is_adopted(ports, next).await?;
        if !was_adopted {
            say(format_args!(
                "generation {next} is built beside generation {live}, which stays live"
            ))?;
            let events = build(ports, config, next, live).await?;
            say(format_args!(
                "made every table from {events} events of the log"
            ))?;
        }
        rebuild::adopt(ports, next).await?;
        match rebuild::must_go_on(ports, next).await {
            Ok(()) => return Ok((generations, next)),
            Err(stop @ Stop::RebuildRequired { .. }) if was_adopted => {
                say(format_args!(
                    "generation {next}, begun before, cannot be gone on with and is dropped: {stop}"
                ))?;
                give_up(&*ports.store, &mut generations, next).await?;
            }
            Err(stop) => return Err(stop.into()),
        }
    }
}

/// Forgets a generation that is not live, and drops its tables.
async fn give_up(
    store: &dyn TableStore,
    generations: &mut Generations,
    generation: Generation,
) -> anyhow::Result<()> {
    let live = generations.live();
    ensure!(generation != live, "generation {generation} is live");
    // First: nobody may go back to what is dropped halfway.
    generations.forget(generation);
    generations.write(store).await?;
    rebuild::discard(store, generation).await?;
    Ok(())
}

/// Makes the previous generation live again, once it has caught up.
pub(super) async fn roll_back(config: &Config, adapters: &Adapters) -> anyhow::Result<()> {
    let ports = adapters.ports_that_answer().await?;
    alone(adapters, async {
        let generations = Generations::read(&*ports.store).await?;
        let previous = generations.previous();
        let previous = previous.context("there is no generation to go back to")?;
        make_live(&ports, config, adapters, generations, previous).await
    })
    .await
}

/// Drops the tables of a generation that is not live.
pub(super) async fn discard(adapters: &Adapters, generation: Generation) -> anyhow::Result<()> {
    let ports = adapters.ports_that_answer().await?;
    let store = &*ports.store;
    alone(adapters, async {
        let mut generations = Generations::read(store).await?;
        let live = generations.live();
        ensure!(generation != live, "generation {generation} is live");
        let mut kept = Vec::new();
        for given in generations.given() {
            if is_there(store, given).await? {
                kept.push(given);
            }
        }
        let is_there = kept.contains(&generation);
        ensure!(
            is_there,
            "there is no generation {generation}; there are {}",
            names(&kept)
        );
        give_up(store, &mut generations, generation).await?;
        say(format_args!(
            "generation {generation} is dropped; generation {live} is live"
        ))
    })
    .await
}

fn names(generations: &[Generation]) -> String {
    let names = generations.iter().map(ToString::to_string);
    names.collect::<Vec<_>>().join(", ")
}

/// Does something to generations that nobody else does meanwhile.
async fn alone(
    adapters: &Adapters,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let Behind::Cassandra(store) = &adapters.tables else {
        return Err(anyhow!("only tables on Cassandra have generations"));
    };
    let claim = store.claim(CLAIM).await;
    let mut claim: Claim = claim.context("somebody else is at it, or was a moment ago")?;
    let done = tokio::select! {
        biased;
        done = work => done,
        lost = claim.keep() => Err(anyhow!(lost).context("another rebuild may have begun: run this again")),
    };
    if let Err(error) = claim.give_back().await {
        tracing::warn!(%error, "the next rebuild has to wait for a while");
    }
    done
}

/// Builds in ever shorter rounds, and answers from how many events.
async fn build(
    ports: &Ports,
    config: &projectors::Config,
    next: Generation,
    live: Generation,
) -> anyhow::Result<u64> {
    let mut build = Beside::new(ports, config, next, live).await?;
    let mut made = 0;
    for _ in 0..MOST_ROUNDS {
        let reached = build.round().await?;
        let before = std::mem::replace(&mut made, reached.iter().map(|(.., end)| end.0).sum());
        if made.saturating_sub(before) <= LAST_ROUND_EVENTS && build.is_near() {
            break;
        }
        ports.runtime.sleep(BETWEEN_ROUNDS).await;
    }
    Ok(made)
}

/// True once a generation is, or may be, folded as live ones are.
async fn is_adopted(ports: &Ports, generation: Generation) -> Result<bool, StoreError> {
    for projection in PROJECTIONS {
        match checkpoints(&*ports.store, projection, generation).await {
            Ok(found) if found.is_empty() => {}
            Ok(_) => return Ok(true),
            Err(StoreError::UnknownTable { .. }) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

/// True when the tables of a generation are there.
async fn is_there(store: &dyn TableStore, generation: Generation) -> Result<bool, StoreError> {
    match store.scan_table(ChatRow::DEF, generation, None, 1).await {
        Ok(_) => Ok(true),
        Err(StoreError::UnknownTable { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Folds a generation until it has caught up, moves the pointer, and folds on until the processes
/// have taken it up.
async fn make_live(
    ports: &Ports,
    config: &Config,
    adapters: &Adapters,
    mut generations: Generations,
    next: Generation,
) -> anyhow::Result<()> {
    // Apart from the group of the processes: who comes late to it waits for nobody.
    let projectors = projectors::start(ports, &config.projectors, next, &Share::everything());
    caught_up(ports, &projectors).await?;
    let live = generations.live();
    generations.switch_to(next);
    generations.write(&*ports.store).await?;
    say(format_args!(
        "generation {next} is live; nodes that run move to it within seconds"
    ))?;
    adapters.runtime.sleep(HAND_OVER).await;
    projectors.stop().await?;
    say(format_args!(
        "generation {live} is kept: go back with `--roll-back`, or drop it with `--discard {live}` once all is well"
    ))
}

/// Twice: the first time may take long, and much comes meanwhile.
async fn caught_up(ports: &Ports, projectors: &Projectors) -> anyhow::Result<()> {
    for _ in 0..2 {
        projectors.apply_all(ports.log.as_ref()).await?;
    }
    Ok(())
}

fn say(what: std::fmt::Arguments<'_>) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what}")
        .and_then(|()| out.flush())
        .context("standard output")
}

#[cfg(test)]
mod tests;
