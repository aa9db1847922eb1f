//! The highest rates of one-to-one messages against that of a bare echo.

use super::Found;
use crate::figure::{Figure, Goal, Spread};
use crate::report::{Line, Plot};
use crate::scenarios::highest::{of_echo, of_node};
use crate::scenarios::stage::Stage;

/// Where the searches begin.
const FIRST: (u64, u64) = (10_000, 30_000);

pub(super) fn measure(stage: &Stage, full: bool) -> anyhow::Result<Found> {
    let (runs, numbers): (_, &[usize]) = if full {
        (5, &[10, 100, 1_000, 10_000])
    } else {
        (2, &[100])
    };
    let mut found = Found {
        sizes: format!(
            "{runs} searches each, in steps of 1.6 s, a step that fails tried once more, 200 bytes of text"
        ),
        ..Found::default()
    };
    let (mut nodes, mut echoes) = (Vec::new(), Vec::new());
    for sockets in numbers {
        let (mut sustained, mut swift) = (Vec::new(), Vec::new());
        let (mut first, mut first_echo) = FIRST;
        for _ in 0..runs {
            let echo = of_echo(stage, *sockets, first_echo)?;
            let node = of_node(stage, *sockets, first)?;
            sustained.push((node.sustained() as f64, echo.sustained() as f64));
            swift.push((node.swift() as f64, echo.sustained() as f64));
            // The next search begins near what was found.
            first = (node.sustained() * 9 / 10).max(1_000);
            first_echo = (echo.sustained() * 9 / 10).max(1_000);
        }
        let name = format!("highest one-to-one rate, {sockets} sockets");
        let goal = Some(Goal::AtLeast(0.65));
        found.add(Figure::against_raw(&name, "messages/s", &sustained, goal));
        let (name, goal) = (format!("{name}, p99 < 10 ms"), Some(Goal::AtLeast(0.3)));
        found.add(Figure::against_raw(&name, "messages/s", &swift, goal));
        let (node, echo): (Vec<_>, Vec<_>) = sustained.into_iter().unzip();
        let x = *sockets as f64;
        nodes.extend(Spread::of(&node).map(|all| (x, all.median)));
        echoes.extend(Spread::of(&echo).map(|all| (x, all.median)));
    }
    let line = |name: &str, points| Line {
        name: name.to_owned(),
        points,
    };
    found.plots.push(Plot {
        name: "throughput".to_owned(),
        title: "Highest sustained one-to-one rate".to_owned(),
        x: "sockets".to_owned(),
        y: "messages/s".to_owned(),
        x_is_log: true,
        y_is_log: false,
        lines: vec![
            line("durable, delivered, marked", nodes),
            line("a bare echo", echoes),
        ],
    });
    Ok(found)
}
