//! Memory of idle sockets.

use super::Found;
use crate::figure::{Figure, Goal};
use crate::report::{Line, Plot};
use crate::scenarios::idle::{Memory, grow, per_socket};
use crate::scenarios::stage::Stage;

/// Where it is looked at.
const NUMBERS: [usize; 4] = [2_000, 5_000, 10_000, 15_000];

pub(super) fn measure(stage: &Stage, _full: bool) -> anyhow::Result<Found> {
    let looks = grow(stage, &NUMBERS)?;
    let mut found = Found {
        sizes: "users without chats, up to 15,000 sockets a process; one run".to_owned(),
        ..Found::default()
    };
    if let Some((node, kernel)) = per_socket(&looks) {
        let goal = Some(Goal::AtMost(4_096.0));
        let name = "idle socket at 15,000: the node's memory";
        found.add(Figure::alone(name, "bytes", &[node], goal));
        let name = "idle socket at 15,000: the kernel's memory, both ends";
        found.add(Figure::alone(name, "bytes", &[kernel], None));
    }
    let mib = |look: &Memory| (look.sockets as f64, look.node_bytes as f64 / 1_048_576.0);
    found.plots.push(Plot {
        name: "memory".to_owned(),
        title: "Memory of a node by idle sockets".to_owned(),
        x: "sockets".to_owned(),
        y: "MiB".to_owned(),
        x_is_log: false,
        y_is_log: false,
        lines: vec![Line {
            name: "resident".to_owned(),
            points: looks.iter().map(mib).collect(),
        }],
    });
    Ok(found)
}
