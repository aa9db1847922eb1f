//! A disk in memory that forgets what was not synced when the power goes: contents by sectors, names
//! by directories. It can keep the state of one moment, to be taken for that of a crash. An fdatasync
//! that fails leaves its pages clean, as the kernel does: the next one does not write them. And as the
//! kernel does, it tells of that once per opening of the file.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::storage::{Storage, StorageFile};

const SECTOR: usize = 512;

#[derive(Clone, Default)]
struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// Sectors that the next fdatasync writes.
    dirty: BTreeSet<usize>,
    /// How often pages were not written.
    failures: u64,
}

#[derive(Clone, Default)]
struct State {
    directories: BTreeSet<PathBuf>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    contents: Vec<Content>,
    calls: u64,
    /// What the test has seen acknowledged.
    acknowledged: usize,
    sync_fails: bool,
    /// Bytes that may still be written, when they are bounded.
    room: Option<usize>,
}

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn coin(&mut self) -> bool {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 33 & 1 == 1
    }
}

/// The disk.
#[derive(Clone)]
pub(super) struct Disk {
    state: Arc<Mutex<State>>,
    kept: Arc<Mutex<Option<State>>>,
    keep_at: u64,
}

impl Disk {
    /// An empty disk that keeps its state before the given call.
    pub(super) fn new(keep_at: u64) -> Self {
        Self::of(State::default(), keep_at)
    }

    fn of(state: State, keep_at: u64) -> Self {
        let state = State {
            calls: 0,
            room: None,
            ..state
        };
        Self {
            state: Arc::new(Mutex::new(state)),
            kept: Arc::default(),
            keep_at,
        }
    }

    pub(super) fn acknowledge(&self, count: usize) {
        self.state.lock().acknowledged = count;
    }

    /// The next fdatasync fails.
    pub(super) fn fail_sync(&self) {
        self.state.lock().sync_fails = true;
    }

    /// Takes so many bytes more. When they are used up, what was written is written back.
    pub(super) fn leave_room(&self, bytes: usize) {
        self.state.lock().room = Some(bytes);
    }

    /// What a crash leaves that takes everything that was not synced.
    pub(super) fn forget(&self) -> Self {
        let mut state = self.state.lock().clone();
        state.names = state.durable_names.clone();
        for content in &mut state.contents {
            content.current = content.durable.clone();
            content.dirty.clear();
        }
        Self::of(state, u64::MAX)
    }

    /// What a crash at the kept moment leaves, or one now when that moment did not come; and what
    /// had been acknowledged by then.
    pub(super) fn crash(&self, seed: u64) -> (Self, usize) {
        let state = self
            .kept
            .lock()
            .take()
            .unwrap_or_else(|| self.state.lock().clone());
        let acknowledged = state.acknowledged;
        let mut dice = Dice(seed | 1);
        let mut left = State {
            directories: state.directories.clone(),
            ..State::default()
        };
        let names: BTreeSet<&PathBuf> = state
            .names
            .keys()
            .chain(state.durable_names.keys())
            .collect();
        for name in names {
            let (old, new) = (state.durable_names.get(name), state.names.get(name));
            let content = if dice.coin() { new } else { old };
            if let Some(content) = content {
                left.names.insert(name.clone(), *content);
            }
        }
        left.durable_names = left.names.clone();
        left.contents = state
            .contents
            .iter()
            .map(|content| content.after_crash(&mut dice))
            .collect();
        (Self::of(left, u64::MAX), acknowledged)
    }

    fn effect<R>(&self, effect: impl FnOnce(&mut State) -> R) -> R {
        let mut state = self.state.lock();
        if state.calls == self.keep_at {
            *self.kept.lock() = Some(state.clone());
        }
        state.calls += 1;
        effect(&mut state)
    }
}

impl Content {
    fn after_crash(&self, dice: &mut Dice) -> Self {
        let length = if dice.coin() {
            self.current.len()
        } else {
            self.durable.len()
        };
        let mut bytes = vec![0; length];
        // Some crashes lose everything that was not synced, or nothing of it.
        let (all, none) = (dice.coin() && dice.coin(), dice.coin() && dice.coin());
        for from in (0..length).step_by(SECTOR) {
            let to = (from + SECTOR).min(length);
            let source = if all || (!none && dice.coin()) {
                &self.current
            } else {
                &self.durable
            };
            let end = to.min(source.len());
            if from < end {
                bytes[from..end].copy_from_slice(&source[from..end]);
            }
        }
        Self {
            current: bytes.clone(),
            durable: bytes,
            ..Self::default()
        }
    }

    /// Writes what is dirty.
    fn write_back(&mut self) {
        self.durable.resize(self.current.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            let to = ((sector + 1) * SECTOR).min(self.current.len());
            let sector = (sector * SECTOR).min(to)..to;
            self.durable[sector.clone()].copy_from_slice(&self.current[sector]);
        }
    }
}

