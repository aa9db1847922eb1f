//! A broker that is reached over TLS and lets in only who logs in: all works as without, and who
//! trusts the wrong authority or brings the wrong password is told so at the start.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use infra_log_kafka::{Config, ConnectError, KafkaLog};
use infra_ports::groups::ConsumerGroups;
use infra_ports::log::{EventLog, NewRecord, Visibility};
use infra_servers::{Servers, Tls};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;

const WITHIN: Duration = Duration::from_secs(60);
const ZERO: Partition = Partition(0);

/// Settings with which `tls.user` logs in, with the password in that file.
fn config(tls: &Tls, mechanism: &str, ca: &Path, password_file: &Path) -> Config {
    let password = std::fs::read_to_string(password_file).unwrap();
    let secrets = password_file.with_extension("properties");
    std::fs::write(&secrets, format!("sasl.password={password}")).unwrap();
    let property = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Config {
        brokers: tls.kafka.clone(),
        partitions: 2,
        topic_prefix: format!("{mechanism}."),
        properties: BTreeMap::from([
            property("security.protocol", "sasl_ssl"),
            property("ssl.ca.location", ca.to_str().unwrap()),
            property("sasl.mechanism", mechanism),
            property("sasl.username", tls.user),
        ]),
        secret_properties: Some(secrets),
        ..Config::default()
    }
}

fn record(text: &'static str) -> NewRecord {
    NewRecord {
        key: Bytes::from_static(b"key"),
        value: Bytes::from_static(text.as_bytes()),
        at: Timestamp(1),
    }
}

/// Appends, tails and joins a group, as any node does.
async fn is_of_use(config: Config) {
    let log = KafkaLog::connect(config).await.unwrap();
    log.create_topics(&[Topic::Chats]).await.unwrap();
    let first = log.append(Topic::Chats, ZERO, vec![record("a"), record("b")]);
    assert_eq!(first.await.unwrap(), Offset(0));

    let from = vec![(ZERO, Offset(0))];
    let tail = log.tail(Topic::Chats, from, Visibility::Durable).await;
    let (mut tail, mut read) = (tail.unwrap(), Vec::new());
    while read.len() < 2 {
        let batches = tail.next(10).await.unwrap().into_iter();
        read.extend(batches.flat_map(|batch| batch.records));
    }
    let read: Vec<&[u8]> = read.iter().map(|record| &record.value[..]).collect();
    assert_eq!(read, [b"a", b"b"]);

    let member = log.join("secured", Topic::Chats).await.unwrap();
    member.change().await.unwrap();
    member.leave().await.unwrap();
    log.close().await.unwrap();
}

/// What a start says that is refused; never a word of the password.
async fn refused(config: Config, password: &str) -> ConnectError {
    let config = Config {
        answer_within: Duration::from_secs(12),
        ..config
    };
    let refused = KafkaLog::connect(config).await.unwrap_err();
    let silent = |printed: &dyn Debug| !format!("{printed:?}").contains(password);
    assert!(
        silent(&refused) && silent(&refused.to_string()),
        "{refused}"
    );
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_with_tls_is_used_by_who_may_and_refuses_the_others_by_a_code() {
    let servers = Servers::start_secured(&["kafka"]).unwrap();
    let tls = servers.tls();
    for mechanism in ["PLAIN", "SCRAM-SHA-512"] {
        let good = config(&tls, mechanism, &tls.ca, &tls.password_file);
        let used = tokio::time::timeout(WITHIN, is_of_use(good));
        used.await.expect("it is of use over TLS");
    }

    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("wrong");
    std::fs::write(&wrong, "hunter2").unwrap();
    let password = std::fs::read_to_string(&tls.password_file).unwrap();
    let (plain, scram, distrusted) = tokio::join!(
        refused(config(&tls, "PLAIN", &tls.ca, &wrong), "hunter2"),
        refused(config(&tls, "SCRAM-SHA-512", &tls.ca, &wrong), "hunter2"),
        refused(
            config(&tls, "PLAIN", &tls.stranger, &tls.password_file),
            password.trim()
        ),
    );
    for error in [plain, scram] {
        assert!(matches!(error, ConnectError::Login { .. }), "{error}");
        assert!(error.to_string().starts_with("kafka_login_refused: "));
    }
    let told = distrusted.to_string();
    assert!(matches!(distrusted, ConnectError::Tls { .. }), "{told}");
    assert!(told.starts_with("kafka_tls_failed: ") && told.contains("certificate verify failed"));
}
