//! The laws of a journal.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::journal::{Entry, Journal, NewEntry};

/// Runs the laws; `open` opens the same journal anew each time, empty at the first.
///
/// # Panics
/// When a law is broken.
pub async fn run(open: impl AsyncFn() -> Arc<dyn Journal>) {
    what_was_appended_is_read_in_order_by_all(&open).await;
    reading_goes_on_where_it_ended(&open).await;
    many_writers_are_in_one_order_for_all(&open).await;
}

fn entry(key: &str, value: &str) -> NewEntry {
    let value = Bytes::copy_from_slice(value.as_bytes());
    let key = key.to_owned();
    NewEntry { key, value }
}

fn told(entries: &[Entry]) -> Vec<(&str, &[u8])> {
    let told = entries.iter().map(|one| (one.key.as_str(), &one.value[..]));
    told.collect()
}

async fn what_was_appended_is_read_in_order_by_all(open: &impl AsyncFn() -> Arc<dyn Journal>) {
    let (one, other) = (open().await, open().await);
    assert_eq!(one.read(0).await.expect("readable"), []);
    one.append(vec![]).await.expect("nothing is appended");
    let two = vec![entry("a", "1"), entry("b", "")];
    one.append(two).await.expect("appended");
    let last = vec![entry("ü/c", "{\"x\":3}")];
    other.append(last).await.expect("appended");
    for journal in [&one, &other, &open().await] {
        let entries = journal.read(0).await.expect("readable");
        let expected: [(&str, &[u8]); 3] = [("a", b"1"), ("b", b""), ("ü/c", b"{\"x\":3}")];
        assert_eq!(told(&entries), expected);
    }
}

async fn reading_goes_on_where_it_ended(open: &impl AsyncFn() -> Arc<dyn Journal>) {
    let journal = open().await;
    let before = journal.read(0).await.expect("readable");
    let next = before.last().map_or(0, |last| last.place + 1);
    assert_eq!(journal.read(next).await.expect("readable"), []);
    assert_eq!(journal.read(next + 1_000).await.expect("readable"), []);
    journal
        .append(vec![entry("d", "4")])
        .await
        .expect("appended");
    let after = journal.read(next).await.expect("readable");
    assert_eq!(told(&after), [("d", &b"4"[..])]);
    assert!(after.iter().all(|one| one.place >= next));
    let from_last = before.last().map_or(0, |last| last.place);
    assert_eq!(journal.read(from_last).await.expect("readable").len(), 2);
}

async fn many_writers_are_in_one_order_for_all(open: &impl AsyncFn() -> Arc<dyn Journal>) {
    const EACH: usize = 20;
    let journals = [open().await, open().await, open().await];
    let writing = journals.iter().enumerate().map(async |(writer, journal)| {
        for n in 0..EACH {
            let one = entry(&format!("w{writer}/{n}"), "x");
            journal.append(vec![one]).await.expect("appended");
            let seen = journal.read(0).await.expect("readable");
            let own = format!("w{writer}/{n}");
            assert!(seen.iter().any(|one| one.key == own), "reads its own");
        }
    });
    join_all(writing).await;
    let mut reads = Vec::new();
    for journal in &journals {
        reads.push(journal.read(0).await.expect("readable"));
    }
    let first = reads.first().expect("three readers");
    assert!(reads.iter().all(|read| read == first), "one order for all");
    for (writer, _) in journals.iter().enumerate() {
        let of = format!("w{writer}/");
        let own = first.iter().filter(|one| one.key.starts_with(&of));
        let own: Vec<&str> = own.map(|one| one.key.as_str()).collect();
        let expected: Vec<String> = (0..EACH).map(|n| format!("{of}{n}")).collect();
        assert_eq!(own, expected, "each writer's in its own order");
    }
    assert!(first.is_sorted_by(|one, next| one.place < next.place));
}
