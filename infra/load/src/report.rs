//! What a run of measures found, as files: `bench/results/<area>.json` for each area and
//! `bench/results/latest.json` with the figures of all of them, for the table and for [`crate`]'s
//! pages.

use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use crate::figure::Figure;

/// Where and on what something was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Circumstances {
    /// Processor, cores, memory, kernel.
    pub machine: String,
    /// The commit that was built, with `+` when the tree had changes.
    pub commit: String,
    /// When, as RFC 3339.
    pub at: String,
    /// What was set otherwise than by default, and the sizes of the load.
    pub settings: String,
}

/// One line of a plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Its points: x, y.
    pub points: Vec<(f64, f64)>,
}

/// A plot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    /// The name of its file, without an ending.
    pub name: String,
    /// Its heading.
    pub title: String,
    /// What is along x, with its unit.
    pub x: String,
    /// What is along y, with its unit.
    pub y: String,
    /// Whether x is drawn logarithmically.
    pub x_is_log: bool,
    /// Whether y is drawn logarithmically.
    pub y_is_log: bool,
    /// What is drawn.
    pub lines: Vec<Line>,
}

/// What one area of measures found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// The area: `sockets`, `log`, `projection` …
    pub area: String,
    /// Where and on what.
    pub circumstances: Circumstances,
    /// Figures.
    pub figures: Vec<Figure>,
    /// Plots.
    pub plots: Vec<Plot>,
}

impl Results {
    /// Writes `<area>.json` into this folder, which is made when it is not there.
    ///
    /// # Errors
    /// When the folder or file cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join(format!("{}.json", self.area));
        let text = serde_json::to_string_pretty(self)? + "\n";
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads what [`Results::write`] wrote.
    ///
    /// # Errors
    /// When the file cannot be read or holds something else.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text =
            std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text)
            .with_context(|| format!("{} is no results file", path.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        let folder = std::env::temp_dir().join(format!("cursus-report-{}", std::process::id()));
        let results = Results {
            area: "log".into(),
            circumstances: Circumstances {
                machine: "2 cores".into(),
                commit: "abc".into(),
                at: "2026-01-01T00:00:00Z".into(),
                settings: "defaults".into(),
            },
            figures: Figure::alone("x", "records/s", &[1.5, 2.5], None)
                .into_iter()
                .collect(),
            plots: Vec::new(),
        };
        results.write(&folder).unwrap();
        assert_eq!(Results::read(&folder.join("log.json")).unwrap(), results);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
