//! A plot as a small SVG that stands for itself: its colours follow the reader's light or dark
//! setting, and its background is its own, so that it can be read on any page.

use std::fmt::Write;

use super::axis::{Axis, Tick};
use crate::report::{Line, Plot};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 34.0;
const BOTTOM: f64 = 56.0;
/// Where the first row of the legend stands.
const LEGEND: f64 = 56.0;
const LEGEND_ROW: f64 = 20.0;
/// About what a letter of the legend is wide.
const LETTER: f64 = 6.6;
/// Colours of lines, light and dark: apart from each other for those who see few colours too.
const COLOURS: [(&str, &str); 6] = [
    ("#0b62c4", "#6cb0ff"),
    ("#c2540a", "#ff9f4d"),
    ("#0d7f5f", "#43cfa5"),
    ("#8a3fc0", "#cf98ff"),
    ("#b3261e", "#ff8a80"),
    ("#6b6200", "#d9cc4a"),
];

/// Draws a plot.
pub(super) fn draw(plot: &Plot) -> Result<String, std::fmt::Error> {
    let (marks, legend_end) = legend(&plot.lines)?;
    let top = legend_end + 14.0;
    let values = |of: fn(&(f64, f64)) -> f64| -> Vec<f64> {
        plot.lines
            .iter()
            .flat_map(|line| line.points.iter().map(of))
            .collect()
    };
    let mut x = Axis::over(&values(|point| point.0), plot.x_is_log, LEFT, WIDTH - RIGHT);
    if plot.x.starts_with("percentile") {
        x = x.of_percentiles();
    }
    let y = Axis::over(
        &values(|point| point.1),
        plot.y_is_log,
        HEIGHT - BOTTOM,
        top,
    );
    let mut out = String::new();
    head(&mut out, plot)?;
    for tick in x.ticks() {
        x_tick(&mut out, &tick, top)?;
    }
    for tick in y.ticks() {
        y_tick(&mut out, &tick)?;
    }
    names(&mut out, plot, top)?;
    out.push_str(&marks);
    for (nth, one) in plot.lines.iter().enumerate() {
        line(&mut out, nth, one, &x, &y)?;
    }
    out.push_str("</svg>\n");
    Ok(out)
}

fn head(out: &mut String, plot: &Plot) -> std::fmt::Result {
    writeln!(
        out,
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="{}">"#,
        escaped(&plot.title)
    )?;
    writeln!(out, "<style>\n{}</style>", style())?;
    writeln!(
        out,
        r#"<rect class="paper" x="0.5" y="0.5" width="{}" height="{}" rx="8"/>"#,
        WIDTH - 1.0,
        HEIGHT - 1.0
    )?;
    writeln!(
        out,
        r#"<text class="title" x="20" y="30">{}</text>"#,
        escaped(&plot.title)
    )
}

/// Light first; dark overrides it.
fn style() -> String {
    let rules = |paper: &str, edge: &str, ink: &str, faint: &str, grid: &str, limit: &str| {
        format!(
            ".paper {{ fill: {paper}; stroke: {edge}; }}\n\
             text {{ font: 12px -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif; fill: {faint}; }}\n\
             .title {{ font-size: 15px; font-weight: 600; fill: {ink}; }}\n\
             .key {{ fill: {ink}; }}\n\
             .grid {{ stroke: {grid}; }}\n.minor {{ stroke: {grid}; opacity: 0.45; }}\n\
             .line {{ fill: none; stroke-width: 2.2; stroke-linejoin: round; }}\n\
             .limit {{ stroke: {limit}; stroke-dasharray: 6 4; }}\n.dot-limit {{ fill: {limit}; }}\n"
        )
    };
    let colours = |pick: fn(&(&'static str, &'static str)) -> &'static str| {
        let rule = |(nth, pair)| {
            let colour = pick(pair);
            format!(".line-{nth} {{ stroke: {colour}; }} .dot-{nth} {{ fill: {colour}; }}\n")
        };
        COLOURS.iter().enumerate().map(rule).collect::<String>()
    };
    let light = rules(
        "#ffffff", "#d8dee4", "#1f2328", "#59636e", "#e6eaee", "#7a8490",
    );
    let dark = rules(
        "#0d1117", "#30363d", "#e6edf3", "#9198a1", "#262c34", "#8b949e",
    );
    format!(
        "{light}{}@media (prefers-color-scheme: dark) {{\n{dark}{}}}\n",
        colours(|pair| pair.0),
        colours(|pair| pair.1)
    )
}

fn x_tick(out: &mut String, tick: &Tick, top: f64) -> std::fmt::Result {
    let (at, bottom) = (tick.at, HEIGHT - BOTTOM);
    let class = if tick.label.is_some() {
        "grid"
    } else {
        "minor"
    };
    writeln!(
        out,
        r#"<line class="{class}" x1="{at:.1}" y1="{top:.1}" x2="{at:.1}" y2="{bottom:.1}"/>"#
    )?;
    match &tick.label {
        Some(label) => writeln!(
            out,
            r#"<text x="{at:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            bottom + 18.0,
            escaped(label)
        ),
        None => Ok(()),
    }
}

fn y_tick(out: &mut String, tick: &Tick) -> std::fmt::Result {
    let at = tick.at;
    let class = if tick.label.is_some() {
        "grid"
    } else {
        "minor"
    };
    writeln!(
        out,
        r#"<line class="{class}" x1="{LEFT}" y1="{at:.1}" x2="{}" y2="{at:.1}"/>"#,
        WIDTH - RIGHT
    )?;
    match &tick.label {
        Some(label) => writeln!(
            out,
            r#"<text x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            LEFT - 8.0,
            at + 4.0,
            escaped(label)
        ),
        None => Ok(()),
    }
}

