//! One platform of several processes, each with roles of its own: started, killed and ended by name.
//!
//! They share a development key and the link's secret, and find each other in the registry that the
//! settings name. Each has a data folder and ports of its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tempfile::TempDir;

use crate::later::{self, Build};
use crate::process::{Entrance, NodeProcess, RunningNode, Verified};

/// How long a process may take to be ready, on a busy machine.
const READY_WITHIN: Duration = Duration::from_secs(120);

struct Member {
    process: NodeProcess,
    is_gateway: bool,
    running: Option<RunningNode>,
}

/// The processes of a platform.
pub struct Cluster {
    program: PathBuf,
    folder: TempDir,
    settings: Vec<(String, String)>,
    members: BTreeMap<String, Member>,
}

impl Cluster {
    /// A platform of this program without any process yet; `settings` are environment variables that
    /// say where log, tables and registry are.
    ///
    /// # Errors
    /// When its folder cannot be made.
    pub fn new(program: &Path, settings: Vec<(String, String)>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::write(
            folder.path().join("secret"),
            "known to all of this platform\n",
        )?;
        infra_node::keys::development_key(&folder.path().join("keys"))?;
        Ok(Self {
            program: program.to_owned(),
            folder,
            settings,
            members: BTreeMap::new(),
        })
    }

    /// Starts a process of this name with these roles, and waits until it serves.
    ///
    /// # Errors
    /// When it does not come up, with what it said.
    pub fn add(&mut self, name: &str, roles: &str) -> anyhow::Result<()> {
        let data = self.folder.path().join(name);
        let mut process = NodeProcess::new(&self.program, &data, &["--roles", roles])?;
        process.environment.clone_from(&self.settings);
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        for (name, value) in [
            ("INGEST__KEYS", path("keys/development-key.json")),
            ("LINK__SECRET_FILE", path("secret")),
            ("LINK__LISTEN", "127.0.0.1:0".to_owned()),
        ] {
            process.environment.push((format!("CURSUS__{name}"), value));
        }
        let member = Member {
            process,
            is_gateway: roles
                .split(',')
                .any(|role| ["gateway", "all"].contains(&role)),
            running: None,
        };
        self.members.insert(name.to_owned(), member);
        self.start(name)
    }

    /// Starts a process again that was killed or ended, at its old address.
    ///
    /// # Errors
    /// When it does not come up, with what it said.
    pub fn start(&mut self, name: &str) -> anyhow::Result<()> {
        let member = self.member(name)?;
        member.running = Some(member.process.start_serving()?);
        Ok(())
    }

    /// Has a process be this build from its next start on.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn becomes(&mut self, name: &str, build: Build) -> anyhow::Result<()> {
        let environment = &mut self.member(name)?.process.environment;
        environment.retain(|(variable, _)| variable != later::VARIABLE);
        environment.push((later::VARIABLE.to_owned(), build.name().to_owned()));
        Ok(())
    }

    /// Waits until every process that runs says that it is ready.
    ///
    /// # Errors
    /// When one does not in time.
    pub fn wait_ready(&self) -> anyhow::Result<()> {
        for (name, member) in &self.members {
            if let Some(running) = &member.running {
                let ready = running.wait_ready(READY_WITHIN);
                ready.with_context(|| format!("{name}: {}", member.said()))?;
            }
        }
        Ok(())
    }

    /// `kill -9`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let running = self.member(name)?.running.take();
        running.context("it does not run")?.kill()
    }

    /// SIGTERM, and waits for an orderly end; answers how long it took.
    ///
    /// # Errors
    /// When it does not run, or did not end in order.
    pub fn end(&mut self, name: &str) -> anyhow::Result<Duration> {
        let member = self.member(name)?;
        let running = member.running.take().context("it does not run")?;
        let (took, in_order) = running.terminate()?;
        anyhow::ensure!(in_order, "{name} did not end in order: {}", member.said());
        Ok(took)
    }

    /// Stops one where it stands: it keeps its connections and answers nothing.
    ///
    /// # Errors
    /// When it does not run.
    pub fn stall(&mut self, name: &str) -> anyhow::Result<()> {
        self.running(name)?.stall(true)
    }

    /// Lets one go on that was stopped.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&mut self, name: &str) -> anyhow::Result<()> {
        self.running(name)?.stall(false)
    }

    /// Starts those again that ended though nobody had asked for it, and answers which they are, how they
    /// ended, and what they wrote last to standard error.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn restart_ended(&mut self) -> anyhow::Result<Vec<String>> {
        let mut told = Vec::new();
        for (name, member) in &mut self.members {
            let Some(running) = &mut member.running else {
                continue;
            };
            if let Some(status) = running.ended()? {
                told.push(format!(
                    "{name} ended by itself, {status}:\n{}",
                    member.said()
                ));
                member.running = Some(member.process.start_serving()?);
            }
        }
        Ok(told)
    }

    /// Has every table made again from the log and compared with the live ones. No process may run.
    ///
    /// # Errors
    /// When there is no process, or the program cannot be run.
    pub fn verify(&self) -> anyhow::Result<Verified> {
        let member = self.members.values().next().context("no process")?;
        member.process.verify()
    }

    /// The program as a tool on this platform, such as `cursus rebuild`.
    ///
    /// # Errors
    /// When there is no process, or no working folder.
    pub fn tool(&self, arguments: &[&str]) -> anyhow::Result<std::process::Command> {
        let member = self.members.values().next().context("no process")?;
        member.process.tool(arguments)
    }

    /// Runs the same to its end; answers whether it went well, and what it printed: standard output, then
    /// standard error.
    ///
    /// # Errors
    /// As [`tool`](Self::tool); when the program cannot be run.
    pub fn run_tool(&self, arguments: &[&str]) -> anyhow::Result<(bool, String)> {
        let output = self.tool(arguments)?.output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok((output.status.success(), said))
    }

    /// Where clients come in: all gateways, those that do not run too.
    pub fn entrance(&self) -> Entrance {
        let gateways = self.members.values().filter(|member| member.is_gateway);
        Entrance {
            addresses: gateways.map(|member| member.process.address).collect(),
            keys: self.folder.path().join("keys"),
        }
    }

    /// The process id of one.
    ///
    /// # Errors
    /// When it does not run.
    pub fn id(&mut self, name: &str) -> anyhow::Result<u32> {
        Ok(self.running(name)?.id())
    }

    /// The names of all processes, in order.
    pub fn names(&self) -> Vec<String> {
        self.members.keys().cloned().collect()
    }

    /// What a process wrote last to standard error.
    ///
    /// # Errors
    /// When there is no such process.
    pub fn last_words(&mut self, name: &str) -> anyhow::Result<String> {
        Ok(self.member(name)?.said())
    }

    /// What each process wrote last to standard error, for a test that fails.
    pub fn said(&self) -> String {
        let said = |(name, member): (&String, &Member)| format!("--- {name}\n{}\n", member.said());
        self.members.iter().map(said).collect()
    }

    fn running(&mut self, name: &str) -> anyhow::Result<&RunningNode> {
        let running = self.member(name)?.running.as_ref();
        running.context("it does not run")
    }

    fn member(&mut self, name: &str) -> anyhow::Result<&mut Member> {
        let member = self.members.get_mut(name);
        member.with_context(|| format!("there is no {name}"))
    }
}

impl Member {
    /// The end of what it wrote to standard error.
    fn said(&self) -> String {
        let said = std::fs::read_to_string(self.process.data.with_extension("log"));
        let said = said.unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines
            .iter()
            .rev()
            .take(20)
            .rev()
            .copied()
            .collect::<Vec<_>>()
            .join("\n")
    }
}
