//! Table `generations`: which build of a projection's tables is live. Lives in generation 0.

use compact_str::CompactString;

use crate::position::Generation;

partition!(
    /// Partition key of a projection's pointer.
    GenerationPartition {
        /// The projection.
        projection: CompactString
    }
);

table! {
    /// Which builds of a projection's tables there are. 0 is none.
    "generations", GenerationRow, GenerationKey, GenerationPartition;
    part {
        /// The projection.
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
    }
}
