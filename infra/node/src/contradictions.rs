//! Settings that contradict each other: a node with them would start, and then not do what one of
//! them promises. It does not start instead, and says which, with a code that stays the same.

use std::fmt;
use std::time::Duration;

use schemas::frames::MAX_FRAME_BYTES;

use crate::config::Config;

/// The node looks at itself each second: in less time than three looks, work that goes on cannot be
/// told from work that stands still.
const LEAST_READY_LAG: Duration = Duration::from_secs(3);
/// An orderly shutdown has four parts; in the first, requests that run get their verdicts.
const PARTS_OF_SHUTDOWN: u32 = 4;

/// A contradiction that a configuration has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Contradiction {
    /// Names it, for ever.
    pub code: &'static str,
    /// What must be so, and why.
    pub what: &'static str,
}

impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code, self.what)
    }
}

impl std::error::Error for Contradiction {}

/// A rule over several settings.
struct Rule {
    code: &'static str,
    what: &'static str,
    holds: fn(&Config) -> bool,
}

const RULES: [Rule; 9] = [
    Rule {
        code: "ready_lag_too_short",
        what: "`ready_lag` must be 3s or more: the node looks at itself each second, and in less than \
               three looks what goes on cannot be told from what stands still",
        holds: |config| config.ready_lag >= LEAST_READY_LAG,
    },
    Rule {
        code: "shutdown_too_short",
        what: "`shutdown_within` must be four times `ingest.verdict_within` or more: in the first \
               quarter of a shutdown the requests that run get their verdicts",
        holds: |config| config.shutdown_within / PARTS_OF_SHUTDOWN >= config.ingest.verdict_within,
    },
    Rule {
        code: "close_outlasts_shutdown",
        what: "`delivery.close_within` must be shorter than `shutdown_within`: sessions are closed \
               within a shutdown",
        holds: |config| config.delivery.close_within < config.shutdown_within,
    },
    Rule {
        code: "dead_before_ping",
        what: "`delivery.ping_after` must be shorter than `delivery.dead_after`: else a session that \
               has nothing to say is closed before it was asked",
        holds: |config| config.delivery.ping_after < config.delivery.dead_after,
    },
    Rule {
        code: "retry_before_mark",
        what: "`delivery.retry_after` must be longer than `delivery.mark_tick`: else all is pushed \
               again before its mark can count",
        holds: |config| config.delivery.retry_after > config.delivery.mark_tick,
    },
    Rule {
        code: "outbox_too_small",
        what: "`delivery.outbox_bytes` must be 524288 or more, twice the largest frame: else one large \
               message makes every device of its chat a slow consumer",
        holds: |config| config.delivery.outbox_bytes >= 2 * MAX_FRAME_BYTES,
    },
    Rule {
        code: "linger_outlasts_ready_lag",
        what: "`projectors.<name>.linger` must be shorter than `ready_lag`: else rows that wait as \
               they should turn the node red",
        holds: |config| {
            let projectors = &config.projectors;
            let all = [
                &projectors.chats,
                &projectors.inbox,
                &projectors.receipts,
                &projectors.settings,
            ];
            all.iter().all(|engine| engine.linger < config.ready_lag)
        },
    },
    Rule {
        code: "two_schema_registries",
        what: "`schema_registry.listen` and `schema_registry.url` must not both be set: readers would \
               ask one registry for ids that another one gave",
        holds: |config| {
            let registry = &config.schema_registry;
            registry.listen.is_none() || registry.url.is_none()
        },
    },
    Rule {
        code: "nobody_may_come",
        what: "`connections`, `connections_per_address`, `sockets_without_hello`, \
               `delivery.max_sessions`, `delivery.sessions_per_user`, `delivery.outbox_frames`, \
               `delivery.worker_batch` and `delivery.hello_within` must not be 0: nobody could come, \
               or nothing would be delivered",
        holds: |config| {
            let counts = [
                config.connections,
                config.connections_per_address,
                config.sockets_without_hello,
            ];
            let delivery = &config.delivery;
            let sizes = [
                delivery.max_sessions,
                delivery.sessions_per_user,
                delivery.outbox_frames,
                delivery.worker_batch,
            ];
            !counts.contains(&0) && !sizes.contains(&0) && !delivery.hello_within.is_zero()
        },
    },
];

impl Rule {
    fn contradiction(&self) -> Contradiction {
        let (code, what) = (self.code, self.what);
        Contradiction { code, what }
    }
}

/// Every contradiction that is looked for.
pub fn all() -> impl Iterator<Item = Contradiction> {
    RULES.iter().map(Rule::contradiction)
}

impl Config {
    /// Looks for settings that contradict each other.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), Contradiction> {
        let broken = RULES.iter().find(|rule| !(rule.holds)(self));
        broken.map_or(Ok(()), |rule| Err(rule.contradiction()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> &'static str {
        let mut config = Config::default();
        change(&mut config);
        config.check().map_or_else(|found| found.code, |()| "")
    }

    #[test]
    fn defaults_contradict_nothing_and_limits_are_exact() {
        assert_eq!(Config::default().check(), Ok(()));
        let seconds = Duration::from_secs;
        assert_eq!(refused(|c| c.ready_lag = seconds(3)), "");
        assert_eq!(
            refused(|c| c.shutdown_within = 4 * c.ingest.verdict_within),
            ""
        );
    }

    #[test]
    fn every_contradiction_is_found_and_named() {
        let ms = Duration::from_millis;
        let found = [
            refused(|c| c.ready_lag = ms(2_999)),
            refused(|c| c.shutdown_within = 4 * c.ingest.verdict_within - ms(1)),
            refused(|c| c.delivery.close_within = c.shutdown_within),
            refused(|c| c.delivery.ping_after = c.delivery.dead_after),
            refused(|c| c.delivery.retry_after = c.delivery.mark_tick),
            refused(|c| c.delivery.outbox_bytes = 2 * MAX_FRAME_BYTES - 1),
            refused(|c| c.projectors.settings.linger = c.ready_lag),
            refused(|c| {
                c.schema_registry.listen = Some(c.listen);
                c.schema_registry.url = Some("http://127.0.0.1:8081".to_owned());
            }),
            refused(|c| c.sockets_without_hello = 0),
        ];
        let codes: Vec<_> = all().map(|rule| rule.code).collect();
        assert_eq!(found[..], codes[..]);
        for zero in [
            refused(|c| c.connections = 0),
            refused(|c| c.delivery.worker_batch = 0),
            refused(|c| c.delivery.hello_within = Duration::ZERO),
        ] {
            assert_eq!(zero, "nobody_may_come");
        }
    }

    #[test]
    fn a_contradiction_is_said_with_its_code_and_the_settings() {
        let config = Config {
            ready_lag: Duration::from_secs(1),
            ..Config::default()
        };
        let said = config.check().unwrap_err().to_string();
        assert!(
            said.starts_with("ready_lag_too_short: `ready_lag` must be 3s"),
            "{said}"
        );
    }
}
