//! What the process takes of the machine, from `/proc`: memory, processor time, open files; and what
//! room is left where its log is.

use std::path::Path;

use crate::metrics;

/// Clock ticks of `/proc/self/stat` last 10 ms on every Linux that we run on (proc(5), `USER_HZ`).
const TICK_MILLIS: u64 = 10;

/// Looks, for the metrics. Where there is no `/proc`, or no such folder, nothing is shown.
pub(crate) fn take_stock(log: &Path) {
    if let Ok(disk) = rustix::fs::statvfs(log) {
        metrics::log_free(disk.f_bavail.saturating_mul(disk.f_frsize));
    }
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        metrics::resident(resident_bytes(&status).unwrap_or(0));
    }
    if let Ok(stat) = std::fs::read_to_string("/proc/self/stat") {
        metrics::cpu(cpu_millis(&stat).unwrap_or(0));
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        metrics::open_files(files.count() as u64);
    }
}

/// `VmRSS:     1234 kB`.
fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Fields 14 and 15, user and system time, counted after the name, which may hold spaces.
fn cpu_millis(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11);
    let mut next = || times.next()?.parse::<u64>().ok();
    Some((next()? + next()?) * TICK_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_proc_are_read_whatever_the_process_is_called() {
        let status = "Name:\tcursus\nVmHWM:\t  9 kB\nVmRSS:\t    2048 kB\n";
        assert_eq!(resident_bytes(status), Some(2 << 20));
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 9 0";
        assert_eq!(cpu_millis(stat), Some(3_000));
        assert_eq!((resident_bytes(""), cpu_millis("")), (None, None));
    }
}
