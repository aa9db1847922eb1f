//! The log's metrics. Labels are topics: bounded.

use std::time::Duration;

use metrics::Unit;
use schemas::topics::Topic;

/// Counter: records appended.
pub const RECORDS: &str = "cursus_log_appended_records_total";
/// Counter: bytes written, framing included.
pub const BYTES: &str = "cursus_log_appended_bytes_total";
/// Histogram, seconds: fdatasync of a commit.
pub const SYNC_SECONDS: &str = "cursus_log_sync_seconds";
/// Histogram: appends that shared a commit.
pub const COMMIT_APPENDS: &str = "cursus_log_commit_appends";

/// Says what the metrics are, to whoever exports them.
pub fn describe() {
    metrics::describe_counter!(RECORDS, Unit::Count, "Records appended to the embedded log");
    metrics::describe_counter!(BYTES, Unit::Bytes, "Bytes appended to the embedded log");
    metrics::describe_histogram!(SYNC_SECONDS, Unit::Seconds, "fdatasync of a commit");
    metrics::describe_histogram!(COMMIT_APPENDS, Unit::Count, "Appends that shared a commit");
}

pub(crate) fn appended(topic: Topic, records: usize, bytes: u64) {
    let count = u64::try_from(records).unwrap_or(u64::MAX);
    metrics::counter!(RECORDS, "topic" => topic.name()).increment(count);
    metrics::counter!(BYTES, "topic" => topic.name()).increment(bytes);
}

pub(crate) fn committed(topic: Topic, appends: usize, synced: Duration) {
    let appends = f64::from(u32::try_from(appends).unwrap_or(u32::MAX));
    metrics::histogram!(COMMIT_APPENDS, "topic" => topic.name()).record(appends);
    metrics::histogram!(SYNC_SECONDS, "topic" => topic.name()).record(synced.as_secs_f64());
}
