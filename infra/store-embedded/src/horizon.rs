//! Sequence numbers that never come twice, so that a table dropped stays dropped and one made stays.
//!
//! fjall keeps the names of its keyspaces in a tree of their own, under the sequence numbers that
//! rows have too; but when it opens (3.1.13) it goes on behind the highest number of the *rows*.
//! Whatever was created or dropped last may have had higher ones. Then, after a reopening, a drop is
//! older than the creation that it undoes, and a creation older than the drop of an earlier keyspace
//! with its id (ids come again too): rows of a dropped table are read from the journal into its
//! successor, a table that was made is gone with its rows, or fjall panics on half a definition.
//!
//! So a number that no creation and no drop has reached is on disk before any of them happens, and
//! numbers begin there at the next opening.
//!
//! ```text
//! <path>/HORIZON   "cursus-store-horizon <number>"; none before the first table
//! ```

use std::path::{Path, PathBuf};

use fjall::Database;
use parking_lot::Mutex;

use crate::directory::{self, replace};
use crate::errors::OpenError;

const NAME: &str = "HORIZON";
const MAGIC: &str = "cursus-store-horizon ";

/// How far ahead the horizon is set: years of writes, and yet 8 million openings that change tables
/// before fjall's 63 bits are used up.
const STEP: u64 = 1 << 40;

/// Where numbers begin at the next opening.
pub(crate) struct Horizon {
    path: PathBuf,
    number: Mutex<u64>,
}

impl Horizon {
    /// Takes numbers of a database just opened to where the last opening could not have come.
    pub(crate) fn reach(path: &Path, database: &Database) -> Result<Self, OpenError> {
        let number = read(path)?;
        // No public call of fjall moves the counter; this field is public but not documented.
        database.supervisor.seqno.fetch_max(number);
        Ok(Self {
            path: path.to_owned(),
            number: Mutex::new(number),
        })
    }

    /// To be called before keyspaces are created or deleted.
    pub(crate) fn stay_ahead(&self, database: &Database) -> std::io::Result<()> {
        let mut number = self.number.lock();
        let next = database.seqno();
        // Half a step is more than can be written while the tables change.
        if next + STEP / 2 > *number {
            replace(&self.path, NAME, &format!("{MAGIC}{}\n", next + STEP))?;
            *number = next + STEP;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<u64, OpenError> {
    let Some(text) = directory::text(&path.join(NAME))? else {
        return Ok(0);
    };
    let number = text.strip_prefix(MAGIC).map(str::trim_end);
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| directory::not_a_store(path, "its HORIZON file is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(dir: &Path) -> (Database, Result<Horizon, OpenError>) {
        let database = Database::builder(dir.join("tables")).open().unwrap();
        let horizon = Horizon::reach(dir, &database);
        (database, horizon)
    }

    #[test]
    fn numbers_of_an_opening_are_above_all_of_the_one_before_that_changed_tables() {
        let dir = tempfile::tempdir().unwrap();
        let mut highest = 0;
        for _ in 0..3 {
            let (database, horizon) = opened(dir.path());
            let begin = database.seqno();
            assert!(begin >= highest, "{begin} is not above {highest}");
            horizon.unwrap().stay_ahead(&database).unwrap();
            database.supervisor.seqno.fetch_max(begin + STEP / 2);
            highest = begin + STEP / 2;
        }
    }

    #[test]
    fn openings_that_change_no_table_use_no_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let (database, horizon) = opened(dir.path());
        horizon.unwrap().stay_ahead(&database).unwrap();
        drop(database);
        let numbers: Vec<u64> = (0..3).map(|_| opened(dir.path()).0.seqno()).collect();
        assert_eq!(numbers, [STEP, STEP, STEP]);
    }

    #[test]
    fn a_horizon_that_cannot_be_read_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        for damaged in ["", "cursus-store-horizon x", "7"] {
            std::fs::write(dir.path().join(NAME), damaged).unwrap();
            let error = opened(dir.path()).1.err().unwrap();
            assert!(matches!(error, OpenError::NotAStore { .. }), "{error}");
        }
    }
}
