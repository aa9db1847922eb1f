//! The connection as the session sees it: phases, time-outs, signs of life, when to try again.

use schemas::frames::Closing;

use crate::{Lost, Moment, SessionConfig, State};

/// Assumed until `welcome` says better.
const HEARTBEAT_MS: u64 = 30_000;

/// What the link wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Want {
    Connect { to: Option<String> },
    Ping,
    Disconnect(Lost),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Waiting {
        until: Moment,
    },
    Opening {
        since: Moment,
    },
    Greeting {
        since: Moment,
    },
    Resuming,
    Live,
    /// Was asked to be dropped; waits for `lost`.
    Dropping,
    Closed,
}

/// The state of the connection.
#[derive(Debug)]
pub(super) struct Link {
    phase: Phase,
    attempt: u32,
    heartbeat_ms: u64,
    heard: Moment,
    spoke: Moment,
    closing: Option<Closing>,
    to: Option<String>,
}

impl Link {
    pub(super) fn new() -> Self {
        Self {
            phase: Phase::Waiting { until: Moment(0) },
            attempt: 0,
            heartbeat_ms: HEARTBEAT_MS,
            heard: Moment(0),
            spoke: Moment(0),
            closing: None,
            to: None,
        }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Waiting { .. } | Phase::Dropping => State::Waiting,
            Phase::Opening { .. } | Phase::Greeting { .. } => State::Connecting,
            Phase::Resuming => State::Resuming,
            Phase::Live => State::Live,
            Phase::Closed => State::Closed,
        }
    }

    pub(super) fn is_welcome(&self) -> bool {
        matches!(self.phase, Phase::Resuming | Phase::Live)
    }

    pub(super) fn opened(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Opening { .. }) {
            self.phase = Phase::Greeting { since: now };
        }
        (self.heard, self.spoke) = (now, now);
    }

    pub(super) fn welcomed(&mut self, heartbeat_ms: u64) {
        if matches!(self.phase, Phase::Greeting { .. }) {
            self.phase = Phase::Resuming;
            self.heartbeat_ms = heartbeat_ms.max(2);
        }
    }

    pub(super) fn live(&mut self) {
        if self.phase == Phase::Resuming {
            self.phase = Phase::Live;
            self.attempt = 0;
        }
    }

    pub(super) fn heard(&mut self, now: Moment) {
        self.heard = self.heard.max(now);
    }

    pub(super) fn spoke(&mut self, now: Moment) {
        self.spoke = self.spoke.max(now);
    }

    pub(super) fn closing(&mut self, closing: Closing) {
        self.closing = Some(closing);
    }

    pub(super) fn close(&mut self) {
        self.phase = Phase::Closed;
    }

    /// Plans the next attempt and returns how long it waits. A `closing` frame's hint decides when
    /// and where, and jitter of the first backoff step keeps a whole node's clients apart.
    pub(super) fn lost(
        &mut self,
        now: Moment,
        why: &Lost,
        random: u64,
        config: &SessionConfig,
    ) -> u64 {
        if self.phase == Phase::Closed {
            return 0;
        }
        let hint = self.closing.take();
        // A server without room is not asked again at once.
        let full = *why == Lost::Closed(schemas::errors::close::TRY_LATER);
        let step = if full {
            self.attempt.max(4)
        } else {
            self.attempt
        };
        let wait = match &hint {
            Some(hint) => hint
                .reconnect_after_ms
                .saturating_add(config.backoff.wait_ms(0, random)),
            None => config.backoff.wait_ms(step, random),
        };
        self.to = hint.and_then(|hint| hint.reconnect_to);
        self.attempt = step.saturating_add(1);
        self.phase = Phase::Waiting {
            until: now.after(wait),
        };
        wait
    }

    /// When `tick` has something to do.
    pub(super) fn due(&self, config: &SessionConfig) -> Option<Moment> {
        match self.phase {
            Phase::Waiting { until } => Some(until),
            Phase::Opening { since } | Phase::Greeting { since } => {
                Some(since.after(config.greeting_ms))
            }
            Phase::Resuming | Phase::Live => Some(self.ping_at().min(self.silent_at())),
            Phase::Dropping | Phase::Closed => None,
        }
    }

    pub(super) fn tick(&mut self, now: Moment, config: &SessionConfig) -> Option<Want> {
        if self.due(config).is_none_or(|due| now < due) {
            return None;
        }
        match self.phase {
            Phase::Waiting { .. } => {
                self.phase = Phase::Opening { since: now };
                Some(Want::Connect { to: self.to.take() })
            }
            Phase::Opening { .. } | Phase::Greeting { .. } => Some(self.drop_for(Lost::Silent)),
            Phase::Resuming | Phase::Live if now >= self.silent_at() => {
                Some(self.drop_for(Lost::Silent))
            }
            Phase::Resuming | Phase::Live => {
                self.spoke = now;
                Some(Want::Ping)
            }
            Phase::Dropping | Phase::Closed => None,
        }
    }

    /// The connection is of no use for this reason.
    pub(super) fn drop_for(&mut self, why: Lost) -> Want {
        self.phase = Phase::Dropping;
        Want::Disconnect(why)
    }

    /// Half a heartbeat after the last word: in time even when the timer is late. The answer is
    /// also what keeps a healthy link from seeming silent.
    fn ping_at(&self) -> Moment {
        self.spoke.after(self.heartbeat_ms / 2)
    }

    /// Three pings in a row have stayed without any answer.
    fn silent_at(&self) -> Moment {
        self.heard
            .after(self.heartbeat_ms.saturating_add(self.heartbeat_ms / 2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::errors::Code;

    fn live() -> (Link, SessionConfig) {
        let (mut link, config) = (Link::new(), SessionConfig::default());
        let want = link.tick(Moment(0), &config);
        assert_eq!(want, Some(Want::Connect { to: None }));
        link.opened(Moment(0));
        link.welcomed(1000);
        link.live();
        assert_eq!(link.state(), State::Live);
        (link, config)
    }

    #[test]
    fn a_quiet_link_is_pinged_and_a_silent_one_dropped() {
        let (mut link, config) = live();
        assert_eq!(link.due(&config), Some(Moment(500)));
        assert_eq!(link.tick(Moment(499), &config), None);
        assert_eq!(link.tick(Moment(500), &config), Some(Want::Ping));
        assert_eq!(link.tick(Moment(1000), &config), Some(Want::Ping));
        let dropped = Some(Want::Disconnect(Lost::Silent));
        assert_eq!(link.tick(Moment(1500), &config), dropped);
        assert_eq!(link.due(&config), None);
    }

    #[test]
    fn an_answered_ping_keeps_the_link() {
        let (mut link, config) = live();
        for beat in 1..20 {
            let now = Moment(beat * 500);
            assert_eq!(link.tick(now, &config), Some(Want::Ping));
            link.heard(now);
        }
    }

    #[test]
    fn a_hint_says_when_and_where_and_is_followed_once() {
        let (mut link, config) = live();
        link.closing(Closing {
            code: Code::ShuttingDown,
            reconnect_after_ms: 200,
            reconnect_to: Some("ws://elsewhere".to_owned()),
        });
        let wait = link.lost(Moment(0), &Lost::Closed(1012), 50, &config);
        assert_eq!(wait, 250);
        let to = Some("ws://elsewhere".to_owned());
        assert_eq!(link.tick(Moment(250), &config), Some(Want::Connect { to }));
        let wait = link.lost(Moment(250), &Lost::NotReached, 7, &config);
        let again = link.tick(Moment(250 + wait), &config);
        assert_eq!(again, Some(Want::Connect { to: None }));
    }

    #[test]
    fn waits_grow_until_live_and_a_stalled_greeting_is_dropped() {
        let (mut link, config) = live();
        for (n, bound) in [(0, 100), (1, 200), (2, 400), (3, 800)] {
            let wait = link.lost(Moment(0), &Lost::NotReached, bound, &config);
            assert_eq!(wait, bound, "attempt {n}");
        }
        assert!(link.tick(Moment(800), &config).is_some());
        link.opened(Moment(900));
        let dropped = Some(Want::Disconnect(Lost::Silent));
        assert_eq!(link.tick(Moment(10_900), &config), dropped);
    }
}
