//! A journal in one file of this process: short, so all of it is kept in memory as well.
//!
//! ```text
//!  "cursus journal 1\n"  entry  entry  …
//!  entry: │ CRC32C of the rest, 4 │ key's length, 2 │ value's length, 4 │ key │ value │
//! ```
//!
//! Numbers are little-endian. Each append is one write and one fdatasync, on a thread that may block;
//! who reads meanwhile does not wait for the disk. When the file is opened, an
//! entry that the file ends within is the trace of a crash: it is cut off, nobody was told that it
//! stands. Anything else that is wrong stops the start.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::journal::{Entry, Journal, JournalError, NewEntry};
use parking_lot::Mutex;

const HEAD: &[u8] = b"cursus journal 1\n";
/// Bytes before an entry's key.
const FRAME_BYTES: usize = 10;
/// The longest value.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// A journal in a file.
#[derive(Debug)]
pub struct FileJournal(Arc<State>);

/// Lock order: `file` before `entries`.
#[derive(Debug)]
struct State {
    path: PathBuf,
    /// None when what it holds is not known any more.
    file: Mutex<Option<File>>,
    /// What is durable.
    entries: Mutex<Vec<Entry>>,
}

impl FileJournal {
    /// Opens the journal of a file, which is made when there is none, and keeps it for this process.
    ///
    /// # Errors
    /// `Unavailable` when the file cannot be opened or another process has it, `Damaged` when it is
    /// no journal.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let failed = |error: std::io::Error| unavailable(path, &error);
        let folder = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path).map_err(failed)?;
        if file.try_lock().is_err() {
            let reason = format!("another process has {}", path.display());
            return Err(JournalError::Unavailable(reason));
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed)?;
        let (entries, end) = match HEAD.starts_with(&bytes) {
            true => (Vec::new(), 0),
            false => entries(&bytes).map_err(|reason| damaged(path, &reason))?,
        };
        if end < bytes.len() {
            let cut_bytes = bytes.len() - end;
            tracing::warn!(path = %path.display(), cut_bytes, "a torn end of a journal is cut off");
        }
        file.set_len(end as u64).map_err(failed)?;
        file.seek(SeekFrom::End(0)).map_err(failed)?;
        if end == 0 {
            file.write_all(HEAD).map_err(failed)?;
        }
        file.sync_all().map_err(failed)?;
        // The file's name is to outlast a power cut too, and that of a folder just made.
        for folder in folder.ancestors().take(2).filter(|f| f.is_dir()) {
            let synced = File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(failed)?;
        }
        Ok(Self(Arc::new(State {
            path: path.to_owned(),
            file: Mutex::new(Some(file)),
            entries: Mutex::new(entries),
        })))
    }
}

fn unavailable(path: &Path, error: &std::io::Error) -> JournalError {
    JournalError::Unavailable(format!("{}: {error}", path.display()))
}

fn damaged(path: &Path, reason: &str) -> JournalError {
    JournalError::Damaged(format!("{}: {reason}", path.display()))
}

/// What a file holds, and where what is whole of it ends.
fn entries(bytes: &[u8]) -> Result<(Vec<Entry>, usize), String> {
    let mut rest = bytes.strip_prefix(HEAD).ok_or("it is no journal")?;
    let mut entries = Vec::new();
    while let Some((entry, after)) = entry(rest, entries.len() as u64)? {
        entries.push(entry);
        rest = after;
    }
    Ok((entries, bytes.len() - rest.len()))
}

/// The first entry and what follows it; none when the bytes end before it does.
fn entry(bytes: &[u8], place: u64) -> Result<Option<(Entry, &[u8])>, String> {
    let Some((&[c0, c1, c2, c3, k0, k1, v0, v1, v2, v3], rest)) =
        bytes.split_first_chunk::<FRAME_BYTES>()
    else {
        return Ok(None);
    };
    let key_bytes = usize::from(u16::from_le_bytes([k0, k1]));
    let value_bytes = u32::from_le_bytes([v0, v1, v2, v3]) as usize;
    if value_bytes > MAX_VALUE_BYTES {
        return Err(format!("entry {place} claims {value_bytes} bytes"));
    }
    let Some((key, after)) = rest.split_at_checked(key_bytes) else {
        return Ok(None);
    };
    let Some((value, after)) = after.split_at_checked(value_bytes) else {
        return Ok(None);
    };
    let summed = crc32c::crc32c_append(0, bytes.get(4..FRAME_BYTES).unwrap_or_default());
    let summed = crc32c::crc32c_append(crc32c::crc32c_append(summed, key), value);
    if summed != u32::from_le_bytes([c0, c1, c2, c3]) {
        // The last of all may have been written in part; or its length only, over zeros.
        return match after.is_empty() || bytes.iter().all(|byte| *byte == 0) {
            true => Ok(None),
            false => Err(format!("entry {place} is not what was written")),
        };
    }
    let key = std::str::from_utf8(key).map_err(|_| format!("entry {place} has no key"))?;
    let entry = Entry {
        place,
        key: key.to_owned(),
        value: Bytes::copy_from_slice(value),
    };
    Ok(Some((entry, after)))
}

