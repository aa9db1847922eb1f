//! An axis: from values to places on the drawing, and where its ticks are. Pure.

use super::numbers::short;

/// What an axis covers and where it lies.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    least: f64,
    most: f64,
    is_log: bool,
    /// Places of the least and of the most value.
    from: f64,
    to: f64,
    /// Values are 1 / (1 - p), labelled as the percentile p.
    is_percentile: bool,
}

/// A line across the drawing, with a label unless it is a minor one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: Option<String>,
}

impl Axis {
    /// An axis over these values, from one place to another. Values that a logarithm does not have
    /// are left out; linear axes begin at 0.
    pub(super) fn over(values: &[f64], is_log: bool, from: f64, to: f64) -> Self {
        let kept = values
            .iter()
            .copied()
            .filter(|v| v.is_finite() && (!is_log || *v > 0.0));
        let (least, most) = kept.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        let (least, most) = if least > most {
            (1.0, 10.0)
        } else {
            (least, most)
        };
        let (least, most) = if is_log {
            decades(least, most)
        } else {
            from_zero(most)
        };
        Self {
            least,
            most,
            is_log,
            from,
            to,
            is_percentile: false,
        }
    }

    /// Labels its ticks as percentiles: 10 is 90 %, 100 is 99 %.
    pub(super) fn of_percentiles(mut self) -> Self {
        self.is_percentile = self.is_log;
        self
    }

    /// Where a value lies; none where it cannot be drawn.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let scale = |value: f64| if self.is_log { value.log10() } else { value };
        let part = (scale(value) - scale(self.least)) / (scale(self.most) - scale(self.least));
        part.is_finite()
            .then_some(self.from + part * (self.to - self.from))
    }

    /// The ticks, least first.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        let values = if self.is_log {
            self.log_ticks()
        } else {
            self.linear_ticks()
        };
        let tick = |(value, is_major): (f64, bool)| {
            let at = self.place(value)?;
            let label = is_major.then(|| self.label(value));
            Some(Tick { at, label })
        };
        values.into_iter().filter_map(tick).collect()
    }

    fn label(&self, value: f64) -> String {
        if self.is_percentile {
            return format!("{} %", short(((1.0 - 1.0 / value) * 1e7).round() / 1e5));
        }
        short(value)
    }

    fn linear_ticks(&self) -> Vec<(f64, bool)> {
        let step = step_of(self.most);
        let ticks = (0..).map(|n| f64::from(n) * step);
        ticks
            .take_while(|value| *value <= self.most * 1.000_001)
            .map(|v| (v, true))
            .collect()
    }

    fn log_ticks(&self) -> Vec<(f64, bool)> {
        let few = self.most / self.least <= 100.0 && !self.is_percentile;
        let mut ticks = Vec::new();
        let mut decade = 10_f64.powf(self.least.log10().floor());
        while decade <= self.most {
            for part in 1..10 {
                let is_major = part == 1 || (few && (part == 2 || part == 5));
                ticks.push((decade * f64::from(part), is_major));
            }
            decade *= 10.0;
        }
        let within = |(value, _): &(f64, bool)| {
            *value >= self.least * 0.999_999 && *value <= self.most * 1.000_001
        };
        ticks.into_iter().filter(within).collect()
    }
}

/// Out to the next 1, 2 or 5 of a decade on both sides.
fn decades(least: f64, most: f64) -> (f64, f64) {
    let stops = |value: f64| {
        let decade = 10_f64.powf(value.log10().floor());
        [1.0, 2.0, 5.0, 10.0].map(|part| part * decade)
    };
    let low = stops(least)
        .into_iter()
        .rfind(|stop| *stop <= least * 1.000_001);
    let high = stops(most)
        .into_iter()
        .find(|stop| *stop >= most * 0.999_999);
    let (low, high) = (low.unwrap_or(least), high.unwrap_or(most));
    if high / low > 1.5 {
        (low, high)
    } else {
        (low / 2.0, high * 2.0)
    }
}

/// From 0 to the next tick above.
fn from_zero(most: f64) -> (f64, f64) {
    let most = if most > 0.0 { most } else { 1.0 };
    let step = step_of(most);
    (0.0, (most / step - 1e-6).ceil() * step)
}

/// Ticks are so far apart that there are three to eight of them.
fn step_of(most: f64) -> f64 {
    let rough = most / 7.0;
    let decade = 10_f64.powf(rough.log10().floor());
    let parts = [1.0, 2.0, 5.0, 10.0];
    let part = parts
        .into_iter()
        .find(|part| part * decade >= rough * 0.999_999);
    part.unwrap_or(10.0) * decade
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks()
            .into_iter()
            .filter_map(|tick| tick.label)
            .collect()
    }

    #[test]
    fn a_linear_axis_begins_at_zero_and_ends_on_a_tick() {
        let axis = Axis::over(&[3.0, 17.0], false, 0.0, 100.0);
        assert_eq!(labels(&axis), ["0", "5", "10", "15", "20"]);
        assert_eq!(
            (axis.place(0.0), axis.place(20.0)),
            (Some(0.0), Some(100.0))
        );
    }

    #[test]
    fn decades_lie_equally_far_apart_and_can_run_downwards() {
        let axis = Axis::over(&[1.0, 10_000.0], true, 200.0, 0.0);
        assert_eq!(labels(&axis), ["1", "10", "100", "1 k", "10 k"]);
        assert_eq!(
            (axis.place(1.0), axis.place(100.0)),
            (Some(200.0), Some(100.0))
        );
    }

    #[test]
    fn a_short_logarithmic_axis_has_labels_between_decades() {
        let axis = Axis::over(&[12.0, 180.0], true, 0.0, 100.0);
        assert_eq!(labels(&axis), ["10", "20", "50", "100", "200"]);
    }

    #[test]
    fn percentiles_are_called_by_their_names() {
        let axis = Axis::over(&[1.0, 10_000.0], true, 0.0, 100.0).of_percentiles();
        assert_eq!(labels(&axis), ["0 %", "90 %", "99 %", "99.9 %", "99.99 %"]);
    }

    #[test]
    fn what_cannot_be_drawn_has_no_place() {
        let axis = Axis::over(&[], true, 0.0, 100.0);
        assert_eq!((axis.place(0.0), axis.place(f64::NAN)), (None, None));
        let flat = Axis::over(&[5.0, 5.0], true, 0.0, 100.0);
        assert!(
            flat.place(5.0)
                .is_some_and(|place| place > 0.0 && place < 100.0)
        );
    }
}
