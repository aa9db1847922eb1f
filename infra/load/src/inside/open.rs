//! Opening a log that was not closed, beside reading the segment of each topic that must be checked
//! whole.

use std::path::Path;
use std::time::Instant;

use infra_log_embedded::{Config, EmbeddedLog};

use super::ground::Ground;
use super::start::active_segments;
use crate::figure::{Figure, Goal};
use crate::raw::scan::read_all;

/// The figure of the log in a data folder, which nobody has open.
pub(super) fn measure(ground: &Ground, data: &Path) -> anyhow::Result<Option<Figure>> {
    let mut runs = Vec::new();
    for _ in 0..ground.either(7, 15) {
        let files = active_segments(data)?;
        let begun = Instant::now();
        read_all(&files)?;
        let raw = begun.elapsed();
        let begun = Instant::now();
        let log = EmbeddedLog::open(Config {
            directory: data.join("log"),
            ..Config::default()
        })?;
        let ours = begun.elapsed();
        // As a kill leaves it: nothing is closed.
        drop(log);
        runs.push((ours.as_secs_f64() * 1e3, raw.as_secs_f64() * 1e3));
    }
    Ok(Figure::against_raw(
        "opening the log, against reading the segments that appends go to",
        "ms",
        &runs,
        Some(Goal::AtMost(2.0)),
    ))
}
