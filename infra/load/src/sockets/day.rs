//! A hot chat, a mixed day, pages of history.

use super::Found;
use crate::figure::Figure;
use crate::scenarios::day::{hot, mixed};
use crate::scenarios::history::paging;
use crate::scenarios::measure::{Quantiles, Span};
use crate::scenarios::stage::Stage;

/// A hot chat: members and messages a second.
const HOT: (usize, u64) = (100, 200);
/// A mixed day: users and messages a second.
const MIXED: (usize, u64) = (400, 1_000);

pub(super) fn measure(stage: &Stage, full: bool) -> anyhow::Result<Found> {
    let (runs, seconds) = if full { (5, 10.0) } else { (2, 3.0) };
    let span = Span {
        warm_up: 0.5,
        seconds,
    };
    let names = [
        "hot chat, 100 members, 200/s",
        "mixed day, 400 users, 1,000/s: one-to-one",
        "mixed day, 400 users, 1,000/s: groups of 20",
        "a page of history over a socket",
        "a page of history over HTTP",
    ];
    let mut all: Vec<Vec<Quantiles>> = vec![Vec::new(); names.len()];
    for _ in 0..runs {
        let hot = hot(stage, HOT.0, HOT.1, span)?;
        let day = mixed(stage, MIXED.0, MIXED.1, span)?;
        let pages = paging(stage)?;
        let run = [
            hot.delivered(0),
            day.delivered(0),
            day.delivered(1),
            pages.frames,
            pages.http,
        ];
        all.iter_mut().zip(run).for_each(|(all, one)| all.push(one));
    }
    let mut found = Found {
        sizes: format!("{runs} runs of {seconds} s; pages of 50 of a chat with 1,000 messages"),
        ..Found::default()
    };
    for (name, runs) in names.iter().zip(&all) {
        for (which, of) in [("p50", p50 as fn(&Quantiles) -> f64), ("p99", p99)] {
            let values: Vec<_> = runs.iter().map(of).collect();
            found.add(Figure::alone(
                &format!("{name}: {which}"),
                "µs",
                &values,
                None,
            ));
        }
    }
    Ok(found)
}

fn p50(all: &Quantiles) -> f64 {
    all.p50
}

fn p99(all: &Quantiles) -> f64 {
    all.p99
}
