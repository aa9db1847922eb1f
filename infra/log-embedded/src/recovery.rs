//! Opening a topic: what stands there, where it ends, and what a crash left of the last write.
//!
//! Of sealed segments only the heads are read. The last segment is read from its last checkpoint on,
//! or whole: its frames are checked one after the other up to the first place where none stands. What
//! follows that place decides what it is: zeros (the end), the rest of a write that never became durable (a torn end:
//! cut and reported), or damage (the open stops and names the place). See [`crate::tear`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use schemas::topics::Topic;

use crate::active::Active;
use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::errors::OpenError;
use crate::format::frame::FrameHead;
use crate::format::header::{Header, HeaderError};
use crate::format::sums::Summing;
use crate::frames::{Found, FrameReader};
use crate::index::SparseIndex;
use crate::sealed::sum_up;
use crate::segment::{Segment, segment_name, segment_number};
use crate::spare::{begin, draw_salt, make_file};
use crate::storage::{Storage, StorageFile, narrow, read_full, widen, write_full, write_zeros};
use crate::tear;

/// Bytes read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// The highest offset that a segment may begin with: with more records than fit into one, all are
/// still longs, as events have them.
const MAX_BASE: u64 = i64::MAX.cast_unsigned() - u32::MAX as u64;

/// What was cut off the end of a topic: a write that a crash interrupted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The segment.
    pub file: PathBuf,
    /// Where it ends now.
    pub position: u64,
    /// Bytes that stood after that.
    pub bytes: u64,
}

/// What opening a topic came upon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRecovery {
    /// Which topic.
    pub topic: Topic,
    /// Its segments.
    pub segments: usize,
    /// Records in the last segment, which are those that were read.
    pub records_scanned: u64,
    /// The torn end, if there was one.
    pub cut: Option<Cut>,
}

/// A topic as it stands after opening.
pub(crate) struct Recovered {
    pub(crate) segments: Vec<Arc<Segment>>,
    pub(crate) active: Arc<Active>,
    pub(crate) index: SparseIndex,
    pub(crate) position: u64,
    pub(crate) ends: Vec<u64>,
    pub(crate) summing: Summing,
    pub(crate) checkpointed: u64,
    pub(crate) report: TopicRecovery,
}

/// Opens a topic's directory, or makes it.
pub(crate) fn recover(
    storage: &dyn Storage,
    config: &Config,
    directory: &Path,
    topic: Topic,
) -> Result<Recovered, OpenError> {
    storage
        .create_directory(directory)
        .map_err(OpenError::io("create", directory))?;
    let mut segments = find_segments(storage, config, directory, topic)?;
    let Some(last) = segments.pop() else {
        return create(storage, config, directory, topic);
    };
    let open = || storage.open(&last.path, false);
    let opened = open().and_then(|file| Ok((file, open()?)));
    let (file, ahead) = opened.map_err(OpenError::io("open", &last.path))?;
    let every = config.index_every_bytes;
    let known = Checkpoint::load(storage, directory, &last.header, &*file, every);
    let known = known.unwrap_or_else(|| Checkpoint::start(&last.header, every));
    let checkpointed = known.place.position;
    let mut scan = Scan::new(&last, &file, known);
    let trouble = scan.run()?;
    let cut = scan.settle(trouble)?;
    let summing = sum_up(
        &*file,
        scan.index.sums_mut(),
        scan.reader.summed(),
        scan.good,
    )
    .map_err(OpenError::io("read", &last.path))?;
    let head = last.header.end();
    let rewritten = rewrite(&*file, 0, head)
        .and_then(|()| rewrite(&*file, scan.claim.min(scan.good).max(head), scan.good))
        .and_then(|()| file.sync_data());
    rewritten.map_err(OpenError::io("sync", &last.path))?;
    let length = file
        .length()
        .map_err(OpenError::io("measure", &last.path))?;
    let Scan {
        good,
        index,
        ends,
        records,
        ..
    } = scan;
    let until = length.max(good);
    let active = Arc::new(Active::new(Arc::clone(&last), [file, ahead], until));
    segments.push(last);
    if let Some(cut) = &cut {
        tracing::warn!(%topic, file = %cut.file.display(), position = cut.position,
            bytes = cut.bytes, "a write that a crash interrupted was cut off");
    }
    let report = TopicRecovery {
        topic,
        segments: segments.len(),
        records_scanned: records,
        cut,
    };
    Ok(Recovered {
        segments,
        active,
        index,
        position: good,
        ends,
        summing,
        checkpointed,
        report,
    })
}

