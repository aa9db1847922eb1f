//! Sealed segments that were read lately: their open files and their indexes, a few of them.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::format::sums::{Summing, Sums};
use crate::frames::{Found, FrameReader};
use crate::index::SparseIndex;
use crate::keeper::Chore;
use crate::segment::Segment;
use crate::storage::{StorageFile, narrow, read_full, widen};
use crate::topic::TopicLog;

/// How many sealed segments of a topic are kept open.
const KEPT: usize = 16;
/// Bytes read at a time when an index is made again.
const PIECE_BYTES: usize = 1 << 20;

/// A sealed segment that can be read.
#[derive(Clone)]
pub(crate) struct Sealed {
    number: u64,
    pub(crate) file: Arc<dyn StorageFile>,
    pub(crate) index: Arc<SparseIndex>,
}

/// The sealed segments read lately, the latest last.
#[derive(Default)]
pub(crate) struct SealedCache(Mutex<VecDeque<Sealed>>);

impl SealedCache {
    fn get(&self, number: u64) -> Option<Sealed> {
        let mut kept = self.0.lock();
        let place = kept.iter().position(|sealed| sealed.number == number)?;
        let sealed = kept.remove(place)?;
        kept.push_back(sealed.clone());
        Some(sealed)
    }

    pub(crate) fn put(
        &self,
        segment: &Segment,
        file: &Arc<dyn StorageFile>,
        index: &Arc<SparseIndex>,
    ) {
        let number = segment.header.number;
        let sealed = Sealed {
            number,
            file: Arc::clone(file),
            index: Arc::clone(index),
        };
        let mut kept = self.0.lock();
        kept.retain(|other| other.number != number);
        kept.push_back(sealed);
        while kept.len() > KEPT {
            kept.pop_front();
        }
    }

    /// Forgets a segment that is no longer kept.
    pub(crate) fn forget(&self, number: u64) {
        self.0.lock().retain(|sealed| sealed.number != number);
    }
}

/// Puts together the sums of a segment that was read, up to the end of its frames.
pub(crate) fn sum_up(
    file: &dyn StorageFile,
    sums: &mut Sums,
    summed: &[u32],
    end: u64,
) -> io::Result<Summing> {
    sums.extend(summed);
    sums.truncate(end);
    let mut summing = Summing::new(sums.end);
    let mut rest = vec![0; narrow(end - sums.end)];
    let count = read_full(file, &mut rest, sums.end)?;
    rest.truncate(count);
    summing.add(&rest);
    Ok(summing)
}

impl TopicLog {
    /// Opens a sealed segment with its index; makes the index again when it is missing or damaged.
    pub(crate) fn open_sealed(&self, segment: &Arc<Segment>) -> io::Result<Sealed> {
        let number = segment.header.number;
        if let Some(sealed) = self.sealed.get(number) {
            return Ok(sealed);
        }
        let file = self.shared.storage.open(&segment.path, false)?;
        let index = match self.load_index(segment) {
            Some(index) => Arc::new(index),
            None => self.make_index(segment, &file)?,
        };
        self.sealed.put(segment, &file, &index);
        Ok(Sealed {
            number,
            file,
            index,
        })
    }

    fn load_index(&self, segment: &Segment) -> Option<SparseIndex> {
        let path = self.directory.join(segment.index_name());
        let file = self.shared.storage.open(&path, false).ok()?;
        let mut bytes = vec![0; narrow(file.length().ok()?)];
        let count = read_full(&*file, &mut bytes, 0).ok()?;
        bytes.truncate(count);
        let index = SparseIndex::decode(&bytes, &segment.header);
        if index.is_none() {
            tracing::warn!(file = %path.display(), "a damaged index is made again");
        }
        index
    }

    fn make_index(
        &self,
        segment: &Arc<Segment>,
        file: &Arc<dyn StorageFile>,
    ) -> io::Result<Arc<SparseIndex>> {
        let every = self.shared.config.index_every_bytes;
        let mut index = SparseIndex::new(&segment.header, every);
        let mut reader = FrameReader::new(Arc::clone(file), segment, PIECE_BYTES);
        let mut position = segment.header.end();
        reader = reader.summing(Summing::new(position));
        let mut is_whole = true;
        // Stops at the first place that is no head; reading up to there says what it is.
        loop {
            let head = match reader.at(position, u64::MAX)? {
                Found::Frame(head) => head,
                Found::BadBody(head) => {
                    is_whole = false;
                    head
                }
                Found::BadHead => {
                    is_whole = false;
                    break;
                }
                Found::Nothing => break,
            };
            index.note(head.partition, head.offset, position, head.at);
            position += widen(head.frame_length());
        }
        if is_whole {
            let summing = sum_up(&**file, index.sums_mut(), reader.summed(), position)?;
            index.sums_mut().close(&summing);
        }
        let index = Arc::new(index);
        let chore = Chore::WriteIndex {
            segment: Arc::clone(segment),
            index: Arc::clone(&index),
        };
        self.keep(chore);
        Ok(index)
    }
}
