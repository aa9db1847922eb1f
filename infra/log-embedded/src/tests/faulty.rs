//! A file system that fails when told to, and counts what is read. It syncs nothing: in these tests no
//! power goes (it does in [`super::disk`]), and waiting for the disk would be most of their time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::storage::{FileSystem, Storage, StorageFile};

/// What goes wrong, and what was read.
pub(super) struct Switches {
    /// Every fdatasync fails.
    pub(super) sync_fails: AtomicBool,
    /// The next fdatasync says that there is no room.
    pub(super) sync_is_full: AtomicBool,
    /// Every write fails as a broken disk does.
    pub(super) write_fails: AtomicBool,
    /// Bytes that may still be written, to any file.
    pub(super) room: AtomicU64,
    /// Bytes that may be written before every write fails as a broken disk does.
    pub(super) until_broken: AtomicU64,
    /// There is no room for zeros over what was written before, either.
    pub(super) zeros_need_room: AtomicBool,
    /// No file can be opened.
    pub(super) open_fails: AtomicBool,
    /// No file can be removed.
    pub(super) remove_fails: AtomicBool,
    /// Writes and reads take at most so many bytes at a time.
    pub(super) most: AtomicU64,
    /// Bytes read from segment files.
    pub(super) read: AtomicU64,
}

impl Switches {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            sync_fails: AtomicBool::new(false),
            sync_is_full: AtomicBool::new(false),
            write_fails: AtomicBool::new(false),
            room: AtomicU64::new(u64::MAX),
            until_broken: AtomicU64::new(u64::MAX),
            zeros_need_room: AtomicBool::new(false),
            open_fails: AtomicBool::new(false),
            remove_fails: AtomicBool::new(false),
            most: AtomicU64::new(u64::MAX),
            read: AtomicU64::new(0),
        })
    }
}

/// The real file system behind switches.
pub(super) struct Faulty(pub(super) Arc<Switches>);

struct FaultyFile {
    file: Arc<dyn StorageFile>,
    path: PathBuf,
    switches: Arc<Switches>,
}

impl Storage for Faulty {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn StorageFile>> {
        if self.0.open_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("too many open files"));
        }
        let file = FileSystem.open(path, create)?;
        let switches = Arc::clone(&self.0);
        Ok(Arc::new(FaultyFile {
            file,
            path: path.to_owned(),
            switches,
        }))
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        FileSystem.list(directory)
    }
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        std::fs::create_dir_all(directory)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        FileSystem.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        if self.0.remove_fails.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        FileSystem.remove(path)
    }
    fn sync_directory(&self, _directory: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl FaultyFile {
    /// Zeros over what was written before take no room, unless a copy shares it.
    fn needs_room(&self, bytes: &[u8], position: u64) -> io::Result<bool> {
        if self.switches.zeros_need_room.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let zeros = bytes.iter().all(|byte| *byte == 0);
        Ok(!zeros || position + bytes.len() as u64 > self.file.length()?)
    }
}

impl StorageFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let most = self
            .switches
            .most
            .load(Ordering::Relaxed)
            .min(buffer.len() as u64) as usize;
        let count = self.file.read_at(&mut buffer[..most], position)?;
        if self
            .path
            .extension()
            .is_some_and(|extension| extension == "segment")
        {
            self.switches
                .read
                .fetch_add(count as u64, Ordering::Relaxed);
        }
        Ok(count)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        if self.switches.write_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk is broken"));
        }
        let mut most = self
            .switches
            .most
            .load(Ordering::Relaxed)
            .min(bytes.len() as u64);
        let until_broken = self.switches.until_broken.load(Ordering::Relaxed);
        if until_broken == 0 {
            return Err(io::Error::other("the disk is broken"));
        }
        if until_broken < u64::MAX {
            most = most.min(until_broken);
            let left = until_broken - most;
            self.switches.until_broken.store(left, Ordering::Relaxed);
        }
        if self.needs_room(bytes, position)? {
            let room = self.switches.room.load(Ordering::Relaxed);
            if room == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            most = most.min(room);
            self.switches.room.fetch_sub(most, Ordering::Relaxed);
        }
        self.file.write_at(&bytes[..most as usize], position)
    }
    fn sync_data(&self) -> io::Result<()> {
        if self.switches.sync_is_full.swap(false, Ordering::Relaxed) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.switches.sync_fails.load(Ordering::Relaxed) {
            return Err(io::Error::other("the disk did not take it"));
        }
        Ok(())
    }
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.file.set_length(length)
    }
    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        if self.switches.room.load(Ordering::Relaxed) < length {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.file.allocate(position, length)
    }
    fn try_lock(&self) -> io::Result<bool> {
        self.file.try_lock()
    }
}
