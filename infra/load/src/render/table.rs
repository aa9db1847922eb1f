//! Figures as a table, for the terminal and for the pages: the same cells in both.

use super::numbers::number;
use crate::figure::{Figure, Goal, Met};

const HEADINGS: [&str; 6] = ["figure", "value", "raw", "ratio", "goal", "met"];
/// Where a long name is broken on the terminal.
const NAME_WIDTH: usize = 56;

/// The cells of a figure, in the order of the headings.
struct Cells([String; 6]);

impl Cells {
    fn of(figure: &Figure) -> Self {
        let unit = &figure.unit;
        let goal = figure.goal.map(|goal| match goal {
            Goal::AtMost(most) => format!("≤ {}", of_a_ratio(figure, most)),
            Goal::AtLeast(least) => format!("≥ {}", of_a_ratio(figure, least)),
        });
        let met = figure.reached().map(|met| match met {
            Met::Throughout => "yes",
            Met::AtTheMedian => "at the median",
            Met::No => "no",
        });
        Self([
            figure.figure.clone(),
            format!("{} {unit}{}", number(figure.value), alone(figure)),
            figure
                .raw
                .map(|raw| format!("{} {unit}", number(raw)))
                .unwrap_or_default(),
            figure
                .ratio
                .map(|ratio| format!("{}×{}", number(ratio), spread(figure)))
                .unwrap_or_default(),
            goal.unwrap_or_default(),
            met.unwrap_or_default().to_owned(),
        ])
    }
}

/// The goal in the form of what it is for: a ratio, or the value itself.
fn of_a_ratio(figure: &Figure, goal: f64) -> String {
    let text = number(goal);
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    match figure.ratio {
        Some(_) => format!("{text}×"),
        None => format!("{text} {}", figure.unit),
    }
}

/// The spread, where there were several runs.
fn spread(figure: &Figure) -> String {
    let several = figure.spread.filter(|spread| spread.runs > 1);
    several.map_or_else(String::new, |spread| {
        format!(" ({}–{})", number(spread.least), number(spread.most))
    })
}

/// The spread of a value that has no raw limit.
fn alone(figure: &Figure) -> String {
    if figure.ratio.is_some() {
        String::new()
    } else {
        spread(figure)
    }
}

/// A table for a terminal.
pub(super) fn for_terminal(figures: &[Figure]) -> String {
    let mut rows = vec![HEADINGS.map(str::to_owned)];
    for figure in figures {
        let mut cells = Cells::of(figure).0;
        let name = std::mem::take(&mut cells[0]);
        for (nth, part) in broken(&name).into_iter().enumerate() {
            let mut row = if nth == 0 {
                cells.clone()
            } else {
                Default::default()
            };
            row[0] = part;
            rows.push(row);
        }
    }
    let mut widths = [0; 6];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines = rows.iter().map(|row| {
        let cells = row
            .iter()
            .zip(widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let room = " ".repeat(width - cell.chars().count());
                // Names and what is met begin in line, numbers end in line.
                if column == 0 || column == 5 {
                    format!("{cell}{room}")
                } else {
                    format!("{room}{cell}")
                }
            });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

/// A table in Markdown.
pub(super) fn for_page(figures: &[Figure]) -> String {
    let mut text = format!(
        "| {} |\n|---|---:|---:|---:|---:|---|\n",
        HEADINGS.join(" | ")
    );
    for figure in figures {
        let cells = Cells::of(figure).0.map(|cell| cell.replace('|', "\\|"));
        text.push_str(&format!("| {} |\n", cells.join(" | ")));
    }
    text
}

/// A name in lines that are not too long.
fn broken(name: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in name.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= NAME_WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("  {word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> Vec<Figure> {
        let runs = [(90.0, 100.0), (95.0, 100.0), (80.0, 100.0)];
        [
            Figure::against_raw("append", "records/s", &runs, Some(Goal::AtLeast(0.97))),
            Figure::alone("idle | socket", "KiB", &[2.5], Some(Goal::AtMost(4.0))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    #[test]
    fn the_page_has_a_row_for_each_figure_with_its_spread_and_goal() {
        let page = for_page(&figures());
        let rows: Vec<_> = page.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| append | 90.0 records/s | 100 records/s | 0.900× (0.800–0.950) | ≥ 0.97× | no |",
                "| idle \\| socket | 2.50 KiB |  |  | ≤ 4 KiB | yes |",
            ]
        );
    }

    #[test]
    fn columns_of_the_terminal_stand_in_line() {
        let mut figures = figures();
        figures[0].figure =
            "a name that is by far too long for one line of a terminal table".into();
        let table = for_terminal(&figures);
        let lines: Vec<_> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        let ends = |line: &str, of: &str| {
            line.find(of)
                .map(|at| line[..at].chars().count() + of.chars().count())
        };
        assert_eq!(ends(lines[1], "≥ 0.97×"), ends(lines[3], "≤ 4 KiB"));
        assert!(lines[2].starts_with("  terminal"), "{}", lines[2]);
    }
}
