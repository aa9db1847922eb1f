//! The store's directory: its lock against a second process, and its format.
//!
//! The format is written before the first table and never changed. Small files are renamed into
//! their places, so they are there whole or not at all; so is fjall's own directory: fjall (3.1.13)
//! does not open again what a kill left of a database half made.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::errors::OpenError;

/// The format that this build writes, and the newest it knows.
const FORMAT: u32 = 1;
const NAME: &str = "FORMAT";
const MAGIC: &str = "cursus-store ";

/// True when there is a store in a directory: to be asked by whoever must not make one.
#[must_use]
pub fn is_store(path: &Path) -> bool {
    path.join(NAME).is_file()
}

/// Keeps a store from being opened, and from being changed by who has it open, until it is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "held, not looked at")] Option<File>);

/// Holds the store of a directory; where there is none, nothing.
///
/// # Errors
/// When another process has it open.
pub fn hold(path: &Path) -> Result<Held, OpenError> {
    Ok(Held(match path.exists() {
        true => Some(lock(path)?),
        false => None,
    }))
}

/// A directory that belongs to this process until it is dropped.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Where the tables are.
    pub(crate) tables: PathBuf,
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes a directory; makes it when it is not there.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        fs::create_dir_all(path).map_err(|source| file(path, source))?;
        let lock = lock(path)?;
        let tables = path.join("tables");
        check_format(path, &tables)?;
        Ok(Self {
            tables,
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Has the place of the tables made, whole or not at all, when it is not there. What `make`
    /// returns is dropped first.
    pub(crate) fn make_tables<T>(
        &self,
        make: impl FnOnce(&Path) -> fjall::Result<T>,
    ) -> Result<(), OpenError> {
        if self.tables.exists() {
            return Ok(());
        }
        let new = self.path.join("tables.new");
        match fs::remove_dir_all(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(file(&new, error)),
            Ok(()) | Err(_) => {}
        }
        let made = make(&new).map(drop);
        made.map_err(|source| OpenError::Tables {
            path: self.path.clone(),
            source: Box::new(source),
        })?;
        let placed = fs::rename(&new, &self.tables).and_then(|()| sync(&self.path));
        placed.map_err(|source| file(&self.tables, source))
    }
}

/// Makes the names in a directory durable.
fn sync(directory: &Path) -> std::io::Result<()> {
    File::open(directory)?.sync_all()
}

fn file(path: &Path, source: std::io::Error) -> OpenError {
    OpenError::File {
        path: path.to_owned(),
        source,
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let place = path.join("LOCK");
    let options = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&place);
    let lock = options.map_err(|source| file(&place, source))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(file(&place, source)),
    }
}

fn check_format(path: &Path, tables: &Path) -> Result<(), OpenError> {
    let Some(text) = text(&path.join(NAME))? else {
        if tables.exists() {
            return Err(not_a_store(path, "it has tables but no FORMAT file"));
        }
        return replace(path, NAME, &format!("{MAGIC}{FORMAT}\n"))
            .map_err(|source| file(&path.join(NAME), source));
    };
    let number = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.trim_end().parse().ok());
    match number {
        Some(FORMAT) => Ok(()),
        Some(found) if found > FORMAT => Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: FORMAT,
        }),
        Some(_) | None => Err(not_a_store(path, "its FORMAT file is damaged")),
    }
}

pub(crate) fn not_a_store(path: &Path, reason: &'static str) -> OpenError {
    OpenError::NotAStore {
        path: path.to_owned(),
        reason,
    }
}

/// The text of a file; empty when it is none, nothing when there is no file.
pub(crate) fn text(place: &Path) -> Result<Option<String>, OpenError> {
    match fs::read_to_string(place) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(Some(String::new())),
        Err(source) => Err(file(place, source)),
    }
}

/// Writes a small file that is there whole, old or new, whenever the machine dies; durable when it
/// returns.
pub(crate) fn replace(path: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let new = path.join(format!("{name}.new"));
    let mut file = File::create(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path.join(name))?;
    sync(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_taken_once() {
        let dir = tempfile::tempdir().unwrap();
        let taken = Directory::take(dir.path()).unwrap();
        assert!(matches!(
            Directory::take(dir.path()),
            Err(OpenError::Locked(_))
        ));
        drop(taken);
        Directory::take(dir.path()).unwrap();
    }

    #[test]
    fn another_format_is_refused_with_the_reason() {
        let dir = tempfile::tempdir().unwrap();
        drop(Directory::take(dir.path()).unwrap());
        let place = dir.path().join("FORMAT");
        fs::write(&place, "cursus-store 2\n").unwrap();
        let newer = Directory::take(dir.path()).unwrap_err();
        assert!(
            matches!(
                newer,
                OpenError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{newer}"
        );
        for damaged in ["", "cursus-store 0", "cursus-store x", "something"] {
            fs::write(&place, damaged).unwrap();
            let error = Directory::take(dir.path()).unwrap_err();
            assert!(
                matches!(error, OpenError::NotAStore { .. }),
                "{damaged:?}: {error}"
            );
        }
        fs::write(&place, [0xFF, 0xFE]).unwrap();
        assert!(matches!(
            Directory::take(dir.path()),
            Err(OpenError::NotAStore { .. })
        ));
    }

    #[test]
    fn tables_half_made_by_who_was_killed_are_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let half = dir.path().join("tables.new");
        fs::create_dir(&half).unwrap();
        for name in ["lock", "0.jnl", "version"] {
            fs::write(half.join(name), "").unwrap();
        }
        let directory = Directory::take(dir.path()).unwrap();
        let database = |place: &Path| fjall::Database::builder(place).open();
        directory.make_tables(database).unwrap();
        assert!(!half.exists());
        database(&directory.tables).unwrap();
    }

    #[test]
    fn tables_that_could_not_be_made_are_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let directory = Directory::take(dir.path()).unwrap();
        let failed = directory.make_tables(|place| {
            fs::create_dir(place).unwrap();
            Err::<(), _>(fjall::Error::Io(ErrorKind::StorageFull.into()))
        });
        assert!(matches!(failed, Err(OpenError::Tables { .. })));
        assert!(!directory.tables.exists());
        directory
            .make_tables(|place| Ok(fs::create_dir(place)?))
            .unwrap();
        assert!(directory.tables.exists());
        directory
            .make_tables::<()>(|_| panic!("there they are"))
            .unwrap();
    }

    #[test]
    fn tables_without_a_format_are_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("tables")).unwrap();
        assert!(matches!(
            Directory::take(dir.path()),
            Err(OpenError::NotAStore { .. })
        ));
        assert!(!dir.path().join("FORMAT").exists());
    }
}