/// What is along the axes.
fn names(out: &mut String, plot: &Plot, top: f64) -> std::fmt::Result {
    writeln!(
        out,
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        f64::midpoint(LEFT, WIDTH - RIGHT),
        HEIGHT - 14.0,
        escaped(&plot.x)
    )?;
    let middle = f64::midpoint(top, HEIGHT - BOTTOM);
    writeln!(
        out,
        r#"<text transform="translate(22 {middle:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
        escaped(&plot.y)
    )
}

/// Colours beside names, in as many rows as it takes; says where the last row stands.
fn legend(lines: &[Line]) -> Result<(String, f64), std::fmt::Error> {
    let (mut out, mut x, mut y) = (String::new(), 20.0, LEGEND);
    for (nth, line) in lines.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "a name is short")]
        let width = 28.0 + line.name.chars().count() as f64 * LETTER + 18.0;
        if x > 20.0 && x + width > WIDTH - RIGHT {
            (x, y) = (20.0, y + LEGEND_ROW);
        }
        let (stroke, _) = classes(nth, line);
        writeln!(
            out,
            r#"<line class="line {stroke}" x1="{x:.1}" y1="{:.1}" x2="{:.1}" y2="{:.1}"/><text class="key" x="{:.1}" y="{y:.1}">{}</text>"#,
            y - 4.0,
            x + 20.0,
            y - 4.0,
            x + 28.0,
            escaped(&line.name)
        )?;
        x += width;
    }
    Ok((out, y))
}

fn line(out: &mut String, nth: usize, line: &Line, x: &Axis, y: &Axis) -> std::fmt::Result {
    let place = |(a, b): &(f64, f64)| Some((x.place(*a)?, y.place(*b)?));
    let places: Vec<_> = line.points.iter().filter_map(place).collect();
    let joined: Vec<_> = places
        .iter()
        .map(|(x, y)| format!("{x:.1},{y:.1}"))
        .collect();
    let (stroke, fill) = classes(nth, line);
    writeln!(
        out,
        r#"<polyline class="line {stroke}" points="{}"/>"#,
        joined.join(" ")
    )?;
    // Many points are a curve of their own; few are measurements to be seen.
    for (x, y) in places.iter().filter(|_| places.len() <= 24) {
        writeln!(
            out,
            r#"<circle class="{fill}" cx="{x:.1}" cy="{y:.1}" r="3.4"/>"#
        )?;
    }
    Ok(())
}

/// Raw limits are dashed and grey, lines of ours have colours.
fn classes(nth: usize, line: &Line) -> (String, String) {
    if line.name.starts_with("raw") {
        return ("limit".to_owned(), "dot-limit".to_owned());
    }
    let nth = nth % COLOURS.len();
    (format!("line-{nth}"), format!("dot-{nth}"))
}

fn escaped(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot() -> Plot {
        let line = |name: &str, factor: f64| Line {
            name: name.to_owned(),
            points: (0..5)
                .map(|n| 10_f64.powi(n))
                .map(|x| (x, x * factor))
                .collect(),
        };
        Plot {
            name: "a-plot".to_owned(),
            title: "Time & <size>".to_owned(),
            x: "records".to_owned(),
            y: "ms".to_owned(),
            x_is_log: true,
            y_is_log: true,
            lines: vec![line("ours", 2.0), line("raw scan", 1.0)],
        }
    }

    /// The values of an attribute, as numbers.
    fn numbers(svg: &str, attribute: &str) -> Vec<f64> {
        let needle = format!(" {attribute}=\"");
        let found = svg
            .split(&needle)
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        found.map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn every_line_and_point_is_drawn_within_the_paper() {
        let svg = draw(&plot()).unwrap();
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert_eq!(svg.matches("<circle").count(), 10);
        let (x, y) = (numbers(&svg, "cx"), numbers(&svg, "cy"));
        assert!(
            x.iter().all(|x| (LEFT..=WIDTH - RIGHT).contains(x)),
            "{x:?}"
        );
        assert!(
            y.iter().all(|y| (LEGEND..=HEIGHT - BOTTOM).contains(y)),
            "{y:?}"
        );
        // Larger values are further right, and further up.
        assert!(x[0] < x[4] && y[0] > y[4]);
    }

    #[test]
    fn text_is_escaped_and_both_settings_have_their_colours() {
        let svg = draw(&plot()).unwrap();
        assert!(svg.contains("Time &amp; &lt;size&gt;") && !svg.contains("<size>"));
        assert!(svg.contains("prefers-color-scheme: dark"));
        let opened = svg.matches("<text").count();
        assert_eq!(opened, svg.matches("</text>").count());
    }

    #[test]
    fn raw_limits_look_unlike_our_lines() {
        let svg = draw(&plot()).unwrap();
        assert_eq!(
            svg.matches(r#"class="line limit""#).count(),
            2,
            "in the legend and drawn"
        );
        assert_eq!(svg.matches(r#"class="line line-0""#).count(), 2);
    }

    #[test]
    fn a_plot_without_points_is_a_drawing_still() {
        let mut empty = plot();
        empty.lines.clear();
        let svg = draw(&empty).unwrap();
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
    }
}
