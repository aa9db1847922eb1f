//! Reading a whole log for damage: every frame of every segment, by its own CRCs.
//!
//! Opening a log reads no sealed segment, and reading notices damage only where somebody reads. This
//! goes through all of it, goes on behind a damaged place where it can, and names each.

use std::path::PathBuf;
use std::sync::Arc;

use infra_ports::log::LogError;
use schemas::topics::Topic;

use crate::format::frame::FrameHead;
use crate::frames::{Found, FrameReader};
use crate::log::EmbeddedLog;
use crate::read::{Place, unavailable};
use crate::segment::Segment;
use crate::storage::{narrow, widen};
use crate::tear;
use crate::topic::TopicLog;

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// A place at which a log is not what was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The segment.
    pub file: PathBuf,
    /// The byte at which the damaged frame begins.
    pub position: u64,
    /// What is wrong there.
    pub reason: String,
}

/// What reading a topic for damage found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicVerified {
    /// Which topic.
    pub topic: Topic,
    /// Segments that were read.
    pub segments: usize,
    /// Whole records in them.
    pub records: u64,
    /// Bytes of their frames.
    pub bytes: u64,
    /// What is damaged, in the order of the chain.
    pub damages: Vec<Damage>,
}

impl EmbeddedLog {
    /// Reads every segment of every topic for damage, as far as they were written when this was
    /// called; blocks for as long as that takes. Appends and reads go on meanwhile.
    ///
    /// # Errors
    /// `Unavailable` when the file system refuses, or retention drops a segment just then.
    pub fn verify(&self) -> Result<Vec<TopicVerified>, LogError> {
        self.each_topic().map(|topic| topic.verify()).collect()
    }
}

impl TopicLog {
    fn verify(&self) -> Result<TopicVerified, LogError> {
        let segments = Arc::clone(&self.view.lock().segments);
        let mut verified = TopicVerified {
            topic: self.topic,
            segments: segments.len(),
            records: 0,
            bytes: 0,
            damages: Vec::new(),
        };
        for (number, segment) in segments.iter().enumerate() {
            let place = self.place(segment.header.number)?;
            let mut pass = Pass::new(&place, &mut verified);
            pass.run()?;
            if let Some(next) = segments.get(number + 1) {
                pass.check_end(next);
            }
        }
        Ok(verified)
    }
}

/// The way through one segment.
struct Pass<'a> {
    place: &'a Place,
    verified: &'a mut TopicVerified,
    position: u64,
    /// Next offset of each partition.
    next: Vec<u64>,
    /// Whether each record so far was where it belongs.
    is_whole: bool,
}

impl<'a> Pass<'a> {
    fn new(place: &'a Place, verified: &'a mut TopicVerified) -> Self {
        Self {
            place,
            verified,
            position: place.segment.header.end(),
            next: place.segment.header.base.clone(),
            is_whole: true,
        }
    }

    fn run(&mut self) -> Result<(), LogError> {
        let file = Arc::clone(&self.place.file);
        let mut reader = FrameReader::new(file, &self.place.segment, PIECE_BYTES);
        while self.position < self.place.limit {
            let found = reader.at(self.position, self.place.limit);
            match found.map_err(|e| unavailable(&e))? {
                Found::Frame(head) => {
                    self.check_offset(&head);
                    self.verified.records += 1;
                    self.go_on(&head);
                }
                Found::BadBody(head) => {
                    self.blame("the CRC of a body is wrong");
                    self.check_offset(&head);
                    self.go_on(&head);
                }
                Found::BadHead => {
                    self.blame("no frame stands there; what follows it cannot be read");
                    return Ok(());
                }
                Found::Nothing => return self.check_rest(),
            }
        }
        Ok(())
    }

    fn go_on(&mut self, head: &FrameHead) {
        self.position += widen(head.frame_length());
        self.verified.bytes += widen(head.frame_length());
    }

    fn check_offset(&mut self, head: &FrameHead) {
        let Some(next) = self.next.get_mut(narrow(u64::from(head.partition))) else {
            return;
        };
        let expected = std::mem::replace(next, head.offset + 1);
        if expected != head.offset {
            let (partition, offset) = (head.partition, head.offset);
            self.blame(&format!(
                "record {partition}/{offset} stands where {partition}/{expected} belongs"
            ));
        }
    }

    /// Where nothing stands, nothing may follow.
    fn check_rest(&mut self) -> Result<(), LogError> {
        let rest = tear::last_nonzero(&*self.place.file, self.position);
        let is_empty = rest.map_err(|e| unavailable(&e))?.is_none();
        if self.place.is_active || !is_empty {
            self.blame("nothing stands there, though something did");
        }
        Ok(())
    }

    /// Whether all is there that the next segment goes on from.
    fn check_end(&mut self, next: &Segment) {
        let missing = (0..)
            .zip(&self.next)
            .find(|(partition, offset)| **offset != next.base(*partition));
        if let Some((partition, offset)) = missing.filter(|_| self.is_whole) {
            let (offset, base) = (*offset, next.base(partition));
            self.blame(&format!(
                "partition {partition} ends at {offset}, the next segment begins at {base}"
            ));
        }
    }

    fn blame(&mut self, reason: &str) {
        self.is_whole = false;
        self.verified.damages.push(Damage {
            file: self.place.segment.path.clone(),
            position: self.position,
            reason: reason.to_owned(),
        });
    }
}
