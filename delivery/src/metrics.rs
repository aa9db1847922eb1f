//! What delivery counts. No label ever names a user or a chat.

use std::time::Duration;

use infra_ports::metric::{COUNTS, SECONDS, each, place_of};
use schemas::errors::Code;

/// How a session can end.
const ENDS: [&str; 12] = [
    "peer", "lost", "1000", "1002", "1009", "1011", "1012", "1013", "4001", "4002", "4003", "other",
];
/// What is pushed.
const KINDS: [&str; 6] = ["entry", "entries", "verdict", "ticks", "marked", "settings"];

infra_ports::metrics! {
    /// Sockets that are open.
    pub SESSIONS: Gauge, Count, "cursus_delivery_sessions";
    /// Sockets taken in.
    pub OPENED: Counter, Count, "cursus_delivery_sessions_opened_total";
    /// Sessions that ended, by close: the close code (`4003`: a slow consumer), `other`, `peer`, or `lost` without a close.
    pub ENDED: Counter, Count, "cursus_delivery_sessions_ended_total", ["close"] = || each(ENDS);
    /// Time to find out what a session has missed, waiting for its inbox included.
    pub RESUME: Histogram(SECONDS), Seconds, "cursus_delivery_resume_seconds";
    /// Frames pushed to sessions, by kind; verdicts, ticks, marks and settings are counted once a user.
    pub PUSHED: Counter, Count, "cursus_delivery_pushed_total", ["kind"] = || each(KINDS);
    /// Time from the server taking a command until the frames of its event were written to the sockets of those it concerns; one sample an event and batch, whole milliseconds.
    pub PUSH: Histogram(SECONDS), Seconds, "cursus_delivery_push_seconds";
    /// Time from the server taking a command until a device of a recipient has marked its event delivered, durably; one sample a mark, for the newest event it covers, whole milliseconds.
    pub DELIVERED: Histogram(SECONDS), Seconds, "cursus_delivery_delivered_seconds";
    /// Entries that a session had already, dropped.
    pub DUPLICATES: Counter, Count, "cursus_delivery_duplicates_total";
    /// Gaps found on a session and filled from the timeline.
    pub GAPS: Counter, Count, "cursus_delivery_gaps_total";
    /// Entries sent from the timeline: resumes, gaps and retries.
    pub FROM_TIMELINE: Counter, Count, "cursus_delivery_timeline_entries_total";
    /// Pushes repeated because no mark came.
    pub RETRIES: Counter, Count, "cursus_delivery_retries_total";
    /// Chats of sessions that never marked what was pushed, left to the inbox.
    pub GIVEN_UP: Counter, Count, "cursus_delivery_given_up_total";
    /// Frames of clients that were answered with an error, by code.
    pub REFUSED: Counter, Count, "cursus_delivery_refused_total", ["code"] = Vec::new;
    /// Records that the worker took from the log at once.
    pub BATCH: Histogram(COUNTS), Count, "cursus_delivery_worker_batch_records";
    /// Records that the worker took from the log.
    pub READ: Counter, Count, "cursus_delivery_worker_records_total";
    /// Partitions of `users` that the worker reads: those in which somebody is subscribed here.
    pub PARTITIONS: Gauge, Count, "cursus_delivery_worker_partitions";
    /// Time to hand a batch of the worker to the sessions it concerns and write them out.
    pub HAND_OUT: Histogram(SECONDS), Seconds, "cursus_delivery_worker_hand_out_seconds";
    /// Times the worker had to begin its tail again.
    pub RESTARTS: Counter, Count, "cursus_delivery_worker_restarts_total";
    /// Records of `users` that could not be read, passed over.
    pub UNREADABLE: Counter, Count, "cursus_delivery_unreadable_total";
    /// Frames that wait in outboxes, over all sessions, when it was last looked.
    pub OUTBOX_FRAMES: Gauge, Count, "cursus_delivery_outbox_frames";
    /// Sessions whose socket takes nothing at the moment, when it was last looked: they become slow consumers if it stays so.
    pub BLOCKED: Gauge, Count, "cursus_delivery_blocked_sessions";
}

pub(crate) fn opened(open: usize) {
    OPENED.add(0, 1);
    SESSIONS.set_count(0, open as u64);
}

pub(crate) fn left(open: usize) {
    SESSIONS.set_count(0, open as u64);
}

pub(crate) fn ended(how: &'static str) {
    ENDED.add(place_of(how, ENDS), 1);
}

pub(crate) fn resumed(took: Duration) {
    RESUME.record(0, took);
}

/// Frames of one of the kinds above were pushed.
pub(crate) fn pushed(kind: &'static str, frames: usize) {
    PUSHED.add(place_of(kind, KINDS), frames as u64);
}

pub(crate) fn push_took(took: Duration) {
    PUSH.record(0, took);
}

pub(crate) fn delivered_after(took: Duration) {
    DELIVERED.record(0, took);
}

pub(crate) fn duplicate() {
    DUPLICATES.add(0, 1);
}

pub(crate) fn gap() {
    GAPS.add(0, 1);
}

pub(crate) fn from_timeline(entries: usize) {
    FROM_TIMELINE.add(0, entries as u64);
}

pub(crate) fn retried() {
    RETRIES.add(0, 1);
}

pub(crate) fn given_up() {
    GIVEN_UP.add(0, 1);
}

pub(crate) fn refused(code: Code) {
    REFUSED.of(&[code.as_str()]).increment(1);
}

pub(crate) fn batch(records: usize) {
    BATCH.record_count(0, records as u64);
    READ.add(0, records as u64);
}

pub(crate) fn reads(partitions: usize) {
    PARTITIONS.set_count(0, partitions as u64);
}

pub(crate) fn handed_out(took: Duration) {
    HAND_OUT.record(0, took);
}

pub(crate) fn restarted() {
    RESTARTS.add(0, 1);
}

pub(crate) fn unreadable() {
    UNREADABLE.add(0, 1);
}

/// What waits for sockets to have room.
pub(crate) fn waiting(frames: usize, blocked: usize) {
    OUTBOX_FRAMES.set_count(0, frames as u64);
    BLOCKED.set_count(0, blocked as u64);
}
