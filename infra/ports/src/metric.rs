//! What a metric is: its name, unit, labels and meaning in one place, and its series at hand.
//!
//! Each crate names its metrics in one room, `metrics.rs`, with [`metrics!`](crate::metrics): what
//! stands in the doc comment is what Prometheus shows as help. A family's series are made when it
//! is registered, once, after a recorder was installed; counting is then one atomic addition, with
//! no look-up and no key. Before that nothing is counted. Labels are bounded: never a user or a chat.

use std::sync::OnceLock;
use std::time::Duration;

use ::metrics::Label;
pub use ::metrics::{Counter, Gauge, Histogram, Unit};

/// Upper bounds for times, in seconds: 50 µs to 10 s.
pub const SECONDS: &[f64] = &[
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
    1.0, 2.5, 5.0, 10.0,
];
/// Upper bounds for how many came together: 1 to 16,384.
pub const COUNTS: &[f64] = &[
    1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1_024.0, 4_096.0, 16_384.0,
];

/// What is measured, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Samples, counted below these upper bounds.
    Histogram(&'static [f64]),
}

/// A metric's contract.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// Its name in the exposition.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// What it counts in.
    pub unit: Unit,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
}

/// Something that has a contract and can be made known to the recorder.
pub trait Described: Sync {
    /// Its contract.
    fn metric(&self) -> &Metric;
    /// Describes it to the recorder and makes the series that are known beforehand. Once; a second
    /// call changes nothing.
    fn register(&self);
}

/// A handle of one series.
pub trait Series: Sized + Send + Sync + 'static {
    /// Tells the recorder what the metric means.
    fn describe(metric: &Metric);
    /// Finds or makes a series.
    fn find(name: &'static str, labels: Vec<Label>) -> Self;
}

macro_rules! series {
    ($handle:ty, $describe:ident, $find:ident) => {
        impl Series for $handle {
            fn describe(metric: &Metric) {
                ::metrics::$describe!(metric.name, metric.unit, metric.help);
            }
            fn find(name: &'static str, labels: Vec<Label>) -> Self {
                ::metrics::$find!(name, labels)
            }
        }
    };
}
series!(Counter, describe_counter, counter);
series!(Gauge, describe_gauge, gauge);
series!(Histogram, describe_histogram, histogram);

/// A metric with its series.
pub struct Family<S: 'static> {
    metric: Metric,
    known: fn() -> Vec<Vec<&'static str>>,
    series: OnceLock<Box<[S]>>,
}

impl<S: Series> Family<S> {
    /// A family that makes the series of these label values when it is registered.
    pub const fn new(metric: Metric, known: fn() -> Vec<Vec<&'static str>>) -> Self {
        Self {
            metric,
            known,
            series: OnceLock::new(),
        }
    }

    /// The series of these label values, looked up: for what is rare or not known beforehand.
    pub fn of(&self, values: &[&'static str]) -> S {
        let pairs = self.metric.labels.iter().zip(values);
        let labels = pairs.map(|(name, value)| Label::from_static_parts(name, value));
        S::find(self.metric.name, labels.collect())
    }

    /// A series known beforehand, by its place; none before it is registered.
    fn at(&self, place: usize) -> Option<&S> {
        self.series.get()?.get(place)
    }
}

impl<S: Series> Described for Family<S> {
    fn metric(&self) -> &Metric {
        &self.metric
    }

    fn register(&self) {
        self.series.get_or_init(|| {
            S::describe(&self.metric);
            (self.known)()
                .iter()
                .map(|values| self.of(values))
                .collect()
        });
    }
}

impl Family<Counter> {
    /// Counts on, in the series at a place.
    pub fn add(&self, place: usize, count: u64) {
        if let Some(counter) = self.at(place) {
            counter.increment(count);
        }
    }

    /// Takes over what somebody else counted.
    pub fn is(&self, place: usize, count: u64) {
        if let Some(counter) = self.at(place) {
            counter.absolute(count);
        }
    }
}

impl Family<Gauge> {
    /// Sets the series at a place.
    pub fn set(&self, place: usize, value: f64) {
        if let Some(gauge) = self.at(place) {
            gauge.set(value);
        }
    }

    /// Moves it up or, below zero, down.
    pub fn moves(&self, place: usize, by: f64) {
        if let Some(gauge) = self.at(place) {
            gauge.increment(by);
        }
    }

