//! Write and fdatasync at a rate, into a file that has its room already: the least a durable answer can
//! take. Records fall due at times fixed in advance and are counted from there, as messages are: a disk
//! that stands still for a tenth of a second delays all that falls due within it. What is due by the end
//! of one fdatasync is written together.

use std::hint::spin_loop;
use std::thread;
use std::time::{Duration, Instant};

use super::zeroed::ZeroedFile;
use crate::fleet::tally::Latencies;

/// Bytes of a record: about those of a message of 200 bytes in the log.
pub const RECORD_BYTES: usize = 350;
/// So long before a record is due the loop no longer sleeps: waking up would be counted.
const SPINS_FOR: Duration = Duration::from_micros(200);

/// Writes and syncs so many records a second for a while; those due before `warm_up` has passed are not
/// counted.
///
/// # Errors
/// When the file system refuses.
pub fn measure(
    file: &mut ZeroedFile,
    rate: u64,
    warm_up: Duration,
    span: Duration,
) -> anyhow::Result<Latencies> {
    let (mut latencies, begun) = (Latencies::default(), Instant::now());
    let due = |n: u64| Duration::from_secs_f64(n as f64 / rate as f64);
    let (mut next, mut together) = (0, Vec::new());
    while due(next) < warm_up + span {
        wait_until(begun + due(next));
        let first = next;
        together.clear();
        while due(next) <= begun.elapsed() {
            together.extend_from_slice(&[7; RECORD_BYTES]);
            next += 1;
        }
        file.write_and_sync(&together)?;
        let now = begun.elapsed();
        for due in (first..next).map(due).filter(|due| *due >= warm_up) {
            latencies.record(u64::try_from(now.saturating_sub(due).as_nanos())?);
        }
    }
    Ok(latencies)
}

fn wait_until(due: Instant) {
    let left = due.saturating_duration_since(Instant::now());
    thread::sleep(left.saturating_sub(SPINS_FOR));
    while Instant::now() < due {
        spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_record_is_counted_from_when_it_was_due() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = ZeroedFile::make(&folder.path().join("raw")).unwrap();
        let (warm_up, span) = (Duration::from_millis(10), Duration::from_millis(40));
        // So many that some are due while others are being written.
        let latencies = measure(&mut file, 100_000, warm_up, span).unwrap();
        assert!(latencies.count() >= 4_000, "{}", latencies.count());
        assert!(latencies.micros(0.5) > 0.0);
    }
}
