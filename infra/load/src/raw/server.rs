//! A bare server as a process of its own: this program under another argument.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context;

/// A bare server that runs. It is stopped by its id when this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Server {
    /// Starts the program (`cursus-load`) under this argument. It prints where it listens.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(program: &Path, argument: &str) -> anyhow::Result<Self> {
        let mut child = Command::new(program)
            .arg(argument)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let said = child.stdout.take().context("stdout is piped")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let address = line.trim().parse().context("the server did not start")?;
        Ok(Self { child, address })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, or going now: both are the end that is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
