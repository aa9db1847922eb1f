//! A Cassandra that takes TLS and lets in only who logs in, beside the one of the other tests.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "tests may fail loudly"
)]

use std::path::Path;
use std::time::Duration;

use infra_ports::TableStore;
use infra_servers::{Servers, Tls};
use infra_store_scylla::{Config, ConnectError, ScyllaStore};
use schemas::position::Generation;
use schemas::tables::{MarkRow, Table};

const PASSWORD: &str = "cassandra";

fn config(servers: &Servers, ca: &Path, password_file: &Path) -> Config {
    Config {
        contact_points: servers.cassandra().to_owned(),
        replicas: 1,
        tls: true,
        ca_file: Some(ca.to_owned()),
        user: Some("cassandra".to_owned()),
        password_file: Some(password_file.to_owned()),
        answer_within: Duration::from_secs(30),
        ..Config::default()
    }
}

async fn refused(config: Config, password: &str) -> ConnectError {
    let refused = ScyllaStore::connect(config).await.map(drop).unwrap_err();
    let printed = format!("{refused} {refused:?}");
    assert!(!printed.contains(password), "{printed}");
    refused
}

#[tokio::test]
async fn a_cassandra_with_tls_is_used_by_who_may_and_refuses_the_others_by_a_code() {
    let servers = Servers::start_secured(&["cassandra"]).unwrap();
    let Tls { ca, stranger, .. } = servers.tls();
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, password: &str| {
        let file = folder.path().join(name);
        std::fs::write(&file, password).unwrap();
        file
    };
    let (right, wrong) = (file("right", PASSWORD), file("wrong", "hunter2"));

    let store = ScyllaStore::connect(config(&servers, &ca, &right))
        .await
        .unwrap();
    store
        .create_tables(&[MarkRow::DEF], Generation(1))
        .await
        .unwrap();
    let rows = store
        .scan_table(MarkRow::DEF, Generation(1), None, 10)
        .await;
    assert_eq!(rows.unwrap().len(), 0);

    let error = refused(config(&servers, &ca, &wrong), "hunter2").await;
    assert!(matches!(error, ConnectError::Login { .. }), "{error:?}");
    assert!(error.to_string().starts_with("cassandra_login_refused: "));

    let error = refused(config(&servers, &stranger, &right), "never printed").await;
    assert!(matches!(error, ConnectError::Tls { .. }), "{error:?}");
    assert!(error.to_string().starts_with("cassandra_tls_failed: "));
    assert!(
        error.to_string().contains("certificate verify failed"),
        "{error}"
    );
}
