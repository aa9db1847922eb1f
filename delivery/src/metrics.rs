//! What delivery counts: names, units and labels in one place. No label ever names a user or a chat.

use std::time::Duration;

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use schemas::errors::Code;

/// Sockets that are open.
pub const SESSIONS: &str = "cursus_delivery_sessions";
/// Sessions that ended, by `close` (the close code, `peer` or `lost`).
pub const ENDED: &str = "cursus_delivery_sessions_ended_total";
/// Frames pushed to sessions, by `kind`.
pub const PUSHED: &str = "cursus_delivery_pushed_total";
/// Entries that a session had already, dropped.
pub const DUPLICATES: &str = "cursus_delivery_duplicates_total";
/// Gaps found on a session and filled from the timeline.
pub const GAPS: &str = "cursus_delivery_gaps_total";
/// Entries sent from the timeline: resumes, gaps and retries.
pub const FROM_TIMELINE: &str = "cursus_delivery_timeline_entries_total";
/// Pushes repeated because no mark came.
pub const RETRIES: &str = "cursus_delivery_retries_total";
/// Chats of sessions that never marked what was pushed, left to the inbox.
pub const GIVEN_UP: &str = "cursus_delivery_given_up_total";
/// Frames of clients that were answered with an error, by `code`.
pub const REFUSED: &str = "cursus_delivery_refused_total";
/// Time from an event's stamp to its push, in seconds.
pub const LATENCY: &str = "cursus_delivery_latency_seconds";
/// Records that the worker took from the log at once.
pub const BATCH: &str = "cursus_delivery_worker_batch_records";
/// Times the worker had to begin its tail again.
pub const RESTARTS: &str = "cursus_delivery_worker_restarts_total";
/// Records of `users` that could not be read, passed over.
pub const UNREADABLE: &str = "cursus_delivery_unreadable_total";

/// Tells the recorder what the names mean. Called once, after the recorder is installed.
pub fn describe() {
    describe_gauge!(SESSIONS, Unit::Count, "Sockets open");
    describe_counter!(ENDED, Unit::Count, "Sessions ended");
    describe_counter!(PUSHED, Unit::Count, "Frames pushed");
    describe_counter!(DUPLICATES, Unit::Count, "Entries a session had already");
    describe_counter!(GAPS, Unit::Count, "Gaps filled from the timeline");
    describe_counter!(FROM_TIMELINE, Unit::Count, "Entries sent from the timeline");
    describe_counter!(RETRIES, Unit::Count, "Pushes repeated");
    describe_counter!(GIVEN_UP, Unit::Count, "Pushes left to the inbox");
    describe_counter!(REFUSED, Unit::Count, "Client frames answered with an error");
    describe_histogram!(LATENCY, Unit::Seconds, "Stamp of an event to its push");
    describe_histogram!(BATCH, Unit::Count, "Records taken from the log at once");
    describe_counter!(RESTARTS, Unit::Count, "Tails begun again");
    describe_counter!(UNREADABLE, Unit::Count, "Records passed over");
}

pub(crate) fn sessions(open: usize) {
    gauge!(SESSIONS).set(u32::try_from(open).unwrap_or(u32::MAX));
}

pub(crate) fn ended(how: &'static str) {
    counter!(ENDED, "close" => how).increment(1);
}

pub(crate) fn pushed(kind: &'static str, frames: usize) {
    counter!(PUSHED, "kind" => kind).increment(frames as u64);
}

pub(crate) fn duplicate() {
    counter!(DUPLICATES).increment(1);
}

pub(crate) fn gap() {
    counter!(GAPS).increment(1);
}

pub(crate) fn from_timeline(entries: usize) {
    counter!(FROM_TIMELINE).increment(entries as u64);
}

pub(crate) fn retried() {
    counter!(RETRIES).increment(1);
}

pub(crate) fn given_up() {
    counter!(GIVEN_UP).increment(1);
}

pub(crate) fn refused(code: Code) {
    counter!(REFUSED, "code" => code.as_str()).increment(1);
}

pub(crate) fn latency(took: Duration) {
    histogram!(LATENCY).record(took.as_secs_f64());
}

pub(crate) fn batch(records: usize) {
    histogram!(BATCH).record(u32::try_from(records).unwrap_or(u32::MAX));
}

pub(crate) fn restarted() {
    counter!(RESTARTS).increment(1);
}

pub(crate) fn unreadable() {
    counter!(UNREADABLE).increment(1);
}
