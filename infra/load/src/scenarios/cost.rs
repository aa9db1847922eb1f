//! What a process has used so far: CPU time and memory, as the kernel counts them.

use anyhow::Context;

/// Clock ticks a second in `/proc/<pid>/stat`: fixed in Linux's interface for programs.
const TICKS_A_SECOND: f64 = 100.0;

/// CPU time of a process so far, in seconds, of all its threads. 10 ms exact.
///
/// # Errors
/// When there is no such process.
pub fn cpu_seconds(id: u32) -> anyhow::Result<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
    // The name stands in brackets and may hold anything; fields 14 and 15 are user and system time.
    let (_, after) = stat.rsplit_once(')').context("no stat")?;
    let fields: Vec<_> = after.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|f| f.parse::<f64>().ok());
    let both = ticks(11).zip(ticks(12)).context("no times in stat")?;
    Ok((both.0 + both.1) / TICKS_A_SECOND)
}

/// Memory that a process holds in RAM (`VmRSS`), in bytes. The kernel's buffers of its sockets are not
/// in it.
///
/// # Errors
/// When there is no such process.
pub fn resident_bytes(id: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
    kilobytes(&status, "VmRSS:").context("no VmRSS in status")
}

/// What the kernel keeps for itself (`Slab`), in bytes: sockets of both ends among much else.
///
/// # Errors
/// When it does not say.
pub fn kernel_bytes() -> anyhow::Result<u64> {
    let all = std::fs::read_to_string("/proc/meminfo")?;
    kilobytes(&all, "Slab:").context("no Slab in meminfo")
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(number * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_used_grows() {
        let before = cpu_seconds(std::process::id()).unwrap();
        let mut n = 0_u64;
        while cpu_seconds(std::process::id()).unwrap() < before + 0.02 {
            n = std::hint::black_box(n + 1);
        }
        assert!(cpu_seconds(u32::MAX).is_err());
    }

    #[test]
    fn memory_is_told_in_bytes() {
        assert!(resident_bytes(std::process::id()).unwrap() > 100_000);
        assert!(kernel_bytes().unwrap() > 100_000);
        assert_eq!(kilobytes("VmRSS:\t    4 kB\n", "VmRSS:"), Some(4_096));
        assert_eq!(kilobytes("x", "VmRSS:"), None);
    }
}
