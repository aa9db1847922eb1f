//! Names, units and help of the numbers that projectors publish. Labels are bounded: the
//! projection's name, never a chat or a user.

use metrics::{counter, describe_counter, describe_gauge, gauge};

const RECORDS: &str = "cursus_projector_records_total";
const DEAD_LETTERS: &str = "cursus_projector_dead_letters_total";
const JOBS: &str = "cursus_projector_writes_total";
const JOB_RECORDS: &str = "cursus_projector_written_records_total";
const LAG: &str = "cursus_projector_lag_records";
const STOPPED: &str = "cursus_projector_stopped";
const CACHED: &str = "cursus_projector_cached_states";

/// Describes them to the recorder; once, at start.
pub fn describe() {
    describe_counter!(RECORDS, "Records folded, by projection");
    describe_counter!(DEAD_LETTERS, "Records set aside, by projection");
    describe_counter!(JOBS, "Chunks handed to the writer, by projection");
    describe_counter!(JOB_RECORDS, "Records in those chunks, by projection");
    describe_gauge!(LAG, "Records in the log that are not applied yet");
    describe_gauge!(STOPPED, "1 when a projection stopped by itself, by reason");
    describe_gauge!(CACHED, "States at hand");
}

pub(crate) fn folded(projection: &'static str, records: usize, dead: usize) {
    counter!(RECORDS, "projection" => projection).increment(records as u64);
    if dead > 0 {
        counter!(DEAD_LETTERS, "projection" => projection).increment(dead as u64);
    }
}

pub(crate) fn handed_over(projection: &'static str, records: usize, cached: usize) {
    counter!(JOBS, "projection" => projection).increment(1);
    counter!(JOB_RECORDS, "projection" => projection).increment(records as u64);
    gauge!(CACHED, "projection" => projection).set(approximate(cached as u64));
}

pub(crate) fn lag(projection: &'static str, records: u64) {
    gauge!(LAG, "projection" => projection).set(approximate(records));
}

pub(crate) fn stopped(projection: &'static str, reason: &'static str) {
    gauge!(STOPPED, "projection" => projection, "reason" => reason).set(1.0);
}

/// Exact below four thousand million, which is more than any gauge here should ever show.
fn approximate(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
