//! Where: partition, offset, seq, ordinal, version, generation, time.
//!
//! Offsets never leave the servers; `(chat, seq)` is what clients see. All of these only grow.

use serde::{Deserialize, Serialize};

macro_rules! number {
    ($(#[$m:meta])* $name:ident($t:ty)) => {
        $(#[$m])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub $t);

        impl $name {
            /// The place after this one.
            #[must_use]
            pub fn next(self) -> Self {
                Self(self.0 + 1)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// A partition of a topic, from 0.
    Partition(u32)
);
number!(
    /// Place of a record in a partition, from 0. Never shown to a client.
    Offset(u64)
);
number!(
    /// Place of an accepted event in its chat, from 1, without holes; 0 means "before the first".
    Seq(u64)
);
number!(
    /// Place of a message among the countable messages (sends) of its chat, from 1.
    Ordinal(u64)
);
number!(
    /// Version of a row: one more than the origin offset of the event that made it. A higher one
    /// wins; 0 is older than everything.
    Version(u64)
);
number!(
    /// One build of a projection's tables, from 1.
    Generation(u32)
);
number!(
    /// Milliseconds since 1970-01-01T00:00:00Z, stamped at the edge.
    Timestamp(i64)
);

impl From<Offset> for Version {
    fn from(offset: Offset) -> Self {
        Self(offset.0 + 1)
    }
}
