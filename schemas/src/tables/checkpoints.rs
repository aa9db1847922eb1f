//! Table `checkpoints`: up to where a projection has finished each partition of its topic. Lives
//! in generation 0; the generation it speaks of is in its key.

use compact_str::CompactString;

use crate::position::{Generation, Offset, Partition};

partition!(
    /// Partition key of the checkpoints of one build of a projection.
    CheckpointPartition {
        /// The projection.
        projection: CompactString,
        /// Which build of it.
        generation: Generation,
    }
);

table! {
    /// The next offset that a projection reads in a partition: all before is in its tables.
    "checkpoints", CheckpointRow, CheckpointKey, CheckpointPartition;
    part {
        /// The projection.
        projection: CompactString,
        /// Which build of it.
        generation: Generation,
    }
    cluster {
        /// The topic's name.
        topic: CompactString => Asc,
        /// The partition.
        partition: Partition => Asc,
    }
    values {
        /// The next offset to read.
        1 offset: Offset,
    }
}
