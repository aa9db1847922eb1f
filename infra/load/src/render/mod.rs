//! From results files to what people look at: a table on the terminal, one list of all figures, and
//! the page with its plots. Measures nothing.
//!
//! ```text
//!  bench/results/<area>.json ─┬─▶ bench/results/latest.json    every figure, for programs
//!                             ├─▶ a table on the terminal
//!                             └─▶ docs/benchmarks.md, docs/benchmarks/<plot>.svg
//! ```

mod axis;
mod numbers;
mod page;
mod svg;
mod table;

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};

use crate::figure::Figure;
use crate::report::Results;

/// The list of the figures of all areas.
const LATEST: &str = "latest.json";

/// Where results are.
#[derive(Debug, clap::Args)]
pub struct TableOptions {
    /// Where results are read from, and the list of all figures is written
    #[arg(long, default_value = "bench/results")]
    results: PathBuf,
}

/// Where results are, and where pages go.
#[derive(Debug, clap::Args)]
pub struct PagesOptions {
    #[command(flatten)]
    from: TableOptions,
    /// Where benchmarks.md and its plots are written
    #[arg(long, default_value = "docs")]
    docs: PathBuf,
}

/// Prints the table of every figure and writes the list of them.
///
/// # Errors
/// When results cannot be read or the list not be written.
pub fn print_table(options: &TableOptions) -> anyhow::Result<()> {
    let figures: Vec<Figure> = read_all(&options.results)?
        .into_iter()
        .flat_map(|results| results.figures)
        .collect();
    let text = serde_json::to_string_pretty(&figures)? + "\n";
    write(&options.results.join(LATEST), &text)?;
    let table = table::for_terminal(&figures);
    write!(std::io::stdout(), "{table}").context("standard output")
}

/// Writes the page and its plots.
///
/// # Errors
/// When results cannot be read or the pages not be written.
pub fn write_pages(options: &PagesOptions) -> anyhow::Result<()> {
    let areas = read_all(&options.from.results)?;
    let plots = options.docs.join("benchmarks");
    std::fs::create_dir_all(&plots)?;
    for plot in areas.iter().flat_map(|results| &results.plots) {
        write(&plots.join(format!("{}.svg", plot.name)), &svg::draw(plot)?)?;
    }
    write(&options.docs.join("benchmarks.md"), &page::page(&areas)?)
}

/// The results of every area, in the order of the page.
fn read_all(folder: &Path) -> anyhow::Result<Vec<Results>> {
    let cannot = || format!("no results in {}: measure first", folder.display());
    let mut all = Vec::new();
    for entry in folder.read_dir().with_context(cannot)? {
        let path = entry?.path();
        let is_json = path.extension().is_some_and(|ending| ending == "json");
        if is_json && path.file_name().is_some_and(|name| name != LATEST) {
            all.push(Results::read(&path)?);
        }
    }
    ensure!(!all.is_empty(), cannot());
    all.sort_by_key(|results| (page::place(&results.area), results.area.clone()));
    Ok(all)
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::Goal;
    use crate::report::{Circumstances, Line, Plot};

    fn results(area: &str, figure: &str) -> Results {
        let figure = Figure::against_raw(figure, "ms", &[(3.0, 2.0)], Some(Goal::AtMost(2.0)));
        Results {
            area: area.to_owned(),
            circumstances: Circumstances {
                machine: "2 cores".into(),
                commit: "abc".into(),
                at: "2026-01-01T00:00:00Z".into(),
                settings: "short set".into(),
            },
            figures: figure.into_iter().collect(),
            plots: vec![Plot {
                name: format!("plot-of-{area}"),
                title: "A plot".into(),
                x: "x".into(),
                y: "y".into(),
                x_is_log: false,
                y_is_log: false,
                lines: vec![Line {
                    name: "ours".into(),
                    points: vec![(1.0, 1.0), (2.0, 3.0)],
                }],
            }],
        }
    }

    #[test]
    fn pages_show_each_area_in_its_place_with_its_table_and_plots() {
        let folder = tempfile::tempdir().unwrap();
        let from = TableOptions {
            results: folder.path().join("results"),
        };
        for (area, figure) in [("zebra", "last"), ("start", "second"), ("log", "first")] {
            results(area, figure).write(&from.results).unwrap();
        }
        print_table(&from).unwrap();
        let latest = std::fs::read(from.results.join(LATEST)).unwrap();
        let latest: Vec<serde_json::Value> = serde_json::from_slice(&latest).unwrap();
        let names: Vec<_> = latest
            .iter()
            .map(|figure| figure["figure"].clone())
            .collect();
        assert_eq!(names, ["first", "second", "last"]);
        assert_eq!(latest[0]["goal"]["at_most"], 2.0);

        // The list of all figures is no area: it is there now, and not read.
        let docs = folder.path().join("docs");
        let options = PagesOptions {
            from,
            docs: docs.clone(),
        };
        write_pages(&options).unwrap();
        let page = std::fs::read_to_string(docs.join("benchmarks.md")).unwrap();
        let headings: Vec<_> = page
            .lines()
            .filter(|line| line.starts_with("## "))
            .collect();
        assert_eq!(
            headings,
            ["## The embedded log", "## Start after kill -9", "## zebra"]
        );
        for area in ["log", "start", "zebra"] {
            assert!(page.contains(&format!("(benchmarks/plot-of-{area}.svg)")));
            assert!(
                docs.join(format!("benchmarks/plot-of-{area}.svg"))
                    .is_file()
            );
        }
        assert_eq!(
            page.matches("| 3.00 ms | 2.00 ms | 1.50× | ≤ 2× | yes |")
                .count(),
            3
        );
        assert_eq!(page.matches("*2 cores; commit abc;").count(), 3);
    }

    #[test]
    fn a_folder_without_results_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let options = TableOptions {
            results: folder.path().to_owned(),
        };
        let error = print_table(&options).unwrap_err().to_string();
        assert!(error.contains("measure first"), "{error}");
    }
}