    /// Sets it to a count.
    pub fn set_count(&self, place: usize, count: u64) {
        self.set(place, approximate(count));
    }
}

impl Family<Histogram> {
    /// Takes a time.
    pub fn record(&self, place: usize, took: Duration) {
        if let Some(histogram) = self.at(place) {
            histogram.record(took.as_secs_f64());
        }
    }

    /// Takes a count.
    pub fn record_count(&self, place: usize, count: u64) {
        if let Some(histogram) = self.at(place) {
            histogram.record(approximate(count));
        }
    }
}

/// Exact up to 2^53, which no count here reaches.
#[expect(clippy::cast_precision_loss, reason = "a metric shows magnitudes")]
fn approximate(count: u64) -> f64 {
    count as f64
}

/// Series without labels: one.
pub fn one() -> Vec<Vec<&'static str>> {
    vec![Vec::new()]
}

/// A series for each value of the only label, in this order.
pub fn each(values: impl IntoIterator<Item = &'static str>) -> Vec<Vec<&'static str>> {
    values.into_iter().map(|value| vec![value]).collect()
}

/// Where a value of a label stands; past the end when it is not among them.
pub fn place_of(value: &str, values: impl IntoIterator<Item = &'static str>) -> usize {
    let mut values = values.into_iter();
    values
        .position(|known| known == value)
        .unwrap_or(usize::MAX)
}

/// Names the metrics of a crate: each a static [`Family`] whose help is its doc comment, and `ALL`
/// and `register` over all of them.
///
/// ```
/// infra_ports::metrics! {
///     /// Letters that were sorted, by shelf.
///     pub SORTED: Counter, Count, "post_sorted_total", ["shelf"] = || infra_ports::metric::each(["a", "b"]);
///     /// Time to sort a bag.
///     pub BAG: Histogram(infra_ports::metric::SECONDS), Seconds, "post_bag_seconds";
/// }
/// SORTED.add(1, 3);
/// assert_eq!(ALL[0].metric().help, "Letters that were sorted, by shelf.");
/// ```
#[macro_export]
macro_rules! metrics {
    (@known) => { $crate::metric::one };
    (@known $known:expr) => { $known };
    ($($(#[doc = $help:literal])+ $vis:vis $id:ident: $kind:ident $(($buckets:expr))?, $unit:ident, $name:literal
        $(, [$($label:literal),+] = $known:expr)?;)+) => {
        $($(#[doc = $help])+
        $vis static $id: $crate::metric::Family<$crate::metric::$kind> = {
            let metric = $crate::metric::Metric {
                name: $name,
                kind: $crate::metric::Kind::$kind $(($buckets))?,
                unit: $crate::metric::Unit::$unit,
                labels: &[$($($label),+)?],
                help: concat!($($help),+).trim_ascii(),
            };
            $crate::metric::Family::new(metric, $crate::metrics!(@known $($known)?))
        };)+

        /// Every metric of this crate.
        #[allow(unreachable_pub, reason = "rooms of tests have metrics too")]
        pub static ALL: &[&dyn $crate::metric::Described] = &[$(&$id),+];

        /// Makes them known to the recorder; to be called once one is installed. A second call
        /// changes nothing.
        #[allow(unreachable_pub, reason = "rooms of tests have metrics too")]
        pub fn register() {
            ALL.iter().for_each(|metric| metric.register());
        }
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::metrics! {
        /// Letters that were sorted,
        /// by shelf.
        SORTED: Counter, Count, "post_sorted_total", ["shelf"] = || each(["a", "b"]);
        /// Bags that wait.
        WAITING: Gauge, Count, "post_waiting";
        /// Letters in a bag.
        BAG: Histogram(COUNTS), Count, "post_bag_letters";
    }

    #[test]
    fn a_family_says_what_it_is_and_counts_only_where_it_has_a_series() {
        SORTED.add(0, 1);
        register();
        register();
        SORTED.add(1, 1);
        SORTED.add(7, 1);
        WAITING.set_count(0, 3);
        BAG.record_count(0, 3);
        let names: Vec<_> = ALL.iter().map(|all| all.metric().name).collect();
        assert_eq!(
            names,
            ["post_sorted_total", "post_waiting", "post_bag_letters"]
        );
        let sorted = ALL[0].metric();
        assert_eq!(sorted.help, "Letters that were sorted, by shelf.");
        assert_eq!(
            (sorted.labels, sorted.kind),
            (&["shelf"][..], Kind::Counter)
        );
        assert_eq!(place_of("b", ["a", "b"]), 1);
        assert_eq!(place_of("c", ["a", "b"]), usize::MAX);
    }
}
