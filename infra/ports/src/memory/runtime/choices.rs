//! Decisions of a simulated run: what the seed decides, and what can be decided again.
//!
//! Every decision has a key (kind, site, node, nth) and its value depends on the seed and that key
//! only. So taking one decision back does not shift the others: a failing run's list can be cut
//! down until only what matters is left. 0 is always the harmless value. Never looks at a clock or
//! at real randomness.

use std::collections::BTreeMap;

use super::Node;

/// What sort of thing is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Which of the ready tasks runs; 0 is the one that has waited longest.
    Order,
    /// How often a point yields beyond the once it always does.
    Yield,
    /// How many milliseconds a point waits.
    Delay,
    /// Whether the node crashes at a point.
    Crash,
    /// An adapter's own choice: done but timed out, torn tail, part of a write.
    Effect,
}

/// Names one decision of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChoiceKey {
    /// What sort of thing is decided.
    pub kind: Kind,
    /// Where in the code.
    pub site: &'static str,
    /// On which node.
    pub node: Node,
    /// The how manieth of this kind, site and node, from 0.
    pub nth: u32,
}

/// How likely each kind of decision is not the harmless one, in thousandths.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Chances {
    /// A task other than the one that waited longest runs.
    pub order: u32,
    /// A point yields up to three times more.
    pub yields: u32,
    /// A point waits.
    pub delay: u32,
    /// The longest such wait, in milliseconds.
    pub delay_max_ms: u32,
    /// The node crashes at a point.
    pub crash: u32,
    /// An adapter chooses something else than the harmless.
    pub effect: u32,
}

impl Chances {
    /// Nothing ever goes wrong and tasks run in the order they became ready.
    pub const CALM: Self = Self {
        order: 0,
        yields: 0,
        delay: 0,
        delay_max_ms: 20,
        crash: 0,
        effect: 0,
    };

    /// Every order of tasks and delays, but no faults.
    pub const SHUFFLED: Self = Self {
        order: 500,
        yields: 200,
        delay: 200,
        delay_max_ms: 20,
        crash: 0,
        effect: 0,
    };

    /// Shuffled, with an adapter's faults and now and then a crash.
    pub const ROUGH: Self = Self {
        order: 500,
        yields: 200,
        delay: 200,
        delay_max_ms: 20,
        crash: 5,
        effect: 20,
    };

    fn of(&self, kind: Kind) -> u32 {
        match kind {
            Kind::Order => self.order,
            Kind::Yield => self.yields,
            Kind::Delay => self.delay,
            Kind::Crash => self.crash,
            Kind::Effect => self.effect,
        }
    }
}

enum Source {
    Seed {
        seed: u64,
        chances: Chances,
    },
    Replay {
        seed: u64,
        decided: BTreeMap<ChoiceKey, u32>,
    },
}

/// The decisions of one run: made from a seed or taken from a list, and recorded.
pub struct Choices {
    source: Source,
    counters: BTreeMap<(Kind, &'static str, Node), u32>,
    draws: BTreeMap<Node, u64>,
    made: BTreeMap<ChoiceKey, u32>,
    asked: Vec<(ChoiceKey, u32)>,
    keep_asked: bool,
    calm: bool,
}

impl Choices {
    /// Decides by a seed.
    #[must_use]
    pub fn seeded(seed: u64, chances: Chances) -> Self {
        Self::from_source(Source::Seed { seed, chances })
    }

    /// Decides as in the list; what is not in it is 0. The seed still makes the random numbers.
    #[must_use]
    pub fn replayed(seed: u64, decided: BTreeMap<ChoiceKey, u32>) -> Self {
        Self::from_source(Source::Replay { seed, decided })
    }

    fn from_source(source: Source) -> Self {
        Self {
            source,
            counters: BTreeMap::new(),
            draws: BTreeMap::new(),
            made: BTreeMap::new(),
            asked: Vec::new(),
            keep_asked: false,
            calm: false,
        }
    }

    /// Decides among so many options; 0 when there is one or none.
    pub fn choose(&mut self, kind: Kind, site: &'static str, node: Node, options: u32) -> u32 {
        let counter = self.counters.entry((kind, site, node)).or_default();
        let key = ChoiceKey {
            kind,
            site,
            node,
            nth: *counter,
        };
        *counter += 1;
        if options <= 1 {
            return 0;
        }
        if self.keep_asked {
            self.asked.push((key, options));
        }
        if self.calm {
            return 0;
        }
        let value = match &self.source {
            Source::Seed { seed, chances } => drawn(*seed, &key, options, chances.of(kind)),
            Source::Replay { decided, .. } => decided.get(&key).copied().unwrap_or(0) % options,
        };
        if value != 0 {
            self.made.insert(key, value);
        }
        value
    }

    /// 64 bits that depend on the seed, the node and how often it has drawn.
    pub fn random(&mut self, node: Node) -> u64 {
        let draw = self.draws.entry(node).or_default();
        let nth = *draw;
        *draw += 1;
        let seed = match self.source {
            Source::Seed { seed, .. } | Source::Replay { seed, .. } => seed,
        };
        mix(seed ^ mix(u64::from(node.0) << 48 ^ nth ^ hash_text("random")))
    }

    /// The longest delay a point may choose, in milliseconds.
    #[must_use]
    pub fn delay_max_ms(&self) -> u32 {
        match &self.source {
            Source::Seed { chances, .. } => chances.delay_max_ms,
            Source::Replay { .. } => u32::MAX - 1,
        }
    }

    /// From now on everything is harmless (or no longer): to let a run come to rest.
    pub fn set_calm(&mut self, calm: bool) {
        self.calm = calm;
    }

    /// Keeps a list of every decision asked for, with its number of options: what an exhaustive
    /// single-fault sweep goes through.
    pub fn keep_asked(&mut self) {
        self.keep_asked = true;
    }

    /// The decisions that were not harmless.
    #[must_use]
    pub fn made(&self) -> &BTreeMap<ChoiceKey, u32> {
        &self.made
    }

    /// Every decision asked for since [`Choices::keep_asked`], with its number of options.
    #[must_use]
    pub fn asked(&self) -> &[(ChoiceKey, u32)] {
        &self.asked
    }
}

/// Not 0 with the chance given, else 0.
fn drawn(seed: u64, key: &ChoiceKey, options: u32, chance_permille: u32) -> u32 {
    let place = u64::from(key.node.0) << 40 ^ u64::from(key.nth) << 4 ^ kind_number(key.kind);
    let random = mix(seed ^ mix(hash_text(key.site) ^ mix(place)));
    if random % 1000 >= u64::from(chance_permille) {
        return 0;
    }
    let other = mix(random) % u64::from(options - 1);
    u32::try_from(other + 1).unwrap_or(0)
}

fn kind_number(kind: Kind) -> u64 {
    match kind {
        Kind::Order => 0,
        Kind::Yield => 1,
        Kind::Delay => 2,
        Kind::Crash => 3,
        Kind::Effect => 4,
    }
}

/// The finalizer of SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators).
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

/// FNV-1a.
pub(super) fn hash_text(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