impl Storage for Disk {
    fn open(&self, path: &Path, create: bool) -> io::Result<Arc<dyn StorageFile>> {
        let content = self.effect(|state| {
            if let Some(content) = state.names.get(path) {
                return Some(*content);
            }
            create.then(|| {
                state.contents.push(Content::default());
                state
                    .names
                    .insert(path.to_owned(), state.contents.len() - 1);
                state.contents.len() - 1
            })
        });
        let content = content.ok_or(io::ErrorKind::NotFound)?;
        let failures = self.state.lock().contents[content].failures;
        Ok(Arc::new(DiskFile {
            disk: self.clone(),
            content,
            told: AtomicU64::new(failures),
        }))
    }
    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let name = |path: &PathBuf| {
            let inside = path.parent() == Some(directory);
            inside.then(|| path.file_name().unwrap().to_str().unwrap().to_owned())
        };
        let state = self.state.lock();
        Ok(state
            .directories
            .iter()
            .chain(state.names.keys())
            .filter_map(name)
            .collect())
    }
    fn create_directory(&self, directory: &Path) -> io::Result<()> {
        self.effect(|state| state.directories.insert(directory.to_owned()));
        Ok(())
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.effect(|state| {
            let content = state.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
            state.names.insert(to.to_owned(), content);
            Ok(())
        })
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        let removed = self.effect(|state| state.names.remove(path));
        removed
            .map(drop)
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        self.effect(|state| {
            state
                .durable_names
                .retain(|path, _| path.parent() != Some(directory));
            let inside = state
                .names
                .iter()
                .filter(|(path, _)| path.parent() == Some(directory));
            let inside: Vec<_> = inside
                .map(|(path, content)| (path.clone(), *content))
                .collect();
            state.durable_names.extend(inside);
        });
        Ok(())
    }
}

struct DiskFile {
    disk: Disk,
    content: usize,
    /// The failures that this opening was told of.
    told: AtomicU64,
}

impl DiskFile {
    fn effect<R>(&self, effect: impl FnOnce(&mut Content) -> R) -> R {
        self.disk
            .effect(|state| effect(&mut state.contents[self.content]))
    }

    /// What there is room for; zeros come over what was there before.
    fn what_fits<'a>(&self, bytes: &'a [u8]) -> io::Result<&'a [u8]> {
        let mut state = self.disk.state.lock();
        let Some(room) = &mut state.room else {
            return Ok(bytes);
        };
        if bytes.iter().all(|byte| *byte == 0) {
            return Ok(bytes);
        }
        if *room == 0 {
            state.contents[self.content].write_back();
            return Err(io::ErrorKind::StorageFull.into());
        }
        let (fits, _) = bytes.split_at(bytes.len().min(*room));
        *room -= fits.len();
        Ok(fits)
    }
}

impl StorageFile for DiskFile {
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let state = self.disk.state.lock();
        let bytes = &state.contents[self.content].current;
        let from = (position as usize).min(bytes.len());
        let count = buffer.len().min(bytes.len() - from);
        buffer[..count].copy_from_slice(&bytes[from..from + count]);
        Ok(count)
    }
    fn write_at(&self, bytes: &[u8], position: u64) -> io::Result<usize> {
        let bytes = self.what_fits(bytes)?;
        self.effect(|content| {
            let (from, to) = (position as usize, position as usize + bytes.len());
            if content.current.len() < to {
                content.current.resize(to, 0);
            }
            content.current[from..to].copy_from_slice(bytes);
            content
                .dirty
                .extend(from / SECTOR..=to.saturating_sub(1) / SECTOR);
        });
        Ok(bytes.len())
    }
    fn sync_data(&self) -> io::Result<()> {
        self.disk.effect(|state| {
            let content = &mut state.contents[self.content];
            if std::mem::take(&mut state.sync_fails) {
                content.dirty.clear();
                content.failures += 1;
            }
            content.write_back();
            let failures = content.failures;
            match self.told.swap(failures, Ordering::Relaxed) < failures {
                true => Err(io::Error::other("the disk did not take it")),
                false => Ok(()),
            }
        })
    }
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.state.lock().contents[self.content].current.len() as u64)
    }
    fn set_length(&self, length: u64) -> io::Result<()> {
        self.effect(|content| content.current.resize(length as usize, 0));
        Ok(())
    }
    fn allocate(&self, position: u64, length: u64) -> io::Result<()> {
        let end = (position + length) as usize;
        self.effect(|content| {
            if content.current.len() < end {
                content.current.resize(end, 0);
            }
        });
        Ok(())
    }
    fn try_lock(&self) -> io::Result<bool> {
        Ok(true)
    }
}
