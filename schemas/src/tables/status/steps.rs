//! A step function over seq: how many stretches (after, through] cover a place.
//!
//! Kept as the places where the count changes and by how much; what cancels out is not kept, so
//! equal functions have equal bytes. An edit costs O(log n) for n changes, at most two a stay.
//!
//! ```text
//! [distance to the change before, varint][change, zigzag varint]…
//! ```

use std::collections::BTreeMap;

use crate::position::Seq;
use crate::tables::value::{put_varint, take_varint};
use crate::tables::{ColumnType, CqlType};

/// Why bytes are not those of a step function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a step function: {0}")]
pub struct StepsError(&'static str);

/// How many members have each place of a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Steps {
    /// By the last place *before* the change: the count after it differs by this, never 0.
    changes: BTreeMap<u64, i64>,
}

impl Steps {
    /// One more member has everything in (after, through]; nothing when that is empty.
    ///
    /// For a member's first mark `after` is their join, for a later one their mark before.
    pub fn cover(&mut self, after: Seq, through: Seq) {
        if after < through {
            self.change(after.0, 1);
            self.change(through.0, -1);
        }
    }

    /// How many members have this place.
    pub fn count_at(&self, seq: Seq) -> u32 {
        let count: i64 = self.changes.range(..seq.0).map(|(_, by)| by).sum();
        u32::try_from(count).unwrap_or(0)
    }

    /// The places where the count changes, with the count from the next place on.
    pub fn steps(&self) -> impl Iterator<Item = (Seq, u32)> + '_ {
        self.changes.iter().scan(0i64, |count, (place, by)| {
            *count += by;
            Some((Seq(*place), u32::try_from(*count).unwrap_or(0)))
        })
    }

    fn change(&mut self, place: u64, by: i64) {
        let change = self.changes.entry(place).or_default();
        *change += by;
        if *change == 0 {
            self.changes.remove(&place);
        }
    }

    /// Its bytes; empty for the function that is 0 everywhere.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.changes.len() * 3);
        let mut before = 0;
        for (place, by) in &self.changes {
            put_varint(place - before, &mut out);
            put_varint(zigzag(*by), &mut out);
            before = *place;
        }
        out
    }

    /// Reads its bytes. Only what [`Steps::to_bytes`] writes is accepted.
    ///
    /// # Errors
    /// When the bytes are not canonical, or a count would be negative or never end.
    pub fn from_bytes(mut bytes: &[u8]) -> Result<Self, StepsError> {
        let mut changes = BTreeMap::new();
        let (mut place, mut count) = (0u64, 0i64);
        while !bytes.is_empty() {
            let distance = take_varint(&mut bytes).ok_or(StepsError("a place ends early"))?;
            let by = take_varint(&mut bytes).ok_or(StepsError("a change ends early"))?;
            let by = unzigzag(by);
            if by == 0 || (distance == 0 && !changes.is_empty()) {
                return Err(StepsError("a change that is none"));
            }
            place = place
                .checked_add(distance)
                .ok_or(StepsError("a place too high"))?;
            count = count
                .checked_add(by)
                .ok_or(StepsError("a count too high"))?;
            if u32::try_from(count).is_err() {
                return Err(StepsError("a count that cannot be"));
            }
            changes.insert(place, by);
        }
        if count != 0 {
            return Err(StepsError("a count that never ends"));
        }
        Ok(Self { changes })
    }
}

impl ColumnType for Steps {
    const CQL: CqlType = CqlType::Blob;

    fn wire<R>(&self, take: impl FnOnce(&[u8]) -> R) -> R {
        take(&self.to_bytes())
    }

    fn from_wire(bytes: &[u8]) -> Result<Self, &'static str> {
        Self::from_bytes(bytes).map_err(|error| error.0)
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

/// Small numbers of either sign as small unsigned ones: 0, −1, 1, −2 … as 0, 1, 2, 3 …
fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}
