//! The segment that is written to, and the zeros ahead of its end.
//!
//! An fdatasync is cheapest over blocks that were written before. So a background thread writes
//! zeros ahead of the end. It claims a range first; the writer never writes into a range that is
//! being zeroed, it waits for the zeros, which happens only when it has outrun them.
//!
//! The kernel tells of pages that it could not write once per opening of the file. So records and
//! zeros are synced through openings of their own: what befell a record is never told to the keeper
//! alone, while the committer's fdatasync behind it is called a success.

use std::io;
use std::sync::Arc;

use infra_ports::log::LogError;
use parking_lot::{Condvar, Mutex};

use crate::poison::Poison;
use crate::segment::Segment;
use crate::storage::{StorageFile, write_zeros};

/// Bytes of a file that are zeroed at a time: about a millisecond's work for a disk.
const ZERO_PIECE_BYTES: u64 = 256 << 10;

struct Zeros {
    /// What is written or zeroed ends here.
    until: u64,
    /// More zeros were asked for. Stays so when they could not be written: the file then grows
    /// with each write.
    asked: bool,
    /// Zeros are being written from `until` on.
    busy: bool,
}

/// The segment that is written to.
pub(crate) struct Active {
    pub(crate) segment: Arc<Segment>,
    pub(crate) file: Arc<dyn StorageFile>,
    /// The same file, opened once more for zeros.
    ahead: Arc<dyn StorageFile>,
    /// Held by who syncs `file`, until everybody knows when that failed.
    syncing: Mutex<()>,
    zeros: Mutex<Zeros>,
    free: Condvar,
}

impl Active {
    /// A segment in whose file, opened once for records and once for zeros, everything after the end
    /// of the frames is zero up to `until`.
    pub(crate) fn new(
        segment: Arc<Segment>,
        [file, ahead]: [Arc<dyn StorageFile>; 2],
        until: u64,
    ) -> Self {
        let zeros = Mutex::new(Zeros {
            until,
            asked: false,
            busy: false,
        });
        Self {
            segment,
            file,
            ahead,
            syncing: Mutex::default(),
            zeros,
            free: Condvar::new(),
        }
    }

    /// Makes durable what was written before the call; a failure poisons.
    pub(crate) fn sync(&self, poison: &Poison) -> Result<(), LogError> {
        let _alone = self.syncing.lock();
        poison.check()?;
        let synced = self.file.sync_data();
        synced.map_err(|error| poison.spread("sync", &self.segment.path, &error))
    }

    /// Takes the room up to `end` for a write; returns up to where the file was zeroed before.
    pub(crate) fn take(&self, end: u64) -> u64 {
        let mut zeros = self.zeros.lock();
        while zeros.busy && end > zeros.until {
            self.free.wait(&mut zeros);
        }
        let before = zeros.until;
        zeros.until = before.max(end);
        before
    }

    /// Gives back what was taken for a write that failed and whose traces are gone.
    pub(crate) fn give_back(&self, until: u64) {
        self.zeros.lock().until = until;
    }

    /// Asks for zeros ahead of `end`; true when the keeper is to be asked for them.
    pub(crate) fn want_zeros(&self, end: u64, ahead: u64, most: u64) -> bool {
        let mut zeros = self.zeros.lock();
        let enough = zeros.until >= end.saturating_add(ahead / 2).min(most);
        if zeros.asked || enough {
            return false;
        }
        zeros.asked = true;
        true
    }

    /// Writes zeros up to `ahead` bytes beyond the last ones, at most up to `most`, a piece at a time:
    /// an fdatasync of the file has to wait for the piece that is being written.
    pub(crate) fn zero_ahead(&self, ahead: u64, most: u64) -> Result<(), ZeroError> {
        let to = self.zeros.lock().until.saturating_add(ahead).min(most);
        while self.zero_piece(to)? {}
        Ok(())
    }

    /// Writes the next piece of zeros; false when there are zeros up to `most`.
    fn zero_piece(&self, most: u64) -> Result<bool, ZeroError> {
        let mut zeros = self.zeros.lock();
        let from = zeros.until;
        let to = from.saturating_add(ZERO_PIECE_BYTES).min(most);
        if to <= from {
            zeros.asked = false;
            return Ok(false);
        }
        zeros.busy = true;
        drop(zeros);
        let outcome = self.put_zeros(from, to);
        let mut zeros = self.zeros.lock();
        zeros.busy = false;
        if outcome.is_ok() {
            zeros.until = to;
        }
        drop(zeros);
        self.free.notify_all();
        outcome.map(|()| true)
    }

    fn put_zeros(&self, from: u64, to: u64) -> Result<(), ZeroError> {
        let written = self.ahead.allocate(from, to - from);
        let written = written.and_then(|()| write_zeros(&*self.ahead, from, to));
        written.map_err(ZeroError::Write)?;
        self.ahead.sync_data().map_err(ZeroError::Sync)
    }
}

