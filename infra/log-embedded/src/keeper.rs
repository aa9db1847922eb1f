//! The background thread: what need not happen while somebody waits for an append.
//!
//! It zeroes ahead of the end of active segments, makes the file of the next one, trims sealed ones
//! and writes their indexes. Whatever of it fails is only slower later: a warning, never an error.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::active::{Active, ZeroError};
use crate::checkpoint::Place;
use crate::index::SparseIndex;
use crate::segment::Segment;
use crate::spare::make_file;
use crate::storage::write_whole_file;
use crate::topic::TopicLog;

/// Something to do.
pub(crate) enum Chore {
    /// Write zeros ahead of the end.
    Zero(Arc<Active>),
    /// Make the file of the segment with this number.
    MakeSpare(u64),
    /// Trim a segment to its end and write its index.
    Seal {
        segment: Arc<Segment>,
        index: Arc<SparseIndex>,
        end: u64,
    },
    /// Write down what is known of the active segment up to a place.
    Checkpoint { active: Arc<Active>, place: Place },
    /// Write an index that was missing.
    WriteIndex {
        segment: Arc<Segment>,
        index: Arc<SparseIndex>,
    },
}

#[derive(Default)]
struct Waiting {
    chores: VecDeque<(Arc<TopicLog>, Chore)>,
    ended: bool,
}

/// What the keeper has to do. Bounded by what asks for it: a segment is sealed once, and zeros and
/// spares are asked for again only when the one before is done.
#[derive(Default)]
pub(crate) struct KeeperQueue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

impl KeeperQueue {
    pub(crate) fn push(&self, topic: Arc<TopicLog>, chore: Chore) {
        let mut waiting = self.waiting.lock();
        if !waiting.ended {
            waiting.chores.push_back((topic, chore));
        }
        drop(waiting);
        self.more.notify_one();
    }

    /// The thread ends when it has done what is there.
    pub(crate) fn end(&self) {
        self.waiting.lock().ended = true;
        self.more.notify_one();
    }

    /// The thread ends after the chore that it is at.
    pub(crate) fn abandon(&self) {
        let mut waiting = self.waiting.lock();
        waiting.ended = true;
        waiting.chores.clear();
        drop(waiting);
        self.more.notify_one();
    }

    /// Does chores until the end.
    pub(crate) fn run(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            let (topic, chore) = loop {
                if let Some(next) = waiting.chores.pop_front() {
                    break next;
                }
                if waiting.ended {
                    return;
                }
                self.more.wait(&mut waiting);
            };
            drop(waiting);
            topic.do_chore(chore);
        }
    }
}

impl TopicLog {
    /// Asks for what will be needed soon after a write up to `end`.
    pub(crate) fn look_ahead(&self, active: &Arc<Active>, end: u64) {
        let config = &self.shared.config;
        if config.zero_ahead_bytes == 0 {
            return;
        }
        if active.want_zeros(end, config.zero_ahead_bytes, config.segment_bytes) {
            self.keep(Chore::Zero(Arc::clone(active)));
        }
        let next = active.segment.header.number + 1;
        if end > config.segment_bytes / 2 && self.spare.want(next) {
            self.keep(Chore::MakeSpare(next));
        }
    }

    /// Leaves something to the keeper.
    pub(crate) fn keep(&self, chore: Chore) {
        if let Some(topic) = self.this.upgrade() {
            self.shared.keeper.push(topic, chore);
        }
    }

    fn do_chore(&self, chore: Chore) {
        let (what, outcome) = match chore {
            Chore::Zero(active) => ("zero ahead", self.zero_ahead(&active)),
            Chore::MakeSpare(number) => ("make a segment", self.make_spare(number)),
            Chore::Seal {
                segment,
                index,
                end,
            } => {
                let trimmed = self
                    .shared
                    .storage
                    .open(&segment.path, false)
                    .and_then(|file| file.set_length(end));
                (
                    "seal a segment",
                    trimmed.and_then(|()| self.write_index(&segment, &index)),
                )
            }
            Chore::Checkpoint { active, place } => {
                ("write a checkpoint", self.write_checkpoint(&active, place))
            }
            Chore::WriteIndex { segment, index } => {
                ("write an index", self.write_index(&segment, &index))
            }
        };
        if let Err(error) = outcome {
            tracing::warn!(topic = %self.topic, what, %error, "background work of the log failed");
        }
    }

    fn zero_ahead(&self, active: &Active) -> std::io::Result<()> {
        let config = &self.shared.config;
        match active.zero_ahead(config.zero_ahead_bytes, config.segment_bytes) {
            Ok(()) => Ok(()),
            Err(ZeroError::Write(error)) => Err(error),
            Err(ZeroError::Sync(error)) => {
                self.shared
                    .poison
                    .spread("sync", &active.segment.path, &error);
                Err(error)
            }
        }
    }

    fn make_spare(&self, number: u64) -> std::io::Result<()> {
        let config = &self.shared.config;
        let until = config.zero_ahead_bytes.min(config.segment_bytes);
        self.spare.make(number, || {
            make_file(&*self.shared.storage, &self.directory, number, until)
        })
    }

    fn write_index(&self, segment: &Segment, index: &SparseIndex) -> std::io::Result<()> {
        let bytes = index.encode(&segment.header);
        write_whole_file(
            &*self.shared.storage,
            &self.directory,
            &segment.index_name(),
            &bytes,
        )
    }
}