/// A topic's first segment.
fn create(
    storage: &dyn Storage,
    config: &Config,
    directory: &Path,
    topic: Topic,
) -> Result<Recovered, OpenError> {
    let ends = vec![0; narrow(u64::from(config.partitions))];
    let header = Header {
        topic,
        number: 0,
        salt: draw_salt(),
        base: ends.clone(),
    };
    let active = make_file(storage, directory, 0, 0)
        .and_then(|made| begin(directory, made, header))
        .map_err(OpenError::io("begin", &directory.join(segment_name(0))))?;
    let index = SparseIndex::new(&active.segment.header, config.index_every_bytes);
    let position = active.segment.header.end();
    let report = TopicRecovery {
        topic,
        segments: 1,
        records_scanned: 0,
        cut: None,
    };
    let segments = vec![Arc::clone(&active.segment)];
    Ok(Recovered {
        segments,
        active: Arc::new(active),
        index,
        position,
        ends,
        summing: Summing::new(position),
        checkpointed: position,
        report,
    })
}

/// The segments by their heads. The file of a segment that was never begun is removed.
fn find_segments(
    storage: &dyn Storage,
    config: &Config,
    directory: &Path,
    topic: Topic,
) -> Result<Vec<Arc<Segment>>, OpenError> {
    let names = storage
        .list(directory)
        .map_err(OpenError::io("list", directory))?;
    let mut numbers: Vec<u64> = names
        .iter()
        .filter_map(|name| segment_number(name))
        .collect();
    numbers.sort_unstable();
    sweep(storage, directory, &names, &numbers)?;
    let newest = numbers.last().copied();
    let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(numbers.len());
    for number in numbers {
        let path = directory.join(segment_name(number));
        let file = storage
            .open(&path, false)
            .map_err(OpenError::io("open", &path))?;
        let header = match read_header(&*file, &path, config, topic) {
            Ok(header) => header,
            Err(OpenError::Damaged { .. })
                if Some(number) == newest
                    && never_begun(&*file, &path, config, number, segments.len())? =>
            {
                storage
                    .remove(&path)
                    .map_err(OpenError::io("remove", &path))?;
                storage
                    .sync_directory(directory)
                    .map_err(OpenError::io("sync", directory))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        check_place(&header, number, segments.last(), &path)?;
        segments.push(Arc::new(Segment::new(header, directory)));
    }
    Ok(segments)
}

/// Removes what a crash may have left: files that were not finished, indexes without a segment.
fn sweep(
    storage: &dyn Storage,
    directory: &Path,
    names: &[String],
    numbers: &[u64],
) -> Result<(), OpenError> {
    for name in names {
        let index_of = name
            .strip_suffix(".index")
            .and_then(|number| number.parse::<u64>().ok());
        let is_orphan = index_of.is_some_and(|number| numbers.binary_search(&number).is_err());
        if is_orphan || name.ends_with(".tmp") {
            let path = directory.join(name);
            storage
                .remove(&path)
                .map_err(OpenError::io("remove", &path))?;
        }
    }
    Ok(())
}

fn read_header(
    file: &dyn StorageFile,
    path: &Path,
    config: &Config,
    topic: Topic,
) -> Result<Header, OpenError> {
    let length = Header::length(narrow(u64::from(config.partitions)));
    let mut bytes = vec![0; narrow(length)];
    let count = read_full(file, &mut bytes, 0).map_err(OpenError::io("read", path))?;
    bytes.truncate(count);
    let header = Header::decode(&bytes, topic).map_err(|error| match error {
        HeaderError::Newer(found) => OpenError::Newer {
            file: path.to_owned(),
            found,
            known: crate::format::FORMAT,
        },
        HeaderError::Damaged(reason) => OpenError::damaged(path, 0, reason),
    })?;
    if header.end() != length {
        return Err(OpenError::damaged(
            path,
            20,
            "the segment has another partition count",
        ));
    }
    Ok(header)
}

/// Whether a file without a head is one that was made ready and never begun: frames are written
/// only after the head is durable. The first file of a topic must have nothing before it.
fn never_begun(
    file: &dyn StorageFile,
    path: &Path,
    config: &Config,
    number: u64,
    before: usize,
) -> Result<bool, OpenError> {
    let head_end = Header::length(narrow(u64::from(config.partitions)));
    let end = tear::last_nonzero(file, head_end).map_err(OpenError::io("read", path))?;
    Ok(end.is_none() && (number == 0 || before > 0))
}

fn check_place(
    header: &Header,
    number: u64,
    before: Option<&Arc<Segment>>,
    path: &Path,
) -> Result<(), OpenError> {
    if header.number != number {
        return Err(OpenError::damaged(
            path,
            40,
            format!("the head is of segment {}", header.number),
        ));
    }
    if header.base.iter().any(|base| *base > MAX_BASE) {
        let reason = "offsets begin where there is no room for any";
        return Err(OpenError::damaged(path, 56, reason));
    }
    let Some(before) = before else { return Ok(()) };
    if before.header.number + 1 != number {
        let missing = before.header.number + 1;
        return Err(OpenError::damaged(
            path,
            0,
            format!("segment {missing} is missing before it"),
        ));
    }
    let falls = before
        .header
        .base
        .iter()
        .zip(&header.base)
        .any(|(a, b)| a > b);
    if falls {
        return Err(OpenError::damaged(
            path,
            56,
            "offsets fall from one segment to the next",
        ));
    }
    Ok(())
}

/// Writes a range again: what an earlier run wrote and could not sync is on its pages, but the kernel
/// may take those for clean.
fn rewrite(file: &dyn StorageFile, from: u64, to: u64) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES.min(narrow(to - from))];
    let mut position = from;
    while position < to {
        let most = narrow(to - position).min(piece.len());
        let (part, _) = piece.split_at_mut(most);
        let count = read_full(file, part, position)?;
        if count == 0 {
            break;
        }
        let (part, _) = part.split_at(count);
        write_full(file, part, position)?;
        position += widen(count);
    }
    Ok(())
}

