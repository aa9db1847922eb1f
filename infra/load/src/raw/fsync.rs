//! Write and fdatasync, one record at a time, into a file that has its room already: the least a
//! durable answer can take.

use std::time::{Duration, Instant};

use super::zeroed::ZeroedFile;
use crate::fleet::tally::Latencies;

/// Bytes of a record: about those of a message of 200 bytes in the log.
pub const RECORD_BYTES: usize = 350;

/// Writes and syncs one record after the other for a while.
///
/// # Errors
/// When the file system refuses.
pub fn measure(file: &mut ZeroedFile, span: Duration) -> anyhow::Result<Latencies> {
    let (mut latencies, begun) = (Latencies::default(), Instant::now());
    while begun.elapsed() < span {
        let from = Instant::now();
        file.write_and_sync(&[7; RECORD_BYTES])?;
        latencies.record(u64::try_from(from.elapsed().as_nanos())?);
    }
    Ok(latencies)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_write_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ZeroedFile::make(&folder.path().join("raw")).unwrap();
        let latencies = measure(&mut file, Duration::from_millis(20)).unwrap();
        assert!(latencies.count() > 0 && latencies.micros(0.5) > 0.0);
    }
}
