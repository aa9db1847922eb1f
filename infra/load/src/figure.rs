//! One measured figure beside the raw limit it is compared with and the goal it should reach.
//!
//! Made by scenarios and inner measures, written by [`crate::report`]. Knows nothing of how it was
//! measured.

use serde::{Deserialize, Serialize};

/// What a ratio should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The ratio is at most this.
    AtMost(f64),
    /// The ratio is at least this.
    AtLeast(f64),
}

impl Goal {
    /// Whether a ratio reaches it. A ratio that is no number does not.
    #[must_use]
    pub fn is_met(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(most) => ratio <= most,
            Self::AtLeast(least) => ratio >= least,
        }
    }
}

/// How a goal was reached over several runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Met {
    /// By every run.
    Throughout,
    /// By the median, and not by the worst run.
    AtTheMedian,
    /// Not even by the median.
    No,
}

impl Met {
    /// Whether runs that lie so far apart reach the goal.
    #[must_use]
    pub fn by(spread: Spread, goal: Goal) -> Self {
        let worst = match goal {
            Goal::AtMost(_) => spread.most,
            Goal::AtLeast(_) => spread.least,
        };
        match (goal.is_met(worst), goal.is_met(spread.median)) {
            (true, true) => Self::Throughout,
            (_, true) => Self::AtTheMedian,
            (_, false) => Self::No,
        }
    }
}

/// The median of several runs, and how far they lie apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// The smallest of the runs.
    pub least: f64,
    /// Their median.
    pub median: f64,
    /// The largest of the runs.
    pub most: f64,
    /// How many there were.
    pub runs: usize,
}

impl Spread {
    /// Of these runs. With an even number of them the median is the mean of the two in the middle.
    /// None when there were no runs.
    #[must_use]
    pub fn of(runs: &[f64]) -> Option<Self> {
        let mut sorted = runs.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most) = (*sorted.first()?, *sorted.last()?);
        let upper = *sorted.get(sorted.len() / 2)?;
        let lower = *sorted.get((sorted.len() - 1) / 2)?;
        Some(Self {
            least,
            median: f64::midpoint(lower, upper),
            most,
            runs: sorted.len(),
        })
    }
}

/// One figure. `value` and `raw` are medians, in `unit`; `ratio` is the median of the ratios of the
/// runs, each against the raw loop that ran beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// What was measured, in one line: the same text in every run, for comparison over time.
    pub figure: String,
    /// The measured value.
    pub value: f64,
    /// The unit of value and raw.
    pub unit: String,
    /// The raw limit, or the peer, measured in the same run.
    pub raw: Option<f64>,
    /// Value against raw.
    pub ratio: Option<f64>,
    /// What the ratio (the value, where there is no raw limit) should be.
    pub goal: Option<Goal>,
    /// Whether it is, in every run: see [`Figure::reached`] for those of which only the median is.
    pub met: Option<bool>,
    /// How far the runs lie apart: of the ratios, or of the values where there are none.
    pub spread: Option<Spread>,
}

impl Figure {
    /// How the goal was reached, if there is one. Said anew from the spread: a file of an earlier
    /// program may say `met` of the median alone.
    #[must_use]
    pub fn reached(&self) -> Option<Met> {
        Some(Met::by(self.spread?, self.goal?))
    }

    /// A figure of several runs, each a value and the raw limit measured beside it. None without
    /// runs.
    #[must_use]
    pub fn against_raw(
        figure: &str,
        unit: &str,
        runs: &[(f64, f64)],
        goal: Option<Goal>,
    ) -> Option<Self> {
        let values: Vec<_> = runs.iter().map(|(value, _)| *value).collect();
        let raws: Vec<_> = runs.iter().map(|(_, raw)| *raw).collect();
        let ratios: Vec<_> = runs.iter().map(|(value, raw)| value / raw).collect();
        let spread = Spread::of(&ratios)?;
        Some(Self {
            figure: figure.to_owned(),
            value: Spread::of(&values)?.median,
            unit: unit.to_owned(),
            raw: Some(Spread::of(&raws)?.median),
            ratio: Some(spread.median),
            goal,
            met: goal.map(|goal| Met::by(spread, goal) == Met::Throughout),
            spread: Some(spread),
        })
    }

    /// A figure that has no raw limit: the goal, if any, is one for the value itself. None without
    /// runs.
    #[must_use]
    pub fn alone(figure: &str, unit: &str, runs: &[f64], goal: Option<Goal>) -> Option<Self> {
        let spread = Spread::of(runs)?;
        Some(Self {
            figure: figure.to_owned(),
            value: spread.median,
            unit: unit.to_owned(),
            raw: None,
            ratio: None,
            goal,
            met: goal.map(|goal| Met::by(spread, goal) == Met::Throughout),
            spread: Some(spread),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ratio_is_the_median_of_the_ratios_of_the_runs() {
        let runs = [(10.0, 10.0), (30.0, 10.0), (20.0, 10.0)];
        let figure = Figure::against_raw("x", "µs", &runs, Some(Goal::AtMost(1.5))).unwrap();
        assert_eq!((figure.ratio, figure.met), (Some(2.0), Some(false)));
        let spread = figure.spread.unwrap();
        assert_eq!((spread.least, spread.most, spread.runs), (1.0, 3.0, 3));
    }

    #[test]
    fn a_goal_is_met_when_the_worst_run_meets_it_too() {
        let of = |ratios: [f64; 3], goal| {
            let figure = Figure::alone("x", "×", &ratios, Some(goal)).unwrap();
            (figure.reached().unwrap(), figure.met.unwrap())
        };
        let (most, least) = (Goal::AtMost(1.5), Goal::AtLeast(0.9));
        assert_eq!(of([1.0, 1.1, 1.5], most), (Met::Throughout, true));
        assert_eq!(of([1.0, 1.1, 1.6], most), (Met::AtTheMedian, false));
        assert_eq!(of([1.0, 1.6, 1.7], most), (Met::No, false));
        assert_eq!(of([0.9, 1.0, 2.0], least), (Met::Throughout, true));
        assert_eq!(of([0.8, 1.0, 2.0], least), (Met::AtTheMedian, false));
        assert_eq!(of([0.7, 0.8, 2.0], least), (Met::No, false));
    }

    #[test]
    fn no_runs_give_no_figure_and_a_division_by_zero_meets_no_goal() {
        assert!(Figure::against_raw("x", "µs", &[], None).is_none());
        let zero = Figure::against_raw("x", "µs", &[(0.0, 0.0)], Some(Goal::AtLeast(0.0)));
        assert_eq!(zero.unwrap().met, Some(false));
    }
}
