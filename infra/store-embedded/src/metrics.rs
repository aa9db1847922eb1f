//! Metrics of the embedded store. Labels: the table's name, where a block was read from; no more.

use std::time::Duration;

use infra_ports::metric::{SECONDS, each, place_of};
use schemas::tables::TABLES;

fn tables() -> Vec<Vec<&'static str>> {
    each(TABLES.map(|table| table.name))
}

infra_ports::metrics! {
    /// Rows put or deleted, by table.
    pub WRITTEN: Counter, Count, "cursus_store_rows_written_total", ["table"] = tables;
    /// Mutations older than what the key held, passed over, by table.
    pub PASSED_OVER: Counter, Count, "cursus_store_rows_passed_over_total", ["table"] = tables;
    /// Writes refused or failed.
    pub REFUSED: Counter, Count, "cursus_store_writes_refused_total";
    /// Time of a write of rows, all of them together.
    pub WRITE: Histogram(SECONDS), Seconds, "cursus_store_write_seconds";
    /// Blocks of table files that were needed, by source: `cache`, or `disk` (the operating system's cache or the disk itself).
    pub BLOCKS: Counter, Count, "cursus_store_block_reads_total", ["source"]
        = || each(["cache", "disk"]);
    /// Bytes free on the disk of the tables, when it was last looked at.
    pub FREE: Gauge, Bytes, "cursus_store_free_bytes";
}

/// What became of the mutations of one table in one write.
pub(crate) fn rows(table: &str, written: u64, passed_over: u64) {
    let place = place_of(table, TABLES.map(|known| known.name));
    WRITTEN.add(place, written);
    PASSED_OVER.add(place, passed_over);
}

/// A write was refused or failed.
pub(crate) fn refused() {
    REFUSED.add(0, 1);
}

/// A write took effect.
pub(crate) fn wrote(took: Duration) {
    WRITE.record(0, took);
}

/// So many blocks were read since the store was opened.
pub(crate) fn blocks(cached: u64, from_disk: u64) {
    BLOCKS.is(0, cached);
    BLOCKS.is(1, from_disk);
}

/// So much room is left.
pub(crate) fn free(bytes: u64) {
    FREE.set_count(0, bytes);
}
