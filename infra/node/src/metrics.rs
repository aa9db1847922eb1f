//! What the node itself measures: whether it is ready, how far each consumer of the log is behind,
//! connections.

use std::time::Duration;

use infra_ports::metric::{each, place_of};
use projectors::PROJECTIONS;

use crate::health::{Report, parts};

fn consumers() -> impl Iterator<Item = &'static str> {
    PROJECTIONS.into_iter().chain(["delivery"])
}

infra_ports::metrics! {
    /// 1 while the node is ready: everything has caught up and messages flow.
    pub READY: Gauge, Count, "cursus_ready";
    /// 1 while this part lets messages pass, or this process does not have it; the parts are those of `/readyz`.
    pub PART_READY: Gauge, Count, "cursus_part_ready", ["part"] = || each(parts());
    /// Records in the log that a consumer has not applied yet, by consumer: a projection, or `delivery`.
    pub LAG_RECORDS: Gauge, Count, "cursus_consumer_lag_records", ["consumer"]
        = || each(consumers());
    /// Age of the oldest record that a consumer has not applied yet, in the partition that waits longest; 0 when there is none.
    pub LAG: Gauge, Seconds, "cursus_consumer_lag_seconds", ["consumer"] = || each(consumers());
    /// Bytes free on the disk of the log, when it was last looked at.
    pub LOG_FREE: Gauge, Bytes, "cursus_log_free_bytes";
    /// HTTP connections that are open; sessions are counted apart.
    pub CONNECTIONS: Gauge, Count, "cursus_http_connections";
    /// Sockets that brought no token in their handshake and have not said hello yet.
    pub STRANGERS: Gauge, Count, "cursus_sockets_without_hello";
    /// Connections closed at once, by reason: `full`, when there are as many as there may be, `address`, when one address has as many as it may have, or `hello`, when as many sockets as may have not said who they are.
    pub TURNED_AWAY: Counter, Count, "cursus_http_turned_away_total", ["reason"]
        = || each(["full", "address", "hello"]);
    /// Spans that were not sent: the collector did not take them, or too many waited.
    pub SPANS_DROPPED: Counter, Count, "cursus_spans_dropped_total";
    /// Lines that were not written to standard error: whoever reads there is too slow, or nobody does.
    pub LINES_DROPPED: Counter, Count, "cursus_lines_dropped_total";
    /// Memory of the process that is in use, as the kernel counts it (resident).
    pub RESIDENT: Gauge, Bytes, "cursus_process_resident_bytes";
    /// Processor time that the process used.
    pub CPU: Counter, Milliseconds, "cursus_process_cpu_milliseconds_total";
    /// Files that the process has open, sockets included.
    pub FILES: Gauge, Count, "cursus_process_open_files";
}

pub(crate) fn ready(report: &Report) {
    READY.set(0, f64::from(u8::from(report.ready)));
    for (place, part) in parts().enumerate() {
        // A part that this process does not have keeps nothing back.
        let ready = report.parts.get(part).is_none_or(|part| part.ready);
        PART_READY.set(place, f64::from(u8::from(ready)));
    }
}

pub(crate) fn lag(consumer: &str, records: u64, oldest: Duration) {
    let place = place_of(consumer, consumers());
    LAG_RECORDS.set_count(place, records);
    LAG.set(place, oldest.as_secs_f64());
}

pub(crate) fn spans_dropped(spans: usize) {
    SPANS_DROPPED.add(0, spans as u64);
}

pub(crate) fn line_dropped() {
    LINES_DROPPED.add(0, 1);
}

pub(crate) fn log_free(bytes: u64) {
    LOG_FREE.set_count(0, bytes);
}

pub(crate) fn resident(bytes: u64) {
    RESIDENT.set_count(0, bytes);
}

pub(crate) fn cpu(millis: u64) {
    CPU.is(0, millis);
}

pub(crate) fn open_files(files: u64) {
    FILES.set_count(0, files);
}

/// A connection came, or went.
pub(crate) fn connected(came: bool) {
    CONNECTIONS.moves(0, if came { 1.0 } else { -1.0 });
}

/// There are as many connections as there may be.
pub(crate) fn full() {
    TURNED_AWAY.add(0, 1);
}

/// A socket without a token came, or said who it is, or went.
pub(crate) fn stranger(came: bool) {
    STRANGERS.moves(0, if came { 1.0 } else { -1.0 });
}

/// As many sockets as may have not said who they are.
pub(crate) fn strangers_full() {
    TURNED_AWAY.add(2, 1);
}

/// One address has as many connections as it may have.
pub(crate) fn address_full() {
    TURNED_AWAY.add(1, 1);
}
