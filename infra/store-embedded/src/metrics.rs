//! Metrics of the embedded store. Labels: the table's name, no more.

use metrics::{Unit, counter, describe_counter};

const WRITTEN: &str = "cursus_store_rows_written_total";
const PASSED_OVER: &str = "cursus_store_rows_passed_over_total";
const REFUSED: &str = "cursus_store_writes_refused_total";

/// Says what the metrics are.
pub(crate) fn describe() {
    describe_counter!(WRITTEN, Unit::Count, "Rows put or deleted");
    describe_counter!(
        PASSED_OVER,
        Unit::Count,
        "Mutations older than what the key held"
    );
    describe_counter!(REFUSED, Unit::Count, "Writes refused or failed");
}

/// Mutations of one table took effect, or were older than what stood there.
pub(crate) fn rows(table: &'static str, written: bool) {
    let name = if written { WRITTEN } else { PASSED_OVER };
    counter!(name, "table" => table).increment(1);
}

/// A write was refused or failed.
pub(crate) fn refused() {
    counter!(REFUSED).increment(1);
}
