//! A bar on the terminal that says how far a run is. Silent where there is no terminal.

use std::cell::Cell;
use std::ops::Range;

use indicatif::{ProgressBar, ProgressStyle};

use crate::fleet::Nanos;

/// How often it is drawn.
const EVERY: Nanos = 200_000_000;

/// How far a run is.
pub struct Progress {
    bar: ProgressBar,
    span: Range<Nanos>,
    next: Cell<Nanos>,
}

impl Progress {
    /// A bar for a run that lasts this long. Drawn on standard error, where that is a terminal.
    ///
    /// # Panics
    /// Never: its template is fixed.
    #[must_use]
    pub fn new(name: &str, span: Range<Nanos>) -> Self {
        let bar = ProgressBar::new(span.end.saturating_sub(span.start));
        let style = ProgressStyle::with_template("{msg:40} {wide_bar} {percent:>3} %");
        bar.set_style(style.expect("the template is fixed"));
        bar.set_message(name.to_owned());
        Self {
            bar,
            span,
            next: Cell::new(0),
        }
    }

    /// The time has come so far.
    pub fn at(&self, now: Nanos) {
        if now >= self.next.get() {
            self.next.set(now + EVERY);
            self.bar.set_position(now.saturating_sub(self.span.start));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
