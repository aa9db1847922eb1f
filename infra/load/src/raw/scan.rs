//! Reading files from begin to end, a large piece at a time: the raw limit of every scan and start.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// As much as one read asks for.
const PIECE_BYTES: usize = 256 << 10;

/// Reads files one after the other, whole, and returns how many bytes there were.
///
/// # Errors
/// When one cannot be read.
pub fn read_all(paths: &[PathBuf]) -> anyhow::Result<u64> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    for path in paths {
        let cannot = || format!("cannot read {}", path.display());
        let mut file = File::open(path).with_context(cannot)?;
        loop {
            let count = file.read(&mut piece).with_context(cannot)?;
            if count == 0 {
                break;
            }
            bytes += u64::try_from(count)?;
        }
    }
    Ok(bytes)
}

/// The segment files of a topic's folder, oldest first.
///
/// # Errors
/// When the folder cannot be listed.
pub fn segments(topic: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let cannot = || format!("cannot list {}", topic.display());
    let mut paths = Vec::new();
    for entry in topic.read_dir().with_context(cannot)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "segment") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_every_segment_is_read_once_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: usize| {
            std::fs::write(folder.path().join(name), vec![1; bytes]).unwrap();
        };
        write("2.segment", 7);
        write("1.segment", PIECE_BYTES + 1);
        write("1.index", 1_000);
        let found = segments(folder.path()).unwrap();
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()).collect();
        assert_eq!(names, ["1.segment", "2.segment"]);
        assert_eq!(read_all(&found).unwrap(), PIECE_BYTES as u64 + 8);
    }
}