/// Why there are no zeros ahead.
pub(crate) enum ZeroError {
    /// They could not be written: the file grows with each write.
    Write(io::Error),
    /// They could not be synced; this may have been a record's failure.
    Sync(io::Error),
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, Ordering};

    use schemas::topics::Topic;

    use super::*;
    use crate::format::header::Header;

    /// A file that does nothing but what is to be done when room is made in it, and when it is synced.
    struct Doing<M, S>(M, S);

    impl<M, S> StorageFile for Doing<M, S>
    where
        M: Fn(u64, u64) -> io::Result<()> + Send + Sync,
        S: Fn() -> io::Result<()> + Send + Sync,
    {
        fn read_at(&self, _buffer: &mut [u8], _position: u64) -> io::Result<usize> {
            Ok(0)
        }
        fn write_at(&self, bytes: &[u8], _position: u64) -> io::Result<usize> {
            Ok(bytes.len())
        }
        fn sync_data(&self) -> io::Result<()> {
            self.1()
        }
        fn length(&self) -> io::Result<u64> {
            Ok(0)
        }
        fn set_length(&self, _length: u64) -> io::Result<()> {
            Ok(())
        }
        fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
            self.0(position, length)
        }
        fn try_lock(&self) -> io::Result<bool> {
            Ok(true)
        }
    }

    /// A segment of 1,000 bytes in a file that does this when room is made in it.
    fn active(allocate: impl Fn(u64, u64) -> io::Result<()> + Send + Sync + 'static) -> Active {
        active_in(Doing(allocate, || Ok(())))
    }

    /// The same in this file.
    fn active_in(file: impl StorageFile + 'static) -> Active {
        let header = Header {
            topic: Topic::Chats,
            number: 0,
            salt: 0,
            base: vec![0],
        };
        let segment = Arc::new(Segment::new(header, std::path::Path::new("/")));
        let file: Arc<dyn StorageFile> = Arc::new(file);
        Active::new(segment, [Arc::clone(&file), file], 1_000)
    }

    #[test]
    fn a_write_into_a_range_that_is_being_zeroed_waits_for_the_zeros() {
        let barriers = Arc::new((Barrier::new(2), Barrier::new(2)));
        let (begun, go_on) = (&barriers.0, &barriers.1);
        let inside = Arc::clone(&barriers);
        let active = active(move |_, _| {
            inside.0.wait();
            inside.1.wait();
            Ok(())
        });
        let taken = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(active.zero_ahead(500, 4000).is_ok()));
            begun.wait();
            assert_eq!(active.take(900), 1000, "before the range nobody waits");
            let writer = scope.spawn(|| {
                let before = active.take(1200);
                taken.store(true, Ordering::SeqCst);
                before
            });
            for _ in 0..20_000 {
                std::thread::yield_now();
                assert!(
                    !taken.load(Ordering::SeqCst),
                    "zeros would go over the write"
                );
            }
            go_on.wait();
            assert_eq!(writer.join().unwrap(), 1500);
        });
    }

    #[test]
    fn who_syncs_while_another_does_hears_of_that_one_s_failure() {
        let failing = Arc::new((AtomicBool::new(true), Barrier::new(2), Barrier::new(2)));
        let inside = Arc::clone(&failing);
        let active = active_in(Doing(
            |_, _| Ok(()),
            // As the kernel does: told once, then forgotten.
            move || match inside.0.swap(false, Ordering::SeqCst) {
                true => {
                    inside.1.wait();
                    inside.2.wait();
                    Err(io::Error::other("the disk did not take it"))
                }
                false => Ok(()),
            },
        ));
        let (poison, answered) = (Poison::default(), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let first = scope.spawn(|| active.sync(&poison));
            failing.1.wait();
            let second = scope.spawn(|| {
                let synced = active.sync(&poison);
                answered.store(true, Ordering::SeqCst);
                synced
            });
            for _ in 0..20_000 {
                std::thread::yield_now();
            }
            let early = answered.load(Ordering::SeqCst);
            failing.2.wait();
            assert!(!early, "it knows too little yet");
            for synced in [first.join().unwrap(), second.join().unwrap()] {
                assert!(matches!(synced, Err(LogError::Poisoned(_))), "{synced:?}");
            }
        });
    }

    /// Zeroes two and a half pieces ahead of 1,000, in a file with room for so many bytes; what was allocated, up to where there are zeros,
    /// and whether it went well.
    fn zeroed(room: u64) -> (Vec<(u64, u64)>, u64, bool) {
        let allocated = Arc::new(Mutex::new(Vec::new()));
        let book = Arc::clone(&allocated);
        let active = active(move |position, length| {
            if position + length > room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            book.lock().push((position, length));
            Ok(())
        });
        assert!(active.want_zeros(1_000, 5 * ZERO_PIECE_BYTES, u64::MAX));
        let well = active
            .zero_ahead(5 * ZERO_PIECE_BYTES / 2, u64::MAX)
            .is_ok();
        let again = active.want_zeros(1_000, u64::MAX, u64::MAX);
        assert_eq!(again, well, "after a failure no more are asked for");
        let allocated = allocated.lock().clone();
        (allocated, active.take(0), well)
    }

    #[test]
    fn zeros_over_several_pieces_are_written_piece_by_piece_up_to_their_end() {
        let (piece, half) = (ZERO_PIECE_BYTES, ZERO_PIECE_BYTES / 2);
        let pieces = vec![
            (1_000, piece),
            (1_000 + piece, piece),
            (1_000 + 2 * piece, half),
        ];
        let end = 1_000 + 2 * piece + half;
        assert_eq!(zeroed(u64::MAX), (pieces, end, true));
    }

    #[test]
    fn a_piece_of_zeros_that_fails_leaves_those_before_it() {
        let piece = ZERO_PIECE_BYTES;
        let first = vec![(1_000, piece)];
        assert_eq!(zeroed(1_000 + 2 * piece - 1), (first, 1_000 + piece, false));
    }
}
