//! Where and on what something is measured: a figure without it says nothing.
//!
//! Read from `/proc` and asked of git; what cannot be found out is called unknown, never guessed.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use crate::report::Circumstances;

const UNKNOWN: &str = "unknown";

impl Circumstances {
    /// Here and now, for data in this folder, which must exist.
    #[must_use]
    pub fn here(data: &Path, settings: String) -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let memory = memory_gib(&read("/proc/meminfo"));
        let machine = format!(
            "{}, {cores} cores, {memory} of memory, Linux {}, {}",
            processor(&read("/proc/cpuinfo")),
            or_unknown(read("/proc/sys/kernel/osrelease").trim()),
            file_system(&read("/proc/mounts"), data),
        );
        let at = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        Self {
            machine,
            commit: commit(),
            at,
            settings,
        }
    }
}

fn or_unknown(text: &str) -> &str {
    if text.is_empty() { UNKNOWN } else { text }
}

/// The value of the first line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs.find_map(|(key, value)| (key.trim() == name).then_some(value.trim()))
}

fn processor(cpuinfo: &str) -> &str {
    field(cpuinfo, "model name").map_or("an unknown processor", or_unknown)
}

fn memory_gib(meminfo: &str) -> String {
    let kib = field(meminfo, "MemTotal").and_then(|value| value.split(' ').next());
    let kib = kib.and_then(|kib| kib.parse::<u64>().ok());
    kib.map_or(UNKNOWN.to_owned(), |kib| format!("{} GiB", kib >> 20))
}

/// The type of the file system that is mounted closest above a folder.
fn file_system(mounts: &str, folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (place, kind) = (PathBuf::from(words.next()?), words.next()?);
        let depth = place.components().count();
        folder.starts_with(&place).then_some((depth, kind))
    });
    // Of two mounts in one place the later hides the earlier.
    let closest = mounted.max_by_key(|(depth, _)| *depth);
    closest
        .map_or("an unknown file system", |(_, kind)| kind)
        .to_owned()
}

/// The commit of the tree that the program is run in.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let said = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| said.trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "--short=10", "HEAD"]) else {
        return UNKNOWN.to_owned();
    };
    // Results of a run before do not make a build another one.
    let changes = git(&["status", "--porcelain", "--", ".", ":!bench", ":!docs"]);
    let mark = if changes.is_some_and(|changes| changes.is_empty()) {
        ""
    } else {
        "+"
    };
    format!("{commit}{mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_says_is_read() {
        let cpuinfo = "processor\t: 0\nmodel name\t: AMD EPYC 7B13\nmodel name\t: other\n";
        assert_eq!(processor(cpuinfo), "AMD EPYC 7B13");
        assert_eq!(memory_gib("MemTotal:       24683380 kB\n"), "23 GiB");
    }

    #[test]
    fn what_is_not_said_is_unknown() {
        assert_eq!(processor("processor : 0\n"), "an unknown processor");
        assert_eq!(memory_gib(""), UNKNOWN);
        assert_eq!(file_system("", Path::new("/")), "an unknown file system");
    }

    #[test]
    fn the_closest_mount_above_a_folder_names_its_file_system() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmpother xfs rw 0 0\n";
        assert_eq!(file_system(mounts, Path::new("/nowhere/data")), "ext4");
        assert_eq!(file_system(mounts, Path::new("/tmp/nowhere/data")), "tmpfs");
    }
}
