//! The log's metrics. Labels are topics, and where a read was served from: bounded.

use std::time::Duration;

use infra_ports::metric::{COUNTS, SECONDS, each};
use schemas::topics::{TOPICS, Topic};

fn topics() -> Vec<Vec<&'static str>> {
    each(TOPICS.map(|spec| spec.name))
}

fn topics_by(values: [&'static str; 2]) -> Vec<Vec<&'static str>> {
    let both = |spec: schemas::topics::TopicSpec| values.map(|value| vec![spec.name, value]);
    TOPICS.into_iter().flat_map(both).collect()
}

infra_ports::metrics! {
    /// Records appended to the embedded log.
    pub RECORDS: Counter, Count, "cursus_log_appended_records_total", ["topic"] = topics;
    /// Bytes appended to the embedded log, framing included.
    pub BYTES: Counter, Bytes, "cursus_log_appended_bytes_total", ["topic"] = topics;
    /// Time of the fdatasync of a commit.
    pub SYNC: Histogram(SECONDS), Seconds, "cursus_log_sync_seconds", ["topic"] = topics;
    /// Appends that shared a commit.
    pub COMMIT: Histogram(COUNTS), Count, "cursus_log_commit_appends", ["topic"] = topics;
    /// Appends and syncs that wait for the committer.
    pub QUEUE: Gauge, Count, "cursus_log_queue_requests", ["topic"] = topics;
    /// Appends refused because too much waits to be written.
    pub REFUSED: Counter, Count, "cursus_log_queue_full_total", ["topic"] = topics;
    /// Reads of tails that found something, by where it was: `memory`, or `files` for a reader that is behind.
    pub READS: Counter, Count, "cursus_log_reads_total", ["topic", "source"]
        = || topics_by(["memory", "files"]);
    /// 1 once a write or fdatasync failed: the log takes nothing more until it is opened again.
    pub POISONED: Gauge, Count, "cursus_log_poisoned";
}

pub(crate) fn appended(topic: Topic, records: usize, bytes: u64) {
    RECORDS.add(place(topic), records as u64);
    BYTES.add(place(topic), bytes);
}

pub(crate) fn committed(topic: Topic, appends: usize, synced: Duration) {
    COMMIT.record_count(place(topic), appends as u64);
    SYNC.record(place(topic), synced);
}

/// So many requests wait.
pub(crate) fn waiting(topic: Topic, requests: usize) {
    QUEUE.set_count(place(topic), requests as u64);
}

/// An append was refused: the queue is full.
pub(crate) fn queue_full(topic: Topic) {
    REFUSED.add(place(topic), 1);
}

/// A tail found something.
pub(crate) fn read(topic: Topic, in_memory: bool) {
    READS.add(2 * place(topic) + usize::from(!in_memory), 1);
}

/// A log is opened: it takes appends.
pub(crate) fn open() {
    POISONED.set(0, 0.0);
}

/// The log takes nothing more.
pub(crate) fn poisoned() {
    POISONED.set(0, 1.0);
}

/// Topics are numbered as they stand in [`TOPICS`]; a test below holds on to that.
fn place(topic: Topic) -> usize {
    topic as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_of_topics_stand_in_the_order_of_topics() {
        for (at, spec) in TOPICS.iter().enumerate() {
            assert_eq!(place(spec.topic), at);
            assert_eq!(topics_by(["a", "b"])[2 * at + 1], [spec.name, "b"]);
        }
    }
}
