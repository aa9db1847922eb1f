//! Who is hit, and how.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::later::Build;

/// What is done to a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Hit {
    /// SIGKILL.
    Killed,
    /// SIGTERM: it ends in order.
    Ended,
    /// The same; and it comes back as this build.
    Rolled(Build),
    /// All tables are made anew beside the live ones, and become these.
    Rebuilt,
    /// The same; but whoever makes them is killed halfway.
    HalfRebuilt,
    /// The tables of before the last rebuild are live again.
    RolledBack,
    /// SIGSTOP and, for longer than it takes to be given up by others, nothing; then SIGCONT.
    Stalled,
}

/// Somebody to hit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) victim: String,
    pub(super) hit: Hit,
}

/// What a victim is one of: `kafka-2` is one of `kafka`.
pub fn kind(victim: &str) -> &str {
    match victim.rsplit_once('-') {
        Some((kind, number)) if number.parse::<u32>().is_ok() => kind,
        _ => victim,
    }
}

/// As many as there are rounds, dealt by hands: in a hand each victim is killed once, one process of each
/// kind is ended in order, and four of any kinds are stalled, in an order of chance.
pub(super) fn targets(
    processes: &[String],
    servers: &[String],
    rounds: u32,
    chance: &mut fastrand::Rng,
) -> Vec<Target> {
    let rounds = usize::try_from(rounds).unwrap_or(usize::MAX);
    let mut targets = Vec::new();
    while targets.len() < rounds && processes.len() + servers.len() > 0 {
        targets.extend(hand(processes, servers, chance));
    }
    targets.truncate(rounds);
    targets
}

/// How many are stalled in a hand.
const STALLED: usize = 4;

fn hand(processes: &[String], servers: &[String], chance: &mut fastrand::Rng) -> Vec<Target> {
    let all: Vec<String> = processes.iter().chain(servers).cloned().collect();
    let target = |hit| move |victim| Target { victim, hit };
    let ended = one_of_each(processes, chance);
    let stalled = one_of_each(&all, chance).into_iter().take(STALLED);
    let mut hand: Vec<Target> = all.iter().cloned().map(target(Hit::Killed)).collect();
    hand.extend(ended.into_iter().map(target(Hit::Ended)));
    hand.extend(stalled.map(target(Hit::Stalled)));
    chance.shuffle(&mut hand);
    hand
}

/// One of each kind, by chance and in an order of chance.
fn one_of_each(all: &[String], chance: &mut fastrand::Rng) -> Vec<String> {
    let mut all = all.to_vec();
    chance.shuffle(&mut all);
    let mut kinds = BTreeSet::new();
    all.retain(|victim| kinds.insert(kind(victim).to_owned()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn in_a_hand_everybody_is_killed_and_a_seed_deals_it_again() {
        let processes = names(&["gateway-1", "gateway-2", "ingest", "worker-1"]);
        let servers = names(&["kafka-1", "kafka-2", "cassandra"]);
        let deal = |seed| {
            let mut chance = fastrand::Rng::with_seed(seed);
            targets(&processes, &servers, 14, &mut chance)
        };
        let dealt = deal(7);
        let of = |hit| {
            let all = dealt.iter().filter(move |target| target.hit == hit);
            all.map(|target| target.victim.as_str())
                .collect::<BTreeSet<_>>()
        };
        assert_eq!(of(Hit::Killed).len(), 7);
        let ended: BTreeSet<&str> = of(Hit::Ended).into_iter().map(kind).collect();
        assert_eq!(ended, ["gateway", "ingest", "worker"].into());
        assert_eq!(of(Hit::Stalled).len(), STALLED);
        assert_eq!(dealt, deal(7));
        assert_ne!(dealt, deal(8));
    }
}
