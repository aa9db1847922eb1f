//! What goes wrong where work goes on all the same: gathered, and told together at the end.

use std::fmt::Display;

use anyhow::bail;

/// What went wrong so far.
#[derive(Default)]
pub(crate) struct Troubles(Vec<String>);

impl Troubles {
    /// Takes in the outcome of something.
    pub(crate) fn note(&mut self, what: &str, outcome: Result<(), impl Display>) {
        if let Err(error) = outcome {
            self.0.push(format!("{what}: {error}"));
        }
    }

    /// Takes in what others gathered.
    pub(crate) fn take_over(&mut self, outcome: anyhow::Result<()>) {
        self.0
            .extend(outcome.err().map(|error| format!("{error:#}")));
    }

    /// An error that names all of it, if there was any.
    pub(crate) fn found(self) -> anyhow::Result<()> {
        if !self.0.is_empty() {
            bail!("{}", self.0.join("; "));
        }
        Ok(())
    }
}
