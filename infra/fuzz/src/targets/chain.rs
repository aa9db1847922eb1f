//! Segment files of the embedded log, made, spoilt and opened: what `recovery` and `segments` share.
//!
//! The format is read here a second time, from its page (`docs/embedded-log.md`) and not from the
//! log's own code, so that the two are held against each other.

use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use infra_log_embedded::{Config, EmbeddedLog, OpenError};
use infra_ports::log::{EventLog, LogError, NewRecord, Visibility};
use schemas::position::{Offset, Partition, Timestamp};
use schemas::topics::Topic;
use tempfile::TempDir;

/// Partitions of these logs.
pub(super) const PARTITIONS: u32 = 2;
/// Where frames begin: preamble, count, name, number, salt, a base a partition, CRC.
pub(super) const HEAD_BYTES: usize = 20 + 4 + 16 + 8 + 8 + 8 * PARTITIONS as usize + 4;
/// A segment's salt is drawn by chance; here a log always has the same, so that a case is the same
/// log in every run.
const SALT_AT: usize = 48;
const FRAME_HEAD_BYTES: usize = 41;
/// The topic that is spoilt.
const TOPIC: Topic = Topic::Chats;
/// Opening a log has buffers of its own size, whatever the file.
pub(super) const OPEN_BYTES: u64 = 16 << 20;

/// A log as files: those before, and the last one, which is spoilt.
pub(super) struct Chain {
    root: Vec<u8>,
    before: Vec<(String, Vec<u8>)>,
    last: String,
    /// The bytes of the last file, up to its last byte that is not zero.
    pub(super) image: Vec<u8>,
    /// The values of each partition in the files before.
    earlier: Vec<Vec<Bytes>>,
}

/// One record where it stands in an image.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Where its batch ends.
    pub(super) batch_end: usize,
    pub(super) partition: usize,
    pub(super) value: Bytes,
}

fn settings(directory: PathBuf) -> Config {
    Config {
        directory,
        partitions: PARTITIONS,
        segment_bytes: 4096,
        zero_ahead_bytes: 0,
        memory_bytes: 0,
        index_every_bytes: 128,
        ..Config::default()
    }
}

fn folder() -> TempDir {
    let fast = Path::new("/dev/shm");
    let made = match fast.is_dir() {
        true => TempDir::new_in(fast),
        false => TempDir::new(),
    };
    made.expect("a folder for files")
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .expect("a runtime");
    let within = Duration::from_secs(20);
    let ended = runtime.block_on(async { tokio::time::timeout(within, future).await });
    ended.expect("the log answers")
}

impl Chain {
    /// A log of so many batches, of one, two or three records in turn; their number is its salt.
    pub(super) fn written(batches: u32) -> Self {
        let home = folder();
        let log = EmbeddedLog::open(settings(home.path().join("log"))).expect("a new log");
        run(async {
            log.create_topics(&[TOPIC]).await?;
            for batch in 0..batches {
                let record = |n: u32| NewRecord {
                    key: Bytes::from_static(b"key"),
                    value: Bytes::from(format!("{batch}.{n}").repeat(1 + batch as usize % 9)),
                    at: Timestamp(1_790_000_000_000),
                };
                let records = (0..=batch % 3).map(record).collect();
                let partition = Partition(batch % PARTITIONS);
                log.append(TOPIC, partition, records).await?;
            }
            log.close().await
        })
        .expect("a new log takes records");
        drop(log);
        Self::read(&home.path().join("log"), u64::from(batches))
    }

    fn read(directory: &Path, salt: u64) -> Self {
        let topic = directory.join(TOPIC.name());
        let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(topic)
            .expect("the topic's folder")
            .flatten()
            .filter(|file| file.path().extension().is_some_and(|e| e == "segment"))
            .map(|file| {
                let mut bytes = std::fs::read(file.path()).expect("a segment");
                put(&mut bytes, SALT_AT, &salt.to_le_bytes());
                let name = file.file_name().to_string_lossy().into_owned();
                (name, resealed(bytes))
            })
            .filter(|(_, bytes)| bytes.starts_with(b"CURSUSLG"))
            .collect();
        files.sort();
        let (last, mut image) = files.pop().expect("at least one segment");
        image.truncate(
            image
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |n| n + 1),
        );
        let mut earlier = vec![Vec::new(); PARTITIONS as usize];
        for standing in files.iter().flat_map(|(_, bytes)| standing(bytes)) {
            if let Some(values) = earlier.get_mut(standing.partition) {
                values.push(standing.value);
            }
        }
        Self {
            root: std::fs::read(directory.join("log")).expect("the root file"),
            before: files,
            last,
            image,
            earlier,
        }
    }

    /// Whether these bytes say that they are of this log.
    pub(super) fn claims(&self, image: &[u8]) -> bool {
        let salt = SALT_AT..SALT_AT + 8;
        image.get(salt.clone()) == self.image.get(salt)
    }

    /// Opens the log with these bytes as its last segment, and reads what it has: the values of
    /// each partition, up to the first that cannot be read.
    pub(super) fn open(&self, image: &[u8]) -> Result<Vec<Vec<Bytes>>, OpenError> {
        let home = folder();
        let directory = home.path().join("log");
        let topic = directory.join(TOPIC.name());
        std::fs::create_dir_all(&topic).expect("a folder for files");
        std::fs::write(directory.join("log"), &self.root).expect("room for a file");
        for (name, bytes) in &self.before {
            std::fs::write(topic.join(name), bytes).expect("room for a file");
        }
        std::fs::write(topic.join(&self.last), image).expect("room for a file");
        let log = EmbeddedLog::open(settings(directory))?;
        let read = run(async {
            log.create_topics(&[TOPIC]).await?;
            let mut all = Vec::new();
            for partition in 0..PARTITIONS {
                all.push(values(&log, Partition(partition)).await);
            }
            log.close().await?;
            Ok::<_, LogError>(all)
        });
        Ok(read.expect("an open log closes"))
    }

    /// The values that each partition must at least and may at most have, when the bytes up to
    /// `same` are what was written.
    pub(super) fn bounds(&self, same: usize) -> (Vec<usize>, Vec<Vec<Bytes>>) {
        let mut least: Vec<usize> = self.earlier.iter().map(Vec::len).collect();
        let mut most = self.earlier.clone();
        for standing in standing(&self.image) {
            if let (Some(least), true) = (
                least.get_mut(standing.partition),
                standing.batch_end <= same,
            ) {
                *least += 1;
            }
            if let Some(most) = most.get_mut(standing.partition) {
                most.push(standing.value);
            }
        }
        (least, most)
    }
}