/// The bytes of an entry; none when it is too large for the format.
fn framed(new: &NewEntry) -> Option<Vec<u8>> {
    let key_bytes = u16::try_from(new.key.len()).ok()?;
    let value_bytes = u32::try_from(new.value.len()).ok()?;
    if new.value.len() > MAX_VALUE_BYTES {
        return None;
    }
    let rest = [
        &key_bytes.to_le_bytes()[..],
        &value_bytes.to_le_bytes(),
        new.key.as_bytes(),
        &new.value,
    ]
    .concat();
    let sum = crc32c::crc32c(&rest).to_le_bytes();
    Some([&sum[..], &rest].concat())
}

impl State {
    /// Writes entries, then shows them: on a thread that may block.
    fn append(&self, new: Vec<NewEntry>) -> Result<(), JournalError> {
        let Some(frames) = new.iter().map(framed).collect::<Option<Vec<_>>>() else {
            let reason = format!("an entry is over {MAX_VALUE_BYTES} bytes");
            return Err(JournalError::Unavailable(reason));
        };
        let mut slot = self.file.lock();
        let Some(file) = &mut *slot else {
            return Err(damaged(&self.path, "a write failed; open it again"));
        };
        let written = file.write_all(&frames.concat());
        if let Err(error) = written.and_then(|()| file.sync_data()) {
            *slot = None;
            return Err(unavailable(&self.path, &error));
        }
        let mut entries = self.entries.lock();
        for NewEntry { key, value } in new {
            let place = entries.len() as u64;
            entries.push(Entry { place, key, value });
        }
        Ok(())
    }
}

#[async_trait]
impl Journal for FileJournal {
    async fn append(&self, new: Vec<NewEntry>) -> Result<(), JournalError> {
        let state = Arc::clone(&self.0);
        let appended = tokio::task::spawn_blocking(move || state.append(new)).await;
        let lost = |_| damaged(&self.0.path, "a write was given up; open it again");
        appended.unwrap_or_else(|error| Err(lost(error)))
    }

    async fn read(&self, from: u64) -> Result<Vec<Entry>, JournalError> {
        let entries = self.0.entries.lock();
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        Ok(entries.iter().skip(from).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(key: &str) -> NewEntry {
        NewEntry {
            key: key.to_owned(),
            value: Bytes::from_static(b"value"),
        }
    }

    async fn keys(path: &Path) -> Vec<String> {
        let entries = FileJournal::open(path).unwrap().read(0).await.unwrap();
        entries.into_iter().map(|entry| entry.key).collect()
    }

    #[tokio::test]
    async fn journal_in_a_file_keeps_the_laws() {
        let folder = tempfile::tempdir().unwrap();
        let journal: Arc<dyn Journal> =
            Arc::new(FileJournal::open(&folder.path().join("a/journal")).unwrap());
        infra_ports::laws::journal::run(async || Arc::clone(&journal)).await;
    }

    #[tokio::test]
    async fn wherever_the_file_breaks_off_what_is_whole_before_stands() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = FileJournal::open(&path).unwrap();
        journal.append(vec![new("a"), new("b")]).await.unwrap();
        let two = std::fs::metadata(&path).unwrap().len();
        journal.append(vec![new("c")]).await.unwrap();
        drop(journal);
        let bytes = std::fs::read(&path).unwrap();
        for cut in usize::try_from(two).unwrap()..bytes.len() {
            std::fs::write(&path, &bytes[..cut]).unwrap();
            assert_eq!(keys(&path).await, ["a", "b"]);
        }
        let again = FileJournal::open(&path).unwrap();
        again.append(vec![new("d")]).await.unwrap();
        drop(again);
        assert_eq!(keys(&path).await, ["a", "b", "d"]);
        std::fs::write(&path, &HEAD[..5]).unwrap();
        assert!(keys(&path).await.is_empty());
    }

    #[tokio::test]
    async fn zeros_where_a_power_cut_kept_a_length_only_are_no_entries() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = FileJournal::open(&path).unwrap();
        journal.append(vec![new("a"), new("b")]).await.unwrap();
        drop(journal);
        let bytes = std::fs::read(&path).unwrap();
        for count in [1, 11, 600, 5_000] {
            std::fs::write(&path, [&bytes[..], &vec![0; count]].concat()).unwrap();
            assert_eq!(keys(&path).await, ["a", "b"], "{count}");
        }
        let again = FileJournal::open(&path).unwrap();
        again.append(vec![new("c")]).await.unwrap();
        drop(again);
        assert_eq!(keys(&path).await, ["a", "b", "c"]);
    }

    #[tokio::test]
    async fn damage_before_the_end_stops_the_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let journal = FileJournal::open(&path).unwrap();
        journal.append(vec![new("a"), new("b")]).await.unwrap();
        assert!(FileJournal::open(&path).is_err(), "one process at a time");
        drop(journal);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD.len() + FRAME_BYTES] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let refused = FileJournal::open(&path).unwrap_err();
        assert!(matches!(refused, JournalError::Damaged(_)), "{refused}");
        std::fs::write(&path, b"something else").unwrap();
        assert!(FileJournal::open(&path).is_err());
    }
}
