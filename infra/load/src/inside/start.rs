//! How soon a node is back after a `kill -9`, by the size of its log, beside reading the segments
//! that a start must read: the last one of each topic.
//!
//! ```text
//!  exec ─▶ log and tables opened ─▶ sockets are served ─▶ projectors caught up: ready
//! ```
//!
//! Files are in the page cache, as they are when only the process died.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use infra_testkit::process::{NodeProcess, beside};
use projectors::{generations, rebuild};
use schemas::topics::TOPICS;

use super::Found;
use super::corpus::Shape;
use super::ground::{Ground, Place, copy_folder, fill, project};
use crate::figure::{Figure, Goal, Spread};
use crate::raw::scan::{read_all, segments};
use crate::report::{Line, Plot};

/// How long a node may take to make all its tables.
pub(super) const READY_WITHIN: Duration = Duration::from_secs(600);

/// Live projection of more messages than these would take an hour.
const PROJECTED_AT_MOST: u64 = 1_000_000;

/// One start, in seconds.
#[derive(Clone, Copy)]
struct Start {
    serving: f64,
    ready: f64,
    raw: f64,
}

/// The starts on a log of this many messages.
struct Starts {
    messages: f64,
    runs: Vec<Start>,
}

pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Found> {
    let program = beside("cursus")?;
    let sizes: &[u64] = ground.either(
        &[10_000, 50_000, 200_000],
        &[10_000, 100_000, 1_000_000, 10_000_000],
    );
    let mut all = Vec::new();
    let mut without_tables = Vec::new();
    for (nth, messages) in sizes.iter().enumerate() {
        let shape = Shape::of(*messages / ground.divide.max(1));
        ground.say(&format!("starts on {shape}"));
        let folder = ground.folder()?;
        let data = folder.path().join("data");
        fill_data(ground, &data, shape).await?;
        if nth == 1 {
            without_tables = starts_without_tables(ground, &program, &data)?;
        }
        #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
        all.push(Starts {
            messages: shape.messages as f64,
            runs: starts(ground, &program, &data)?,
        });
    }
    Ok(Found {
        figures: figures(&all, &without_tables),
        plots: vec![plot(&all)],
        settings: format!(
            "starts after kill -9, files in the page cache; the largest log has {} messages",
            all.last().map_or(0.0, |starts| starts.messages)
        ),
    })
}

/// Log and tables, as a node would have made them: of a large log as it stands a week later, when
/// `users` has been dropped and `cursus rebuild` has made the tables.
pub(super) async fn fill_data(ground: &Ground, data: &Path, shape: Shape) -> anyhow::Result<()> {
    std::fs::create_dir_all(data)?;
    let place = Place::open(data).await?;
    fill(&place.log, &mut ground.corpus(shape)?).await?;
    let ports = place.ports();
    if shape.messages <= PROJECTED_AT_MOST {
        project(&ports).await?;
    } else {
        rebuild::rebuild(&ports, &projectors::Config::default(), generations::FIRST).await?;
        rebuild::adopt(&ports, generations::FIRST).await?;
    }
    place.close().await
}

fn starts(ground: &Ground, program: &Path, data: &Path) -> anyhow::Result<Vec<Start>> {
    let mut runs = Vec::new();
    for n in 0..=ground.either(5, 9) {
        let start = start(program, data)?;
        // The first finds what an orderly end left, not a kill.
        if n > 0 {
            runs.push(start);
        }
    }
    Ok(runs)
}

/// The log is there, and every table has to be made.
fn starts_without_tables(
    ground: &Ground,
    program: &Path,
    data: &Path,
) -> anyhow::Result<Vec<Start>> {
    let mut runs = Vec::new();
    for _ in 0..3 {
        let folder = ground.folder()?;
        let copy = folder.path().join("data");
        std::fs::create_dir_all(copy.join("log"))?;
        copy_folder(&data.join("log"), &copy.join("log"))?;
        runs.push(start(program, &copy)?);
    }
    Ok(runs)
}

/// Reads what must be read, then starts a node, waits until it is ready, and kills it.
fn start(program: &Path, data: &Path) -> anyhow::Result<Start> {
    let files = active_segments(data)?;
    let begun = Instant::now();
    read_all(&files)?;
    let raw = begun.elapsed();
    let mut process = NodeProcess::new(program, data, &[])?;
    process
        .environment
        .push(("CURSUS__TRACE".to_owned(), "warn".to_owned()));
    let begun = Instant::now();
    let node = process.start_serving()?;
    let serving = begun.elapsed();
    node.wait_ready(READY_WITHIN)?;
    let ready = begun.elapsed();
    node.kill()?;
    Ok(Start {
        serving: serving.as_secs_f64(),
        ready: ready.as_secs_f64(),
        raw: raw.as_secs_f64(),
    })
}

/// The segment that each topic would be appended to.
pub(super) fn active_segments(data: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for spec in TOPICS {
        let topic = data.join("log").join(spec.name);
        if topic.is_dir() {
            files.extend(segments(&topic)?.pop());
        }
    }
    Ok(files)
}

fn millis(runs: &[Start], of: impl Fn(&Start) -> f64) -> Vec<f64> {
    runs.iter().map(|run| of(run) * 1e3).collect()
}

fn figures(all: &[Starts], without_tables: &[Start]) -> Vec<Figure> {
    let largest = all.last().map_or(&[][..], |starts| starts.runs.as_slice());
    let raw = millis(largest, |run| run.raw);
    let beside_raw = |values: Vec<f64>| values.into_iter().zip(raw.clone()).collect::<Vec<_>>();
    let (serving, ready) = (
        beside_raw(millis(largest, |run| run.serving)),
        beside_raw(millis(largest, |run| run.ready)),
    );
    // Sockets are served long before the tables are there.
    let early: Vec<_> = without_tables
        .iter()
        .map(|run| (run.serving * 1e3, run.ready * 1e3))
        .collect();
    [
        Figure::against_raw(
            "node start after kill -9 until sockets are served, against a raw scan of the active segments",
            "ms",
            &serving,
            Some(Goal::AtMost(2.0)),
        ),
        Figure::against_raw(
            "node start after kill -9 until it is ready, against a raw scan of the active segments",
            "ms",
            &ready,
            None,
        ),
        Figure::against_raw(
            "node start with every table to be made: sockets served, against projectors idle",
            "ms",
            &early,
            Some(Goal::AtMost(1.0)),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Recovery by log size.
fn plot(all: &[Starts]) -> Plot {
    let line = |name: &str, of: fn(&Start) -> f64| {
        let point = |starts: &Starts| {
            let median = Spread::of(&millis(&starts.runs, of))?.median;
            Some((starts.messages, median))
        };
        Line {
            name: name.to_owned(),
            points: all.iter().filter_map(point).collect(),
        }
    };
    Plot {
        name: "recovery".to_owned(),
        title: "Recovery after kill -9, by log size".to_owned(),
        x: "messages in the log".to_owned(),
        y: "ms".to_owned(),
        x_is_log: true,
        y_is_log: true,
        lines: vec![
            line("ready", |start| start.ready),
            line("sockets are served", |start| start.serving),
            line("raw scan of the active segments", |start| start.raw),
        ],
    }
}