async fn values(log: &EmbeddedLog, partition: Partition) -> Vec<Bytes> {
    let mut values = Vec::new();
    loop {
        let from = Offset(values.len() as u64);
        let read = log.read(TOPIC, partition, from, 100, Visibility::Durable);
        match read.await {
            Ok(records) if records.is_empty() => return values,
            Ok(records) => values.extend(records.into_iter().map(|record| record.value)),
            Err(_) => return values,
        }
    }
}

fn number(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..)?.first_chunk::<4>()?;
    usize::try_from(u32::from_le_bytes(*field)).ok()
}

/// The frame at a place, by its own lengths: where it ends, and whether its batch goes on.
fn frame_end(bytes: &[u8], at: usize) -> Option<(usize, bool)> {
    let body = number(bytes, at + 8)?.checked_add(number(bytes, at + 12)?)?;
    let end = at.checked_add(FRAME_HEAD_BYTES + 1)?.checked_add(body)?;
    let flag = *bytes.get(at + FRAME_HEAD_BYTES - 1)?;
    (flag & 0x80 != 0 && end <= bytes.len()).then_some((end, flag & 1 == 1))
}

/// The records of a sound image.
pub(super) fn standing(bytes: &[u8]) -> Vec<Standing> {
    let (mut all, mut begun, mut at) = (Vec::<Standing>::new(), 0, HEAD_BYTES);
    while let Some((end, more)) = frame_end(bytes, at) {
        let first = at + FRAME_HEAD_BYTES + number(bytes, at + 8).unwrap_or_default();
        let value = bytes.get(first..end - 1).unwrap_or_default();
        all.push(Standing {
            batch_end: end,
            partition: number(bytes, at + 16).unwrap_or_default(),
            value: Bytes::copy_from_slice(value),
        });
        if !more {
            let batch = all.iter_mut().skip(begun);
            batch.for_each(|standing| standing.batch_end = end);
            begun = all.len();
        }
        at = end;
    }
    all
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    let places = bytes.iter_mut().skip(at);
    places.zip(field).for_each(|(to, from)| *to = *from);
}

fn crc(seed: u32, bytes: Option<&[u8]>) -> [u8; 4] {
    crc32c::crc32c_append(seed, bytes.unwrap_or_default()).to_le_bytes()
}

/// The same image with its first partition's offsets going on from another base.
pub(super) fn with_base(mut bytes: Vec<u8>, base: u64) -> Vec<u8> {
    put(&mut bytes, 56, &base.to_le_bytes());
    bytes
}

/// Gives every frame the offset that is due there, going on from the bases in the head.
pub(super) fn rechained(mut bytes: Vec<u8>) -> Vec<u8> {
    let base = |n: usize| bytes.get(56 + 8 * n..)?.first_chunk::<8>().copied();
    let mut ends: Vec<u64> = (0..PARTITIONS as usize)
        .map(|n| base(n).map_or(0, u64::from_le_bytes))
        .collect();
    let (mut at, mut open) = (HEAD_BYTES, 0_u64);
    while let Some((end, more)) = frame_end(&bytes, at) {
        let place = number(&bytes, at + 16).unwrap_or_default() % ends.len();
        if let Some(next) = ends.get_mut(place) {
            put(&mut bytes, at + 24, &next.wrapping_add(open).to_le_bytes());
            open += 1;
            if !more {
                *next = next.wrapping_add(open);
                open = 0;
            }
        }
        at = end;
    }
    bytes
}

/// Makes every checksum right again, as somebody would who knows the format: what stands behind
/// the checksums is reached.
pub(super) fn resealed(mut bytes: Vec<u8>) -> Vec<u8> {
    if bytes.len() < HEAD_BYTES {
        return bytes;
    }
    let preamble = crc(0, bytes.get(..16));
    put(&mut bytes, 16, &preamble);
    let head = crc(0, bytes.get(..HEAD_BYTES - 4));
    put(&mut bytes, HEAD_BYTES - 4, &head);
    let seed = crc32c::crc32c(bytes.get(48..56).unwrap_or_default());
    let seed = crc32c::crc32c_append(seed, bytes.get(40..48).unwrap_or_default());
    let mut at = HEAD_BYTES;
    while let Some((end, _)) = frame_end(&bytes, at) {
        put(&mut bytes, end - 1, &[0x5A]);
        let body = crc(seed, bytes.get(at + FRAME_HEAD_BYTES..end));
        put(&mut bytes, at + 4, &body);
        let head = crc(seed, bytes.get(at + 4..at + FRAME_HEAD_BYTES));
        put(&mut bytes, at, &head);
        at = end;
    }
    bytes
}
