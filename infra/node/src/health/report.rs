//! What `/readyz` and `/healthz` answer: each part of the path of a message, and whether it lets
//! messages through.

use std::collections::BTreeMap;

use projectors::{Health as ProjectionHealth, PROJECTIONS};
use serde::Serialize;

use super::consumers::Lag;

/// The parts of a node that messages pass, beside the projections.
pub(crate) const OTHER_PARTS: [&str; 6] = ["ingest", "log", "tables", "delivery", "link", "watch"];

/// A part did not go on, though nobody told it to end.
pub(crate) const ENDED: &str = "ended";
/// A projection found what it must not go on with.
const STOPPED: &str = "stopped";
/// The log takes nothing more until it is opened again.
pub(crate) const POISONED: &str = "poisoned";

/// All parts, projections first.
pub(crate) fn parts() -> impl Iterator<Item = &'static str> {
    PROJECTIONS.into_iter().chain(OTHER_PARTS)
}

/// How one part fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Part {
    /// True when messages pass it.
    pub(crate) ready: bool,
    /// A word: `ok`, or what is the matter.
    pub(crate) state: &'static str,
    /// Why, when it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    /// How far it is behind, when it reads the log.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub(crate) lag: Option<Lag>,
}

impl Part {
    /// A part that is well when nothing is the matter.
    pub(crate) fn unless(trouble: Option<(&'static str, Option<String>)>) -> Self {
        let ready = trouble.is_none();
        let (state, reason) = trouble.unwrap_or(("ok", None));
        Self {
            ready,
            state,
            reason,
            lag: None,
        }
    }

    /// A consumer of the log: it must be well itself and not be stuck.
    pub(crate) fn consumer(self, lag: Lag, ready_lag_ms: u64) -> Self {
        let stuck = lag.stuck_ms >= ready_lag_ms;
        let state = if stuck && self.ready {
            "stuck"
        } else {
            self.state
        };
        Self {
            ready: self.ready && !stuck,
            state,
            lag: Some(lag),
            ..self
        }
    }

    /// A projection, as it says itself.
    pub(crate) fn projection(health: ProjectionHealth) -> Self {
        Self::unless(match health {
            ProjectionHealth::CaughtUp => None,
            ProjectionHealth::CatchingUp => Some(("catching_up", None)),
            ProjectionHealth::Retrying { reason } => Some(("retrying", Some(reason))),
            ProjectionHealth::Ended => Some((ENDED, None)),
            ProjectionHealth::Stopped(stop) => Some((STOPPED, Some(stop.to_string()))),
        })
    }
}

/// How the node fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Report {
    /// True when everything has caught up and messages flow.
    pub(crate) ready: bool,
    /// True while the node goes down.
    pub(crate) shutting_down: bool,
    /// Each part.
    pub(crate) parts: BTreeMap<&'static str, Part>,
}

impl Report {
    pub(crate) fn new(shutting_down: bool, parts: BTreeMap<&'static str, Part>) -> Self {
        Self {
            ready: !shutting_down && parts.values().all(|part| part.ready),
            shutting_down,
            parts,
        }
    }

    /// False when a part is in a state that it does not leave before the node is started again. A
    /// node that goes down is alive until it is gone: its parts are to end.
    pub(crate) fn is_alive(&self) -> bool {
        let for_good = |part: &Part| [ENDED, STOPPED, POISONED].contains(&part.state);
        self.shutting_down || !self.parts.values().any(for_good)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_every_part_is_and_alive_until_one_has_stopped() {
        let lag = |stuck_ms| Lag {
            stuck_ms,
            ..Lag::default()
        };
        let report = |part: Part| Report::new(false, BTreeMap::from([("chats", part)]));
        let well = Part::projection(ProjectionHealth::CaughtUp);
        assert!(report(well.clone().consumer(lag(4_999), 5_000)).ready);
        assert!(!Report::new(true, BTreeMap::new()).ready);
        let stuck = report(well.consumer(lag(5_000), 5_000));
        assert_eq!((stuck.ready, stuck.is_alive()), (false, true));
        assert_eq!(stuck.parts["chats"].state, "stuck");
    }

    #[test]
    fn what_only_a_restart_mends_is_not_alive_unless_the_node_goes_down() {
        let gone = projectors::Stop::Broken("a test".into());
        let for_good = [
            Part::projection(ProjectionHealth::Stopped(gone)),
            Part::projection(ProjectionHealth::Ended),
            Part::unless(Some((POISONED, None))),
        ];
        for part in for_good {
            let parts = BTreeMap::from([("chats", part)]);
            let report = Report::new(false, parts.clone());
            assert_eq!((report.ready, report.is_alive()), (false, false));
            let going_down = Report::new(true, parts);
            assert_eq!((going_down.ready, going_down.is_alive()), (false, true));
        }
        let failing = BTreeMap::from([("log", Part::unless(Some(("failing", None))))]);
        assert!(Report::new(false, failing).is_alive(), "it may pass");
    }
}
