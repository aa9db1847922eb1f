//! Going on to the next segment, and having it ready before it is needed.
//!
//! The next segment's file is made and zeroed in the background under its own name; what makes it a
//! segment is its head, written and synced when the one before is full and durable.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::Arc;

use infra_ports::log::LogError;
use parking_lot::{Condvar, Mutex};

use crate::active::Active;
use crate::format::header::Header;
use crate::format::sums::Summing;
use crate::index::SparseIndex;
use crate::keeper::Chore;
use crate::segment::{Segment, segment_name};
use crate::storage::{Storage, StorageFile, is_full, write_full, write_zeros};
use crate::topic::TopicLog;
use crate::writer::Writer;

/// A file for the next segment. Only the file of a `Wanted` number is ever made here: what was taken
/// in the meantime may be a segment already.
enum State {
    None,
    /// The keeper was asked to make it.
    Wanted(u64),
    /// The keeper is at it.
    Making,
    Ready(u64, Made),
    /// It could not be made; whoever needs it makes it.
    Failed(u64),
}

/// A file for a segment.
pub(crate) struct Made {
    /// It, opened once for records and once for zeros: where there are no more files to be had, a
    /// segment that is ready can be begun.
    files: [Arc<dyn StorageFile>; 2],
    /// There are zeros up to here.
    until: u64,
}

/// The file for the next segment, if it is there already.
pub(crate) struct Spare {
    state: Mutex<State>,
    made: Condvar,
}

impl Default for Spare {
    fn default() -> Self {
        Self {
            state: Mutex::new(State::None),
            made: Condvar::new(),
        }
    }
}

impl Spare {
    /// Says that a segment will be needed; true when the keeper is to be asked for it.
    pub(crate) fn want(&self, wanted: u64) -> bool {
        let mut state = self.state.lock();
        match *state {
            State::None => {}
            State::Failed(number) if number != wanted => {}
            State::Wanted(_) | State::Making | State::Ready(..) | State::Failed(_) => return false,
        }
        *state = State::Wanted(wanted);
        true
    }

    /// Makes one with the given maker, if it is still wanted.
    pub(crate) fn make(
        &self,
        number: u64,
        maker: impl FnOnce() -> io::Result<Made>,
    ) -> io::Result<()> {
        let mut state = self.state.lock();
        if !matches!(*state, State::Wanted(wanted) if wanted == number) {
            return Ok(());
        }
        *state = State::Making;
        drop(state);
        let (next, outcome) = match maker() {
            Ok(made) => (State::Ready(number, made), Ok(())),
            Err(error) => (State::Failed(number), Err(error)),
        };
        *self.state.lock() = next;
        self.made.notify_all();
        outcome
    }

    /// Takes the file for a segment, waiting for it when it is on its way; none when whoever asks
    /// is to make it.
    fn take(&self, wanted: u64) -> Option<Made> {
        let mut state = self.state.lock();
        while matches!(*state, State::Making) {
            self.made.wait(&mut state);
        }
        match std::mem::replace(&mut *state, State::None) {
            State::Ready(number, made) if number == wanted => Some(made),
            State::Ready(..)
            | State::None
            | State::Wanted(_)
            | State::Making
            | State::Failed(_) => None,
        }
    }
}

/// Makes the file of a segment, with zeros up to `until`.
pub(crate) fn make_file(
    storage: &dyn Storage,
    directory: &std::path::Path,
    number: u64,
    until: u64,
) -> io::Result<Made> {
    let path = directory.join(segment_name(number));
    let file = storage.open(&path, true)?;
    let ahead = storage.open(&path, false)?;
    // What an earlier attempt may have left is gone before the file is used.
    file.set_length(0)?;
    if until > 0 {
        file.allocate(0, until)?;
        write_zeros(&*file, 0, until)?;
        file.sync_data()?;
    }
    storage.sync_directory(directory)?;
    let files = [file, ahead];
    Ok(Made { files, until })
}

/// Writes the head of a segment, durable when it returns, and makes it one to write to.
pub(crate) fn begin(directory: &std::path::Path, made: Made, header: Header) -> io::Result<Active> {
    let Made { files, until } = made;
    let [file, _] = &files;
    write_full(&**file, &header.encode(), 0)?;
    file.sync_data()?;
    let until = until.max(header.end());
    let segment = Arc::new(Segment::new(header, directory));
    Ok(Active::new(segment, files, until))
}

/// A number that nobody who writes records can know.
pub(crate) fn draw_salt() -> u64 {
    RandomState::new().build_hasher().finish()
}

impl TopicLog {
    /// Seals the active segment and goes on to the next one.
    pub(crate) fn roll(&self, writer: &mut Writer) -> Result<(), LogError> {
        if writer.is_dirty() {
            writer.active.sync(&self.shared.poison)?;
            writer.claim = writer.position;
            self.view.lock().mark_durable(&writer.ends);
            self.durable.notify_waiters();
        }
        let old = Arc::clone(&writer.active);
        let active = self.next_segment(writer)?;
        let every = self.shared.config.index_every_bytes;
        let fresh = SparseIndex::new(&active.segment.header, every);
        let mut index = self.view.lock().roll(Arc::clone(&active), fresh);
        index.sums_mut().close(&writer.summing);
        let index = Arc::new(index);
        self.sealed.put(&old.segment, &old.file, &index);
        self.keep(Chore::Seal {
            segment: Arc::clone(&old.segment),
            index,
            end: writer.position,
        });
        writer.position = active.segment.header.end();
        writer.claim = writer.position;
        writer.summing = Summing::new(writer.position);
        writer.checkpointed = writer.position;
        writer.active = active;
        Ok(())
    }

    fn next_segment(&self, writer: &Writer) -> Result<Arc<Active>, LogError> {
        let number = writer.active.segment.header.number + 1;
        let path = self.directory.join(segment_name(number));
        let base = writer.ends.clone();
        let header = Header {
            topic: self.topic,
            number,
            salt: draw_salt(),
            base,
        };
        let storage = &*self.shared.storage;
        let make = || make_file(storage, &self.directory, number, 0);
        let made = match self.spare.take(number).map_or_else(make, Ok) {
            // Nothing of its head is there: whoever comes next may try again.
            Err(error) if !is_full(&error) => {
                return Err(LogError::Unavailable(format!(
                    "cannot make {}: {error}",
                    path.display()
                )));
            }
            made => made,
        };
        match made.and_then(|made| begin(&self.directory, made, header)) {
            Ok(active) => Ok(Arc::new(active)),
            Err(error) if is_full(&error) => {
                // A head that did get there would end the segment before it.
                unmake(storage, &path).map_err(|e| {
                    self.shared
                        .poison
                        .spread("undo the beginning of", &path, &e)
                })?;
                Err(LogError::Full(error.to_string()))
            }
            Err(error) => Err(self.shared.poison.spread("begin", &path, &error)),
        }
    }
}

/// Takes the traces of a segment that could not be begun away.
fn unmake(storage: &dyn Storage, path: &std::path::Path) -> io::Result<()> {
    match storage.open(path, false) {
        Ok(file) => file.set_length(0).and_then(|()| file.sync_data()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