/// Where a scan stopped.
enum Trouble {
    /// Nothing was ever written there.
    End,
    /// Something that is no frame.
    NoFrame,
    /// A frame that says how long it is, but whose body is another.
    NoBody(usize),
}

/// The walk through the frames of the last segment.
struct Scan<'a> {
    segment: &'a Segment,
    file: &'a Arc<dyn StorageFile>,
    reader: FrameReader,
    /// Where the walk is.
    position: u64,
    /// End of the last whole batch.
    good: u64,
    claim: u64,
    ends: Vec<u64>,
    index: SparseIndex,
    records: u64,
    /// Frames of the batch that has not ended: partition, offset, position, time.
    open: Vec<(u32, u64, u64, i64)>,
}

impl<'a> Scan<'a> {
    /// Of what comes after what is known.
    fn new(segment: &'a Segment, file: &'a Arc<dyn StorageFile>, known: Checkpoint) -> Self {
        let Checkpoint { place, index } = known;
        let start = place.position;
        let reader = FrameReader::new(Arc::clone(file), segment, PIECE_BYTES);
        Self {
            segment,
            file,
            reader: reader.summing(place.summing),
            position: start,
            good: start,
            claim: start,
            ends: place.ends,
            index,
            records: 0,
            open: Vec::new(),
        }
    }

    /// Walks to the first place where no frame stands.
    fn run(&mut self) -> Result<Trouble, OpenError> {
        loop {
            let found = self.reader.at(self.position, u64::MAX);
            match found.map_err(OpenError::io("read", &self.segment.path))? {
                Found::Frame(head) => self.step(head)?,
                Found::Nothing => return Ok(Trouble::End),
                Found::BadHead => return Ok(Trouble::NoFrame),
                Found::BadBody(head) => return Ok(Trouble::NoBody(head.frame_length())),
            }
        }
    }

    /// Takes a frame: it is whole, so it must also be the right one.
    fn step(&mut self, head: FrameHead) -> Result<(), OpenError> {
        let place = narrow(u64::from(head.partition));
        let expected = self.ends.get(place).map(|end| end + widen(self.open.len()));
        let of_this_batch = self
            .open
            .first()
            .is_none_or(|open| open.0 == head.partition);
        if expected != Some(head.offset) || !of_this_batch || u64::from(head.claim) > self.position
        {
            let reason = format!(
                "a record {}/{} stands where {expected:?} was expected",
                head.partition, head.offset
            );
            return Err(OpenError::damaged(
                &self.segment.path,
                self.position,
                reason,
            ));
        }
        self.open
            .push((head.partition, head.offset, self.position, head.at));
        self.position += widen(head.frame_length());
        if !head.more {
            for (partition, offset, position, at) in self.open.drain(..) {
                self.index.note(partition, offset, position, at);
                if let Some(end) = self.ends.get_mut(place) {
                    *end = offset + 1;
                }
                self.records += 1;
            }
            self.good = self.position;
            self.claim = self.claim.max(u64::from(head.claim));
        }
        Ok(())
    }

    /// Decides what stands behind the last frame, and cuts it off if that is right.
    fn settle(&mut self, trouble: Trouble) -> Result<Option<Cut>, OpenError> {
        let path = &self.segment.path;
        let end = tear::last_nonzero(&**self.file, self.position)
            .map_err(OpenError::io("read", path))?
            .unwrap_or(self.position);
        let broken = tear::Broken {
            position: self.position,
            frame_length: match trouble {
                Trouble::NoBody(length) => Some(length),
                Trouble::End | Trouble::NoFrame => None,
            },
            end,
        };
        if end > self.position {
            let verdict = tear::judge(&**self.file, self.segment.seed, &broken)
                .map_err(OpenError::io("read", path))?;
            if let Some(reason) = verdict {
                return Err(OpenError::damaged(path, self.position, reason));
            }
        }
        if end <= self.good {
            return Ok(None);
        }
        write_zeros(&**self.file, self.good, end).map_err(OpenError::io("cut", path))?;
        Ok(Some(Cut {
            file: path.clone(),
            position: self.good,
            bytes: end - self.good,
        }))
    }
}
