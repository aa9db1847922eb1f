//! A storm of reconnects, and catching up.

use super::Found;
use crate::figure::Figure;
use crate::scenarios::away::{catch_up, storm};
use crate::scenarios::stage::Stage;

/// Sockets of a storm.
const STORM: usize = 10_000;
/// Messages that one device has missed.
const MISSED: usize = 100_000;

pub(super) fn storms(stage: &Stage, full: bool) -> anyhow::Result<Found> {
    let name = "10,000 reconnects, each with something to catch up: until all are live and have it";
    repeated(full, name, "s", || Ok(storm(stage, STORM)?.seconds))
}

pub(super) fn catching_up(stage: &Stage, full: bool) -> anyhow::Result<Found> {
    let name = "catching up 100,000 missed messages of 100 chats";
    repeated(full, name, "entries/s", || {
        let back = catch_up(stage, MISSED)?;
        Ok(back.entries as f64 / back.seconds)
    })
}

fn repeated(
    full: bool,
    name: &str,
    unit: &str,
    run: impl Fn() -> anyhow::Result<f64>,
) -> anyhow::Result<Found> {
    let runs = if full { 5 } else { 1 };
    let values: Vec<_> = (0..runs).map(|_| run()).collect::<Result<_, _>>()?;
    let mut found = Found {
        sizes: format!("{runs} runs"),
        ..Found::default()
    };
    found.add(Figure::alone(name, unit, &values, None));
    Ok(found)
}
