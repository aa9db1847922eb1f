//! A node as a process of its own, so that it can be killed with `kill -9`.
//!
//! The port is chosen once and kept over restarts, so that clients find the node again. The process
//! is stopped by its own id when the handle is dropped.

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use rustix::process::{Pid, Signal};
use schemas::ids::{DeviceId, UserId};
use schemas::position::Timestamp;

use crate::later;

/// How long a node may take to come up, on a busy machine.
const START_WITHIN: Duration = Duration::from_secs(60);
/// What the names of settings in the environment begin with.
const SETTINGS: &str = "CURSUS__";
/// How often it is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(5);
/// How long a token of a run is valid.
const TOKEN_FOR: Duration = Duration::from_secs(6 * 60 * 60);

/// How a node process is started.
#[derive(Debug, Clone)]
pub struct NodeProcess {
    /// The program.
    pub program: PathBuf,
    /// Arguments beside `--listen` and `--data`.
    pub arguments: Vec<String>,
    /// Environment beside this process's own, of which no setting of a node is passed on.
    pub environment: Vec<(String, String)>,
    /// Its data folder.
    pub data: PathBuf,
    /// Where it listens.
    pub address: SocketAddr,
}

impl NodeProcess {
    /// A node of this program on a data folder, listening on a free port of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub fn new(program: &Path, data: &Path, arguments: &[&str]) -> anyhow::Result<Self> {
        Ok(Self {
            program: program.to_owned(),
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            environment: Vec::new(),
            data: data.to_owned(),
            address: free_address()?,
        })
    }

    /// A token from the node's development key, which is made when the node has not run yet.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn token(&self, user: &UserId, device: &DeviceId) -> anyhow::Result<String> {
        self.entrance().token(user, device)
    }

    /// Where its clients come in.
    pub fn entrance(&self) -> Entrance {
        Entrance {
            addresses: vec![self.address],
            keys: self.data.clone(),
        }
    }

    /// The same by names, for a device called `phone`.
    ///
    /// # Errors
    /// As [`token`](Self::token); when it is no name.
    pub fn token_of(&self, user: &str) -> anyhow::Result<String> {
        self.token(&UserId::new(user)?, &DeviceId::new("phone")?)
    }

    /// Has every table made again from the log and compared with the live ones. The node must not
    /// run. By the same build with this node's settings, and nothing else of its arguments and
    /// environment: what verifies is sound.
    ///
    /// # Errors
    /// When the program cannot be run.
    pub fn verify(&self) -> anyhow::Result<Verified> {
        let output = self
            .tool(&["verify"])?
            .output()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        let (told, failed) = (text(&output.stdout), text(&output.stderr));
        let said = if failed.is_empty() {
            told
        } else {
            format!("{told}\n{failed}")
        };
        Ok(Verified {
            equal: output.status.success(),
            said,
        })
    }

    /// The same program as a tool on this node's data: with these arguments, this node's settings and
    /// nothing else of its arguments and environment.
    ///
    /// # Errors
    /// When its working folder cannot be made.
    pub fn tool(&self, arguments: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.command()?;
        command
            .args(arguments)
            .arg("--data")
            .arg(std::path::absolute(&self.data)?)
            .envs(self.settings())
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    /// When it does not come up within a minute, with what it said.
    pub fn start(&self) -> anyhow::Result<RunningNode> {
        let node = self.start_serving()?;
        node.wait_ready(START_WITHIN)?;
        Ok(node)
    }

    /// Starts it and waits until it serves sockets, whether it has caught up or not.
    ///
    /// # Errors
    /// When it ends before or does not serve within a minute, with what it said.
    pub fn start_serving(&self) -> anyhow::Result<RunningNode> {
        let mut child = self.spawn()?;
        let said = child.stdout.take().context("stdout is piped")?;
        let node = RunningNode {
            child,
            address: self.address,
        };
        let (tell, told) = mpsc::channel();
        std::thread::Builder::new().spawn(move || {
            let mut lines = BufReader::new(said).lines();
            let listening = lines.any(|line| line.is_ok_and(|line| line.contains("listening on")));
            // Nobody hears it after the time is over.
            let _ = tell.send(listening);
            // The pipe stays open, so that later lines do not end the node.
            lines.for_each(drop);
        })?;
        let ended = match told.recv_timeout(START_WITHIN) {
            Ok(true) => return Ok(node),
            Ok(false) => "ended",
            Err(_) => "does not serve",
        };
        let said = std::fs::read_to_string(self.log()).unwrap_or_default();
        anyhow::bail!("the node {ended}: {}", said.trim_end());
    }

    /// Starts it and kills it (`kill -9`) so much later, wherever it is then.
    ///
    /// # Errors
    /// When it cannot be started, or had ended by itself before.
    pub fn kill_at_start(&self, after: Duration) -> anyhow::Result<()> {
        let node = RunningNode {
            child: self.spawn()?,
            address: self.address,
        };
        std::thread::sleep(after);
        node.kill()
    }

    /// Where it says what it does.
    fn log(&self) -> PathBuf {
        self.data.with_extension("log")
    }

    fn spawn(&self) -> anyhow::Result<Child> {
        let errors = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.log())?;
        self.command()?
            .args(["--listen", &self.address.to_string()])
            .arg("--data")
            .arg(std::path::absolute(&self.data)?)
            .args(&self.arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .spawn()
            .with_context(|| format!("cannot start {}", self.program.display()))
    }

    /// What of its environment says how a node is configured.
    fn settings(&self) -> impl Iterator<Item = (&String, &String)> {
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        environment.filter(|(name, _)| name.starts_with(SETTINGS) || *name == later::VARIABLE)
    }

    /// The program, in a working folder of its own and without settings of whoever runs this: a
    /// `cursus.toml` or a variable of theirs is not for it.
    fn command(&self) -> anyhow::Result<Command> {
        let folder = self.data.with_extension("cwd");
        std::fs::create_dir_all(&folder)?;
        let program = std::path::absolute(&self.program)?;
        let mut command = Command::new(program);
        command.current_dir(folder);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with(SETTINGS) {
                command.env_remove(name);
            }
        }
        Ok(command)
    }
}

