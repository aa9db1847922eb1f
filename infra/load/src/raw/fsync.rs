//! Write and fdatasync, one record at a time, into a file that has its room already: the least a
//! durable answer can take.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;

use crate::fleet::tally::Latencies;

/// The size of the file, written with zeros before: as large as it takes for the loop not to come
/// around within a few seconds.
const FILE_BYTES: u64 = 16 << 20;
/// Bytes of a record: about those of a message of 200 bytes in the log.
pub const RECORD_BYTES: usize = 350;

/// Writes and syncs one record after the other for a while, in a file of its own in this folder.
///
/// # Errors
/// When the file cannot be made, written or synced.
pub fn measure(folder: &Path, span: Duration) -> anyhow::Result<Latencies> {
    let path = folder.join("raw-fsync");
    let file = File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
    let zeros = vec![0; 1 << 20];
    for at in (0..FILE_BYTES).step_by(zeros.len()) {
        file.write_all_at(&zeros, at)?;
    }
    file.sync_all()?;
    let (mut latencies, begun, mut at) = (Latencies::default(), Instant::now(), 0);
    let record = [7; RECORD_BYTES];
    while begun.elapsed() < span {
        let from = Instant::now();
        file.write_all_at(&record, at)?;
        file.sync_data()?;
        latencies.record(u64::try_from(from.elapsed().as_nanos())?);
        at = (at + record.len() as u64) % (FILE_BYTES - record.len() as u64);
    }
    std::fs::remove_file(&path)?;
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_is_counted_and_the_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let latencies = measure(folder.path(), Duration::from_millis(20)).unwrap();
        assert!(latencies.count() > 0 && latencies.micros(0.5) > 0.0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
