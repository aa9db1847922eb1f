//! Real servers for tests: Kafka, Cassandra and Redis as processes of their own, started by
//! `infra/deploy/local/stack` in a folder and on ports of their own.
//!
//! They end with the process that started them, however it ends: `stack run` waits for the end of
//! its standard input, which is a pipe from here.
//!
//! Where `CURSUS_TEST_SERVERS` says where servers are that run already (`KAFKA=kafka://host:port`, words with
//! blanks between), as `make test-containers` does, these are used by whoever wants plain ones, and left running.

use std::env;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, bail};
use tempfile::TempDir;

/// Servers that run while this is held.
#[derive(Debug)]
pub struct Servers {
    /// None for servers that run already.
    child: Option<Child>,
    addresses: Vec<(String, String)>,
    folder: TempDir,
    how: How,
}

/// How servers are started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct How {
    brokers: u32,
    advertised: Option<u16>,
    file_mib: Option<u32>,
    secured: bool,
}

/// Where servers are that run already.
const GIVEN: &str = "CURSUS_TEST_SERVERS";

const ONE: How = How {
    brokers: 1,
    advertised: None,
    file_mib: None,
    secured: false,
};

/// What clients need for servers that were started with TLS.
#[derive(Debug, Clone)]
pub struct Tls {
    /// Kafka's listener with TLS, `host:port`; logs in by SCRAM-SHA-512 or PLAIN.
    pub kafka: String,
    /// Where Redis takes TLS, `host:port`.
    pub redis: String,
    /// The authority that signed the servers' certificates.
    pub ca: PathBuf,
    /// One that signed none of them.
    pub stranger: PathBuf,
    /// Who may log in at Kafka.
    pub user: &'static str,
    /// File with their password.
    pub password_file: PathBuf,
}

impl Servers {
    /// Starts one of each kind named (`kafka`, `cassandra`, `redis`) and waits until they answer.
    ///
    /// # Errors
    /// When one is not installed (the message says what to install) or does not start.
    pub fn start(kinds: &[&str]) -> anyhow::Result<Self> {
        Self::start_with(kinds, 1)
    }

