//! A file whose room is there and written already: write and fdatasync into it, round and round.
//! The least that a durable append can take, alone or of many together.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;

/// The size of the file: as large as it takes not to come round within a few seconds.
const FILE_BYTES: u64 = 64 << 20;

/// The file, and where the next write goes.
pub struct ZeroedFile {
    file: File,
    position: u64,
}

impl ZeroedFile {
    /// Makes it and writes zeros into all of it.
    ///
    /// # Errors
    /// When there is no room.
    pub fn make(path: &Path) -> anyhow::Result<Self> {
        let cannot = || format!("cannot make {}", path.display());
        let file = File::create(path).with_context(cannot)?;
        let zeros = vec![0; 1 << 20];
        for at in (0..FILE_BYTES).step_by(zeros.len()) {
            file.write_all_at(&zeros, at).with_context(cannot)?;
        }
        file.sync_all().with_context(cannot)?;
        Ok(Self { file, position: 0 })
    }

    /// Writes behind the last write, or at the beginning where there is no room left, and makes it
    /// durable.
    ///
    /// # Errors
    /// When the file system refuses.
    pub fn write_and_sync(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let length = u64::try_from(bytes.len())?;
        if self.position + length > FILE_BYTES {
            self.position = 0;
        }
        self.file.write_all_at(bytes, self.position)?;
        self.file.sync_data()?;
        self.position += length;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_never_grows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("raw");
        let mut file = ZeroedFile::make(&path).unwrap();
        file.position = FILE_BYTES - 2;
        for _ in 0..2 {
            file.write_and_sync(&[7; 3]).unwrap();
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), FILE_BYTES);
        assert_eq!(std::fs::read(&path).unwrap()[..7], [7, 7, 7, 7, 7, 7, 0]);
    }
}
