//! A Redis that is killed, stalled, or comes back empty: calls fail within their bound, nothing hangs,
//! and all heals by itself.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use infra_ports::registry::{
    Fence, Lease, NodeName, Presence, RegistryError, SessionRecord, SessionRegistry,
};
use infra_registry_redis::{Config, RedisRegistry};
use infra_servers::Servers;
use schemas::ids::{DeviceId, UserId};
use schemas::position::Timestamp;

const WITHIN: Duration = Duration::from_millis(400);
/// Twice what one answer may take, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(5);
const TTL: Duration = Duration::from_secs(600);

fn config(servers: &Servers) -> Config {
    Config {
        url: format!("redis://{}", servers.redis()),
        answer_within: WITHIN,
        ..Config::default()
    }
}

fn session(n: u64) -> SessionRecord {
    SessionRecord {
        user: UserId::new(format!("u{n}")).unwrap(),
        gateway: NodeName::new("g1").unwrap(),
        session: n,
        epoch: 1,
        device: DeviceId::new("phone").unwrap(),
        since: Timestamp(1),
    }
}

fn lease() -> Lease {
    Lease {
        name: NodeName::new("w1").unwrap(),
        fence: Fence(7),
        detail: "here:1".to_owned(),
    }
}

/// Asks for everything; each must be answered within the bound, and all alike.
async fn ask_all(registry: &RedisRegistry) -> Result<(), RegistryError> {
    let (ada, group) = (session(1), NodeName::new("workers").unwrap());
    let begun = Instant::now();
    let answers = [
        registry.renew(std::slice::from_ref(&ada), TTL).await,
        registry.sessions_of(&ada.user).await.map(drop),
        registry
            .presence(std::slice::from_ref(&ada.user))
            .await
            .map(drop),
        registry.leases(&group).await.map(drop),
        registry.renew_lease(&group, &lease(), TTL).await.map(drop),
    ];
    let took = begun.elapsed();
    assert!(took < BOUND, "five calls took {took:?}");
    answers.into_iter().collect()
}

async fn heals(registry: &RedisRegistry) {
    let healed = async {
        while ask_all(registry).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let healed = tokio::time::timeout(Duration::from_secs(60), healed);
    healed.await.expect("it heals by itself");
}

#[tokio::test]
async fn a_redis_that_is_killed_or_stalled_fails_calls_in_time_and_heals() {
    let servers = Servers::start(&["redis"]).unwrap();
    let registry = Arc::new(RedisRegistry::new(&config(&servers)).unwrap());
    heals(&registry).await;
    let all: Vec<_> = (0..2_000).map(session).collect();
    registry.renew(&all, TTL).await.unwrap();

    // Killed: it comes back empty, and what is renewed is there again.
    servers.kill("redis").unwrap();
    let error = ask_all(&registry).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    servers.restart("redis").unwrap();
    heals(&registry).await;
    assert_eq!(registry.sessions_of(&all[7].user).await, Ok(vec![]));
    let presence = registry.presence(std::slice::from_ref(&all[7].user)).await;
    assert_eq!(
        presence,
        Ok(vec![Presence::Unknown]),
        "never a wrong offline"
    );
    registry.renew(&all, TTL).await.unwrap();
    let found = registry.sessions_of(&all[7].user).await.unwrap();
    assert_eq!(found, all[7..8]);

    // Stalled: nothing answers, not even to a connection.
    servers.stall("redis").unwrap();
    for _ in 0..3 {
        let begun = Instant::now();
        let error = registry.renew(&all, TTL).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert!(
            begun.elapsed() < BOUND,
            "a call over 2,000 users is bounded too"
        );
    }
    let error = ask_all(&registry).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    servers.resume("redis").unwrap();
    heals(&registry).await;
    let found = registry.sessions_of(&all[7].user).await.unwrap();
    assert_eq!(found, all[7..8], "it held what it had");
}

#[tokio::test]
async fn a_password_that_redis_refuses_is_no_trouble_that_passes_and_is_not_shown() {
    let servers = Servers::start(&["redis"]).unwrap();
    let config = Config {
        url: format!("redis://:hunter2@{}", servers.redis()),
        answer_within: Duration::from_secs(10),
        ..Config::default()
    };
    let registry = RedisRegistry::new(&config).unwrap();
    let error = registry.sessions_of(&session(1).user).await.unwrap_err();
    assert!(!error.is_retryable(), "{error}");
    assert!(
        error.to_string().contains("redis_login_refused: "),
        "{error}"
    );
    assert!(!format!("{registry:?} {error} {error:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_redis_with_tls_is_used_by_who_trusts_its_authority_and_by_nobody_else() {
    let servers = Servers::start_secured(&["redis"]).unwrap();
    let tls = servers.tls();
    let trusting = |ca: &Path| Config {
        url: format!("rediss://{}", tls.redis),
        ca_file: Some(ca.to_owned()),
        answer_within: Duration::from_secs(20),
        ..Config::default()
    };
    let registry = RedisRegistry::new(&trusting(&tls.ca)).unwrap();
    let ada = session(1);
    registry
        .renew(std::slice::from_ref(&ada), TTL)
        .await
        .unwrap();
    assert_eq!(registry.sessions_of(&ada.user).await, Ok(vec![ada.clone()]));

    let distrusting = RedisRegistry::new(&trusting(&tls.stranger)).unwrap();
    let error = distrusting.sessions_of(&ada.user).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("redis_tls_failed: "), "{told}");
    assert!(told.contains("certificate verify failed"), "{told}");

    let unreadable = RedisRegistry::new(&trusting(Path::new("/no/such/file")));
    assert!(unreadable.is_err(), "authorities that are not there");
}
