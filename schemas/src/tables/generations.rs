//! Table `generations`: which build of the tables is live. Lives in generation 0.
//!
//! One row, of [`ALL_PROJECTIONS`]: all projections move together, so that an answer joined from tables of several
//! is of one build.

use compact_str::CompactString;

use crate::position::Generation;

/// What the pointer of all projections stands under.
pub const ALL_PROJECTIONS: &str = "all";

partition!(
    /// Partition key of a pointer.
    GenerationPartition {
        /// Whose tables: [`ALL_PROJECTIONS`].
        projection: CompactString
    }
);

table! {
    /// Which builds of the tables there are. 0 is none.
    "generations", GenerationRow, GenerationKey, GenerationPartition;
    part {
        /// Whose tables: [`ALL_PROJECTIONS`].
        projection: CompactString,
    }
    cluster {}
    values {
        /// The one that readers use.
        1 live: Generation,
        /// The one they used before, kept to go back to.
        2 previous: Generation,
        /// The one being built.
        3 building: Generation,
        /// The highest number that any build ever had: none is used twice.
        4 last: Generation,
    }
}
