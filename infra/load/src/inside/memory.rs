//! What a node takes of memory: with a large log and many chats on disk, while a thousand people
//! write, and whether that goes on growing.
//!
//! The load is this program's own one-to-one scenario, in a process of its own: it checks that every
//! message arrives once, in order and marked.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use infra_node::config::Config;
use infra_testkit::process::{NodeProcess, RunningNode, beside};
use schemas::tables::TABLES;
use schemas::topics::TOPICS;

use super::Found;
use super::corpus::Shape;
use super::ground::Ground;
use super::start::{READY_WITHIN, fill_data};
use crate::figure::{Figure, Goal, Spread};
use crate::report::{Line, Plot};
use crate::scenarios::cost::resident_bytes;
use crate::scenarios::stage::SETTINGS;

/// Those who write, in pairs.
const ACTIVE: usize = 1_000;
/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A state that a projector has at hand, by `projectors.*.cache_weight`'s unit.
const CACHED_STATE_BYTES: u64 = 100;
const MIB: f64 = 1_048_576.0;

/// Memory over time: seconds and MiB.
type Samples = Vec<(f64, f64)>;

pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Found> {
    let shape = Shape::of(ground.size(100_000, 10_000_000));
    let folder = ground.folder()?;
    let data = folder.path().join("data");
    ground.say(&format!("a node on {shape}"));
    fill_data(ground, &data, shape).await?;
    let mut process = NodeProcess::new(&beside("cursus")?, &data, &[])?;
    process.environment = SETTINGS
        .iter()
        .map(|(n, v)| ((*n).into(), (*v).into()))
        .collect();
    let node = process.start_serving()?;
    node.wait_ready(READY_WITHIN)?;
    let idle = mebibytes(&node)?;
    let rate = ground.either(200, 500);
    ground.say(&format!(
        "{ACTIVE} people write {rate} messages a second for {:?}",
        ground.soak
    ));
    let load = start_load(&process, rate, ground.soak)?;
    let samples = watch(&node, load)?;
    node.kill()?;
    Ok(Found {
        figures: figures(idle, &samples),
        plots: vec![plot(samples)],
        settings: format!(
            "{shape}; {ACTIVE} sockets, {rate} messages/s for {:?}; caches at their defaults",
            ground.soak
        ),
    })
}

fn start_load(node: &NodeProcess, rate: u32, span: Duration) -> anyhow::Result<Child> {
    let load = Command::new(std::env::current_exe()?)
        .args(["run", "one-to-one", "--only", "--json"])
        .args(["--node", &node.address.to_string()])
        .args([Path::new("--data"), node.data.as_path()])
        .args([
            "--sockets",
            &ACTIVE.to_string(),
            "--rate",
            &rate.to_string(),
        ])
        .args(["--seconds", &span.as_secs().to_string()])
        .stdout(Stdio::null())
        .spawn();
    load.context("the load does not start")
}

/// Looks at the node's memory until the load has ended well.
fn watch(node: &RunningNode, mut load: Child) -> anyhow::Result<Samples> {
    let begun = Instant::now();
    let mut samples = Samples::new();
    loop {
        samples.push((begun.elapsed().as_secs_f64(), mebibytes(node)?));
        if let Some(status) = load.try_wait()? {
            ensure!(status.success(), "the load failed: {status}");
            return Ok(samples);
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a number of bytes to be read by people"
)]
fn mebibytes(node: &RunningNode) -> anyhow::Result<f64> {
    Ok(resident_bytes(node.id())? as f64 / MIB)
}

/// All that the default settings let a node keep in memory, in MiB: cached blocks, memtables twice,
/// the newest records of each topic, states at hand of each projector.
#[expect(
    clippy::cast_precision_loss,
    reason = "a number of bytes to be read by people"
)]
fn configured() -> f64 {
    let Config {
        store,
        log,
        projectors,
        ..
    } = Config::default();
    let count = |all: usize| u64::try_from(all).unwrap_or(u64::MAX);
    let engines = [
        projectors.chats,
        projectors.inbox,
        projectors.receipts,
        projectors.settings,
    ];
    let states: u64 = engines
        .iter()
        .map(|e| count(e.cache_weight) * CACHED_STATE_BYTES)
        .sum();
    let tables = 2 * store.embedded.memtable_bytes * count(TABLES.len());
    let newest = log.embedded.memory_bytes * count(TOPICS.len());
    (store.embedded.block_cache_bytes + tables + newest + states) as f64 / MIB
}

/// How memory grew over the second half: the last quarter against the third, each by its median.
fn growth(samples: &Samples) -> Option<(f64, f64)> {
    let quarter = samples.len() / 4;
    let median = |from: usize, to: usize| {
        let part: Vec<_> = samples
            .get(from..to)?
            .iter()
            .map(|sample| sample.1)
            .collect();
        Some(Spread::of(&part)?.median)
    };
    let third = median(2 * quarter, 3 * quarter)?;
    Some((median(3 * quarter, samples.len())?, third))
}

fn figures(idle: f64, samples: &Samples) -> Vec<Figure> {
    let most = samples.iter().map(|sample| sample.1).fold(0.0, f64::max);
    let at_most = |ratio| Some(Goal::AtMost(ratio));
    let grown: Vec<_> = growth(samples).into_iter().collect();
    [
        Figure::alone(
            "memory of a node that is ready, nobody connected",
            "MiB",
            &[idle],
            None,
        ),
        Figure::against_raw(
            "most memory while 1,000 people write, against all that caches are configured to hold",
            "MiB",
            &[(most, configured())],
            at_most(1.0),
        ),
        Figure::against_raw(
            "memory in the last quarter of the soak, against the quarter before",
            "MiB",
            &grown,
            at_most(1.02),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn plot(samples: Samples) -> Plot {
    Plot {
        name: "memory-over-time".to_owned(),
        title: "Memory of a node while 1,000 people write".to_owned(),
        x: "seconds".to_owned(),
        y: "MiB resident".to_owned(),
        x_is_log: false,
        y_is_log: false,
        lines: vec![Line {
            name: "the node".to_owned(),
            points: samples,
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_compares_the_last_quarter_with_the_one_before() {
        let samples: Samples = (0..8).map(|n| (f64::from(n), f64::from(n / 2))).collect();
        assert_eq!(growth(&samples), Some((3.0, 2.0)));
        assert_eq!(growth(&Vec::new()), None);
    }
}