/// Where clients come in: one node, or the gateways of several that have the same key.
#[derive(Debug, Clone)]
pub struct Entrance {
    /// Addresses of HTTP and sockets.
    pub addresses: Vec<SocketAddr>,
    /// The folder of the development key.
    pub keys: PathBuf,
}

impl Entrance {
    /// A token from the development key, which is made when there is none.
    ///
    /// # Errors
    /// When the key cannot be read or made.
    pub fn token(&self, user: &UserId, device: &DeviceId) -> anyhow::Result<String> {
        let keys = infra_node::keys::development_key(&self.keys)?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let now = Timestamp(i64::try_from(now.as_millis())?);
        Ok(keys.mint(user, device, now, TOKEN_FOR)?)
    }

    /// The address for the client of this number: they are spread over all.
    ///
    /// # Errors
    /// When there is none.
    pub fn address(&self, number: usize) -> anyhow::Result<SocketAddr> {
        let mut all = self
            .addresses
            .iter()
            .cycle()
            .skip(number % self.addresses.len().max(1));
        all.next().copied().context("there is no gateway")
    }
}

/// What `cursus verify` found.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The tables are what the log says.
    pub equal: bool,
    /// What it printed: a line a table, and what went wrong.
    pub said: String,
}

/// A node that runs.
#[derive(Debug)]
pub struct RunningNode {
    child: Child,
    address: SocketAddr,
}

impl RunningNode {
    /// Where clients connect.
    pub fn url(&self) -> String {
        format!("ws://{}/v1/connect", self.address)
    }

    /// The URL of a path.
    pub fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// `kill -9`, and waits until the process is gone.
    ///
    /// # Errors
    /// When it had ended by itself before, or cannot be waited for.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        let status = self.child.wait()?;
        let killed = status.signal() == Some(Signal::KILL.as_raw());
        anyhow::ensure!(killed, "it had ended before, with {status}");
        Ok(())
    }

    /// Stops it where it stands (SIGSTOP), or lets it go on.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stall(&self, stalled: bool) -> anyhow::Result<()> {
        self.signal(if stalled { Signal::STOP } else { Signal::CONT })
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let id = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        Ok(rustix::process::kill_process(
            id.context("a process id")?,
            signal,
        )?)
    }

    /// SIGTERM, and waits for an orderly end; answers how long it took and whether it ended well.
    ///
    /// # Errors
    /// When it cannot be signalled or waited for.
    pub fn terminate(mut self) -> anyhow::Result<(Duration, bool)> {
        let begun = Instant::now();
        self.signal(Signal::TERM)?;
        let status = self.child.wait()?;
        Ok((begun.elapsed(), status.success()))
    }

    /// Waits until it says that it is ready.
    ///
    /// # Errors
    /// When it does not within this time.
    pub fn wait_ready(&self, within: Duration) -> anyhow::Result<()> {
        let begun = Instant::now();
        let url = format!("http://{}/readyz", self.address);
        loop {
            if ureq::get(&url).call().is_ok() {
                return Ok(());
            }
            anyhow::ensure!(begun.elapsed() < within, "not ready within {within:?}");
            std::thread::sleep(ASK_EVERY);
        }
    }
}

impl Drop for RunningNode {
    fn drop(&mut self) {
        // Gone already, or going now: both are the end that is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A program that was built beside the one that runs.
///
/// # Errors
/// When it was not built.
pub fn beside(name: &str) -> anyhow::Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    anyhow::ensure!(program.is_file(), "{} is not built", program.display());
    Ok(program)
}

/// A loopback address whose port is free now.
///
/// # Errors
/// When no port is free.
pub fn free_address() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
