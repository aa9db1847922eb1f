//! Events of the topic `dead-letters`: records that could not be decoded, and why.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::position::{Offset, Partition};

/// A record that a projector could not decode, set aside so that its partition goes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    /// The topic it stood in.
    pub topic: String,
    /// The partition it stood in.
    pub partition: Partition,
    /// Its offset there.
    pub offset: Offset,
    /// The projection that set it aside.
    pub projection: String,
    /// Why, for a person to read.
    pub reason: String,
    /// Its key.
    pub key: Bytes,
    /// Its value, untouched.
    pub value: Bytes,
}
