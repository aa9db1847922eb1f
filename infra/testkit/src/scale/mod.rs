//! What cannot be measured on one machine and need not be guessed: how evenly load falls on partitions,
//! brokers and workers. Arithmetic with the platform's own hash and its own assignment; no clock and no
//! chance, so the same lines come out each time. `docs/scale.md` quotes them.

mod brokers;
mod groups;
mod population;
mod workers;

use std::fmt::Write as _;

pub use population::Population;

/// Messages a second that the platform is sized for.
const MESSAGES: f64 = 1_200_000.0;
/// Messages a second of the busiest chat: what was measured as a hot chat.
const HOTTEST_CHAT: f64 = 200.0;
/// Chats of the population: fewer than there are, so that what is said errs on the side of skew.
const CHATS: u32 = 1_000_000;
/// Partition counts that are looked at; the first is the default.
pub(crate) const PARTITIONS: [u32; 4] = [64, 512, 2_048, 4_096];

/// How uneven loads are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spread {
    /// The largest, over the mean.
    pub most: f64,
    /// The one that a hundredth exceed, over the mean.
    pub p99: f64,
}

impl Spread {
    /// Of at least one load.
    #[must_use]
    pub fn of(loads: &[f64]) -> Self {
        let mut sorted = loads.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let mean = sorted.iter().sum::<f64>() / count(sorted.len());
        let at = |place: usize| sorted.get(place).copied().unwrap_or_default() / mean;
        let last = sorted.len().saturating_sub(1);
        Self {
            most: at(last),
            p99: at(last * 99 / 100),
        }
    }
}

/// A count as a number to reckon with; none here is beyond 2^32.
pub(crate) fn count(of: usize) -> f64 {
    f64::from(u32::try_from(of).unwrap_or(u32::MAX))
}

/// All that is simulated, as lines for people.
///
/// # Errors
/// Never, while text can be written into memory.
pub fn report() -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let cap = HOTTEST_CHAT / MESSAGES;
    writeln!(
        out,
        "skew: {CHATS} chats, popularity ~ 1/rank^s, none over {HOTTEST_CHAT} of {MESSAGES} messages/s"
    )?;
    writeln!(
        out,
        "  partitions  s=0.0 most  p99 | s=0.8 most  p99 | s=1.0 most  p99   (of the mean)"
    )?;
    let populations = [0.0, 0.8, 1.0].map(|s| Population::of(CHATS, s, cap));
    for partitions in PARTITIONS {
        let spreads = populations
            .each_ref()
            .map(|one| Spread::of(&one.loads(partitions)));
        let told = spreads.map(|one| format!("{:10.3} {:5.3}", one.most, one.p99));
        writeln!(out, "  {partitions:10} {}", told.join(" |"))?;
    }
    groups::report(&mut out)?;
    let [_, population, _] = &populations;
    brokers::report(&mut out, population)?;
    workers::report(&mut out)?;
    Ok(out)
}
