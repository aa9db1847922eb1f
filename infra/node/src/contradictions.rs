//! Settings that contradict each other: a node with them would start, and then not do what one of
//! them promises. It does not start instead, and says which, with a code that stays the same.

use std::fmt;
use std::time::Duration;

use schemas::frames::MAX_FRAME_BYTES;

use crate::config::{Config, log, registry, store};

/// The node looks at itself each second: in less time than three looks, work that goes on cannot be
/// told from work that stands still.
const LEAST_READY_LAG: Duration = Duration::from_secs(3);
/// An orderly shutdown has four parts; in the first, requests that run get their verdicts.
const PARTS_OF_SHUTDOWN: u32 = 4;

/// Redis answers in milliseconds, and a process may stand still for some hundred.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

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

const RULES: [Rule; 16] = [
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
    Rule {
        code: "roles_apart_on_one_machine",
        what: "`roles` must be `all` on the embedded log or the embedded tables: they are one process's",
        holds: |config| config.roles.is_all() || !is_embedded(config),
    },
    Rule {
        code: "registry_on_one_machine",
        what: "`registry.kind` must be `memory` on the embedded log or the embedded tables: gateways would \
               find workers of other logs",
        holds: |config| !shares(config) || !is_embedded(config),
    },
    Rule {
        code: "gateway_without_worker",
        what: "`roles` with `gateway` or `ingest` and without `worker` need `registry.kind = \"redis\"`: \
               else they find no worker, and nothing would be delivered",
        holds: |config| config.roles.worker || !config.roles.serves_clients() || shares(config),
    },
    Rule {
        code: "worker_without_gateway",
        what: "`roles` with `worker` and without `gateway` and `ingest` need `registry.kind = \"redis\"`: \
               else no gateway finds it",
        holds: |config| !config.roles.worker || config.roles.serves_clients() || shares(config),
    },
    Rule {
        code: "link_without_secret",
        what: "`link.secret_file` must name a file where workers and gateways find each other in a \
               registry: else anybody could be one of them",
        holds: |config| config.link.secret_file.is_some() || !is_linked(config),
    },
    Rule {
        code: "link_address_unknown",
        what: "`link.advertise` must be set when `link.listen` is every address of the machine: gateways \
               could not reach it",
        holds: |config| {
            let unknown =
                config.link.listen.ip().is_unspecified() && config.link.advertise.is_none();
            !(unknown && config.roles.worker && shares(config))
        },
    },
    Rule {
        code: "lease_too_short",
        what: "`registry.lease` must be 1s or more, and longer than `registry.look_every` and twice \
               `registry.redis.answer_within`: else workers that are there are taken for gone",
        holds: |config| {
            let registry = &config.registry;
            registry.lease >= SHORTEST_LEASE
                && registry.lease > registry.look_every
                && registry.lease > 2 * registry.redis.answer_within
        },
    },
];

/// True when the log or the tables are of one process.
fn is_embedded(config: &Config) -> bool {
    config.log.kind == log::Kind::Embedded || config.store.kind == store::Kind::Embedded
}

/// True when processes share a registry.
fn shares(config: &Config) -> bool {
    config.registry.kind != registry::Kind::Memory
}

/// True when the process has an end of a link to others.
fn is_linked(config: &Config) -> bool {
    shares(config) && (config.roles.worker || config.roles.serves_clients())
}

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
    use std::net::SocketAddr;

    use super::*;

    fn refused(change: impl FnOnce(&mut Config)) -> &'static str {
        let mut config = Config::default();
        change(&mut config);
        config.check().map_or_else(|found| found.code, |()| "")
    }

    fn on_a_cluster(config: &mut Config) {
        config.log.kind = log::Kind::Kafka;
        config.store.kind = store::Kind::Cassandra;
    }

    fn linked(config: &mut Config) {
        on_a_cluster(config);
        config.registry.kind = registry::Kind::Redis;
        config.link.secret_file = Some("secret".into());
    }

    #[test]
    fn roles_that_find_each_other_are_taken_whichever_a_process_has() {
        for roles in [
            "all",
            "gateway",
            "ingest",
            "worker",
            "projectors",
            "projector:chats",
            "gateway,worker",
        ] {
            let found = refused(|c| {
                linked(c);
                c.roles = roles.parse().unwrap();
            });
            assert_eq!(found, "", "{roles}");
        }
        for roles in ["all", "projectors", "gateway,worker"] {
            let found = refused(|c| {
                on_a_cluster(c);
                c.roles = roles.parse().unwrap();
            });
            assert_eq!(found, "", "{roles}");
        }
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
            refused(|c| c.roles = "worker".parse().unwrap()),
            refused(|c| c.registry.kind = registry::Kind::Redis),
            refused(|c| {
                on_a_cluster(c);
                c.roles = "ingest,projectors".parse().unwrap();
            }),
            refused(|c| {
                on_a_cluster(c);
                c.roles = "worker,projector:chats".parse().unwrap();
            }),
            refused(|c| {
                on_a_cluster(c);
                c.registry.kind = registry::Kind::Redis;
            }),
            refused(|c| {
                linked(c);
                c.link.listen = SocketAddr::from(([0, 0, 0, 0], 7801));
            }),
            refused(|c| c.registry.lease = ms(1_000)),
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
