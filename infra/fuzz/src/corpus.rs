//! Found cases: `corpus/<target>/<what it was>.bin`, the bytes and nothing else.

use std::path::{Path, PathBuf};

/// A case that was found once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its file.
    pub file: PathBuf,
    /// The case.
    pub bytes: Vec<u8>,
}

/// Where the corpus stands in the tree.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The found cases of a target, by name; none where it has no folder.
pub fn of(target: &str) -> Vec<Found> {
    let listed = std::fs::read_dir(folder().join(target));
    let mut files: Vec<PathBuf> = listed
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "bin"))
        .collect();
    files.sort();
    let read = |file: PathBuf| {
        let bytes = std::fs::read(&file).ok()?;
        Some(Found { file, bytes })
    };
    files.into_iter().filter_map(read).collect()
}

/// Keeps a case under a name made from its bytes, and says where.
///
/// # Errors
/// When the tree cannot be written to.
pub fn keep(target: &str, bytes: &[u8]) -> std::io::Result<PathBuf> {
    let folder = folder().join(target);
    std::fs::create_dir_all(&folder)?;
    let file = folder.join(format!("{:08x}.bin", crc32c::crc32c(bytes)));
    std::fs::write(&file, bytes)?;
    Ok(file)
}
