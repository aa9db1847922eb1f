//! The seam to the file system: the few calls that the log makes, so that tests can let them fail.
//!
//! Nothing else in this crate touches a file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory tree of files.
pub(crate) trait Storage: Send + Sync + 'static {
    /// Opens a file for reading and writing; with `create`, makes it when it is not there.
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn StorageFile>>;
    /// File names in a directory; none when it is not there.
    fn list(&self, directory: &Path) -> io::Result<Vec<String>>;
    /// Makes a directory and its parents durable.
    fn create_directory(&self, directory: &Path) -> io::Result<()>;
    /// Puts a file in another's place.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the names in a directory durable.
    fn sync_directory(&self, directory: &Path) -> io::Result<()>;
}

/// An open file. Every call names its place: there is no cursor.
pub(crate) trait StorageFile: Send + Sync {
    /// Reads at most so much; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;
    /// Writes at most so much.
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize>;
    /// fdatasync.
    fn sync_data(&self) -> io::Result<()>;
    /// The file's length.
    fn length(&self) -> io::Result<u64>;
    /// Cuts the file, or makes it longer with a hole.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Takes blocks for a range, making the file longer if need be; contents stay.
    fn allocate(&self, position: u64, length: u64) -> io::Result<()>;
    /// Locks the file against other openings, until it is closed; false when another has it.
    fn try_lock(&self) -> io::Result<bool>;
}

/// The real file system.
pub(crate) struct FileSystem;

impl Storage for FileSystem {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn StorageFile>> {
        let file = File::options()
            .read(true)
            .write(true)
            .create(create)
            .open(path)?;
        Ok(Arc::new(file))
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        if directory.is_dir() {
            return Ok(());
        }
        let parent = directory
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent {
            self.create_directory(parent)?;
        }
        match fs::create_dir(directory) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
        self.sync_directory(parent.unwrap_or(Path::new(".")))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        File::open(directory)?.sync_all()
    }
}

impl StorageFile for File {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, position)
    }

    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::write_at(self, bytes, position)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        match fallocate(self, FallocateFlags::empty(), position, length) {
            // Not every file system can; zeroing alone does it there.
            Err(rustix::io::Errno::OPNOTSUPP) | Ok(()) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn try_lock(&self) -> io::Result<bool> {
        match File::try_lock(self) {
            Ok(()) => Ok(true),
            Err(fs::TryLockError::WouldBlock) => Ok(false),
            Err(fs::TryLockError::Error(error)) => Err(error),
        }
    }
}

/// Reads until the buffer is full or the file ends; returns how much it was.
pub(crate) fn read_full(
    file: &dyn StorageFile,
    buffer: &mut [u8],
    position: u64,
) -> io::Result<usize> {
    let mut done = 0;
    while let Some((_, rest)) = buffer.split_at_mut_checked(done) {
        if rest.is_empty() {
            break;
        }
        match file.read_at(rest, position + widen(done)) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

/// Writes everything.
pub(crate) fn write_full(file: &dyn StorageFile, bytes: &[u8], position: u64) -> io::Result<()> {
    write_most(file, bytes, position).1
}

/// Writes everything, or says how much was written before it failed.
pub(crate) fn write_most(
    file: &dyn StorageFile,
    bytes: &[u8],
    position: u64,
) -> (usize, io::Result<()>) {
    let mut done = 0;
    while let Some((_, rest)) = bytes.split_at_checked(done) {
        if rest.is_empty() {
            break;
        }
        match file.write_at(rest, position + widen(done)) {
            Ok(0) => return (done, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (done, Err(error)),
        }
    }
    (done, Ok(()))
}

/// Writes zeros over a range.
pub(crate) fn write_zeros(file: &dyn StorageFile, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut position = from;
    while position < to {
        let count = narrow(to - position).min(ZEROS.len());
        let (zeros, _) = ZEROS.split_at(count);
        write_full(file, zeros, position)?;
        position += widen(count);
    }
    Ok(())
}

/// Writes a small file so that it is either there whole or not at all, whatever happens.
pub(crate) fn write_whole_file(
    storage: &dyn Storage,
    directory: &Path,
    name: &str,
    bytes: &[u8],
) -> io::Result<()> {
    let temporary: PathBuf = directory.join(format!("{name}.tmp"));
    let file = storage.open(&temporary, true)?;
    file.set_length(0)?;
    write_full(&*file, bytes, 0)?;
    file.sync_data()?;
    storage.rename(&temporary, &directory.join(name))?;
    storage.sync_directory(directory)
}

/// Whether an error says that there is no room.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

/// A length as a position.
pub(crate) fn widen(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

/// A position as a length; what does not fit is as long as can be.
pub(crate) fn narrow(length: u64) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
