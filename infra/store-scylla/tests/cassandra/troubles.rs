//! A server that stalls, and one that is killed.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use infra_ports::TableStore;
use infra_ports::store::StoreError;
use infra_store_scylla::{Config, ConnectError, ScyllaStore};
use schemas::tables::{MarkRow, Table};

use super::{ONE, SERVERS, fresh, mark, marks, put, with};

/// How long a store may take to be of use again after the server is.
const HEALED_WITHIN: Duration = Duration::from_secs(30);
/// How often a writer tries again.
const RETRY_EVERY: Duration = Duration::from_millis(20);

/// The same place, with time enough to make its tables.
fn patient(config: &Config) -> Config {
    Config {
        answer_within: Duration::from_secs(30),
        ..config.clone()
    }
}

/// Memory of this process, in MiB.
fn resident_mib() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = pages.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096 / (1 << 20)
}

/// Writes until it is taken.
async fn insist(store: &ScyllaStore, row: &MarkRow, version: u64) {
    let begun = Instant::now();
    while let Err(error) = store.write(vec![put(row, version)]).await {
        assert!(error.is_retryable(), "{error}");
        assert!(begun.elapsed() < HEALED_WITHIN, "{error}");
        tokio::time::sleep(RETRY_EVERY).await;
    }
}

#[tokio::test]
async fn a_stalled_server_is_an_error_in_time_and_nothing_more() {
    let servers = SERVERS.write().await;
    let within = Duration::from_millis(500);
    let config = Config {
        answer_within: within,
        writes_at_once: 16,
        ..fresh(&servers)
    };
    with(&patient(&config), &[MarkRow::DEF]).await;
    let store = with(&config, &[MarkRow::DEF]).await;
    insist(&store, &mark("a", 0, 1), 1).await;
    servers.stall("cassandra").unwrap();
    let write = |n: u64| {
        let store = &store;
        async move {
            let begun = Instant::now();
            // A partition each: more requests than may be under way.
            let row = mark(&format!("a{n}"), 0, 1);
            let answer = store.write(vec![put(&row, 1)]).await;
            (answer, begun.elapsed())
        }
    };
    let mut before = 0;
    for round in 0..6 {
        for (answer, took) in join_all((0..200).map(write)).await {
            assert!(answer.is_err_and(|e| e.is_retryable()));
            assert!(took < 3 * within, "{took:?}");
        }
        if round == 1 {
            before = resident_mib();
        }
    }
    let grown = resident_mib().saturating_sub(before);
    assert!(grown < 16, "{grown} MiB more, while nothing was written");
    let read = store.scan_table(MarkRow::DEF, ONE, None, 1).await;
    assert!(matches!(read, Err(StoreError::Unavailable(_))));
    let refused = ScyllaStore::connect(config).await;
    assert!(
        matches!(refused, Err(ConnectError::TimedOut { .. })),
        "{refused:?}"
    );
    servers.resume("cassandra").unwrap();
    // What comes late, of the writes that were given up, is older than what is written now.
    for n in 0..200 {
        insist(&store, &mark(&format!("a{n}"), 0, 2), 2).await;
    }
    let found = marks(&store).await;
    assert_eq!(
        found.iter().filter(|(_, version)| *version == 2).count(),
        200
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_kill() {
    let servers = SERVERS.write().await;
    let config = Config {
        answer_within: Duration::from_secs(2),
        ..fresh(&servers)
    };
    with(&patient(&config), &[MarkRow::DEF]).await;
    let store = Arc::new(with(&config, &[MarkRow::DEF]).await);
    let done = Arc::new(AtomicBool::new(false));
    let writer = |chat: &'static str| {
        let (store, done) = (Arc::clone(&store), Arc::clone(&done));
        tokio::spawn(async move {
            let mut acknowledged = BTreeSet::new();
            for n in 1.. {
                match store.write(vec![put(&mark(chat, n, n), n)]).await {
                    Ok(()) if done.load(Ordering::Relaxed) => break,
                    Ok(()) => {
                        acknowledged.insert((chat.to_owned(), n));
                    }
                    Err(error) => {
                        assert!(error.is_retryable(), "{error}");
                        tokio::time::sleep(RETRY_EVERY).await;
                    }
                }
            }
            acknowledged
        })
    };
    let writers = ["a", "b", "c", "d"].map(writer);
    while marks(&*store).await.len() < 200 {}
    servers.kill("cassandra").unwrap();
    tokio::task::block_in_place(|| servers.restart("cassandra").unwrap());
    done.store(true, Ordering::Relaxed);
    let up = Instant::now();
    let mut acknowledged = BTreeSet::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    println!("of use again after {:?}", up.elapsed());
    assert!(up.elapsed() < HEALED_WITHIN, "{:?}", up.elapsed());
    let found = marks(&*store).await;
    let found = found.iter().map(|(row, version)| {
        let chat = row.chat.as_str();
        (chat[2..3].to_owned(), *version)
    });
    let found: BTreeSet<_> = found.collect();
    let lost: Vec<_> = acknowledged.difference(&found).collect();
    assert!(lost.is_empty(), "{lost:?}");
    assert!(acknowledged.len() >= 200);
}
