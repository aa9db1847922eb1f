//! A segment: its head in memory, its name.

use std::path::{Path, PathBuf};

use crate::format::header::Header;

/// A segment: what is known of it without opening its file.
pub(crate) struct Segment {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    pub(crate) seed: u32,
}

impl Segment {
    pub(crate) fn new(header: Header, directory: &Path) -> Self {
        let path = directory.join(segment_name(header.number));
        let seed = header.seed();
        Self { header, path, seed }
    }

    /// First offset of a partition that may stand here.
    pub(crate) fn base(&self, partition: u32) -> u64 {
        let place = usize::try_from(partition).unwrap_or(usize::MAX);
        self.header.base.get(place).copied().unwrap_or(u64::MAX)
    }

    /// Where its index is written once it is sealed.
    pub(crate) fn index_name(&self) -> String {
        format!("{:020}.index", self.header.number)
    }
}

/// The name of a segment's file.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:020}.segment")
}

/// The number in the name of a segment's file.
pub(crate) fn segment_number(name: &str) -> Option<u64> {
    name.strip_suffix(".segment")?.parse().ok()
}