    /// The same with so many Kafka brokers; three replicate three times and acknowledge with two.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(kinds: &[&str], brokers: u32) -> anyhow::Result<Self> {
        Self::run(kinds, How { brokers, ..ONE })
    }

    /// Starts one Kafka broker that sends its clients to another port of this machine, where
    /// something stands that passes on what it gets.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_kafka_behind(port: u16) -> anyhow::Result<Self> {
        let advertised = Some(port);
        Self::run(&["kafka"], How { advertised, ..ONE })
    }

    /// Starts one Kafka broker none of whose files may become larger: what it writes then fails, as
    /// on a disk that is full. More than 10, which an index takes when it is made.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_kafka_with_room(file_mib: u32) -> anyhow::Result<Self> {
        let file_mib = Some(file_mib);
        Self::run(&["kafka"], How { file_mib, ..ONE })
    }

    /// Starts one of each kind named that takes TLS too, under certificates of its own. At Cassandra
    /// everybody then logs in, as `cassandra` with the same word.
    ///
    /// # Errors
    /// As [`start`](Self::start); openssl makes the certificates.
    pub fn start_secured(kinds: &[&str]) -> anyhow::Result<Self> {
        let secured = true;
        Self::run(kinds, How { secured, ..ONE })
    }

    /// Makes room for that broker, and starts it again.
    ///
    /// # Errors
    /// When it does not start.
    pub fn make_room(&mut self) -> anyhow::Result<()> {
        self.how.file_mib = None;
        self.kill("kafka-1")?;
        self.restart("kafka-1")
    }

    fn run(kinds: &[&str], how: How) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        if let (Ok(given), ONE) = (env::var(GIVEN), how) {
            return Ok(Self {
                child: None,
                addresses: given.split_whitespace().filter_map(address).collect(),
                folder,
                how,
            });
        }
        let mut command = stack(folder.path(), how);
        command.arg("run").args(kinds);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = child.spawn().context("cannot run the stack's script")?;
        let said = child.stdout.take().context("no output")?;
        let mut addresses = Vec::new();
        for line in BufReader::new(said).lines() {
            let line = line?;
            if line == "ready" {
                return Ok(Self {
                    child: Some(child),
                    addresses,
                    folder,
                    how,
                });
            }
            addresses.extend(address(&line));
        }
        let status = child.wait()?;
        bail!("the servers did not start ({status}); what they lack stands in the test's output")
    }

    /// The bootstrap servers of Kafka, `host:port` and commas.
    pub fn kafka(&self) -> &str {
        self.address("KAFKA")
    }

    /// The contact point of Cassandra, `host:port`.
    pub fn cassandra(&self) -> &str {
        self.address("CASSANDRA")
    }

    /// Where Redis listens, `host:port`.
    pub fn redis(&self) -> &str {
        self.address("REDIS")
    }

    /// Where a Redis in cluster mode listens (`redis-cluster`), one node with all slots; `host:port`.
    pub fn redis_cluster(&self) -> &str {
        self.address("REDIS_CLUSTER")
    }

    /// How servers are reached over TLS that were [started so](Self::start_secured).
    pub fn tls(&self) -> Tls {
        let folder = PathBuf::from(self.address("TLS"));
        Tls {
            kafka: self.address("KAFKA_TLS").to_owned(),
            redis: self.address("REDIS_TLS").to_owned(),
            ca: folder.join("ca.pem"),
            stranger: folder.join("stranger.pem"),
            user: "cursus",
            password_file: folder.join("password"),
        }
    }

    /// Kills a server (`kafka-2`, `cassandra`, `redis`) as `kill -9` does.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn kill(&self, server: &str) -> anyhow::Result<()> {
        self.tell("kill", server)
    }

    /// Stalls a server: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn stall(&self, server: &str) -> anyhow::Result<()> {
        self.tell("stall", server)
    }

    /// Lets a server go on that was stalled.
    ///
    /// # Errors
    /// When there is no such server.
    pub fn resume(&self, server: &str) -> anyhow::Result<()> {
        self.tell("resume", server)
    }

    /// Starts a server that was killed, on its old port and data, and waits until it answers.
    ///
    /// # Errors
    /// When it does not start.
    pub fn restart(&self, server: &str) -> anyhow::Result<()> {
        self.tell("start", server)
    }

    /// Those of the brokers, Cassandra and Redis that do not answer: `cassandra down`.
    ///
    /// # Errors
    /// When they cannot be asked.
    pub fn ended(&self) -> anyhow::Result<Vec<String>> {
        let output = stack(self.folder.path(), self.how).arg("status").output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let down = said.lines().filter(|line| !line.contains(" up, "));
        Ok(down.map(str::to_owned).collect())
    }

    fn tell(&self, what: &str, server: &str) -> anyhow::Result<()> {
        if self.child.is_none() {
            bail!("{server} was not started here, and is not told to {what}");
        }
        let mut command = stack(self.folder.path(), self.how);
        let status = command.args([what, server]).status()?;
        if !status.success() {
            bail!("stack {what} {server}: {status}");
        }
        Ok(())
    }

    fn address(&self, name: &str) -> &str {
        let found = self.addresses.iter().find(|(of, _)| of == name);
        found
            .and_then(|(_, url)| url.split_once("://"))
            .map_or("", |(_, address)| address)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        let Some(child) = &mut self.child else {
            return;
        };
        drop(child.stdin.take());
        // Waited for, so that nothing of it is left when the test ends.
        if let Err(error) = child.wait() {
            let told = format!("the servers may still run: {error}");
            drop(std::io::Write::write_all(
                &mut std::io::stderr(),
                told.as_bytes(),
            ));
        }
    }
}

/// A name and a URL, as a line of the script says them.
fn address(line: &str) -> Option<(String, String)> {
    let (name, url) = line.split_once('=')?;
    Some((name.to_owned(), url.to_owned()))
}

/// The script, on a folder.
fn stack(folder: &Path, how: How) -> Command {
    let script: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/local/stack");
    let mut command = Command::new(script);
    command.env("STACK_DATA", folder);
    command.env("KAFKA_BROKERS", how.brokers.to_string());
    if let Some(port) = how.advertised {
        command.env("KAFKA_ADVERTISED", port.to_string());
    }
    if let Some(file_mib) = how.file_mib {
        command.env("KAFKA_FILE_MIB", file_mib.to_string());
    }
    command.env("STACK_TLS", if how.secured { "1" } else { "0" });
    if how.brokers > 1 {
        // Such clusters lose servers and start them again: compiling well costs more than it brings.
        command.env("JDK_JAVA_OPTIONS", "-XX:TieredStopAtLevel=1");
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_end_with_who_wanted_them_also_before_they_are_ready() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        let mut command = stack(&data, ONE);
        command.args(["run", "redis"]).stdin(Stdio::piped());
        let mut run = command.stdout(Stdio::piped()).spawn().expect("it runs");
        // Nobody hears it, and nobody holds its input.
        drop((run.stdin.take(), run.stdout.take()));
        run.wait().expect("it ends");
        assert!(!data.exists(), "what it started is gone, and its data");
    }
}
