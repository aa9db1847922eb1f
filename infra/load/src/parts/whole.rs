//! Starts the parts, has them begin together, and joins what they found.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::Context;

use super::{ARGUMENT, GO, LIVE};
use crate::scenarios::cost::cpu_seconds;
use crate::scenarios::measure::Measured;
use crate::scenarios::one_to_one::Load;
use crate::scenarios::stage::Stage;

/// Several processes whose sockets are live. They are ended by their ids when this is dropped.
pub struct Whole {
    parts: Vec<Part>,
    /// The node's process, if it is ours.
    server: Option<u32>,
}

struct Part {
    child: Child,
    says: BufReader<ChildStdout>,
    hears: ChildStdin,
}

impl Whole {
    /// Starts so many parts with equal shares of a load, and waits until all sockets are live.
    ///
    /// # Errors
    /// When a part does not start, or one of its sockets does not become live.
    pub fn live(stage: &Stage, load: Load, processes: usize) -> anyhow::Result<Self> {
        let start = |n| Part::start(stage, load, n, processes);
        let mut parts = (0..processes)
            .map(start)
            .collect::<anyhow::Result<Vec<_>>>()?;
        for part in &mut parts {
            let said = part.line()?;
            anyhow::ensure!(said == LIVE, "a part did not become live: {said:?}");
        }
        let server = stage.id();
        Ok(Self { parts, server })
    }

    /// Has all begin, waits until they are done, and joins what they found.
    ///
    /// # Errors
    /// When a part failed: it lost, repeated or swapped a message, or one was refused.
    pub fn go(mut self) -> anyhow::Result<Measured> {
        let used = |server: Option<u32>| server.map(cpu_seconds).transpose();
        let before = used(self.server)?;
        for part in &mut self.parts {
            writeln!(part.hears, "{GO}").context("a part is gone")?;
        }
        let mut all: Option<Measured> = None;
        for part in &mut self.parts {
            let said = part.line()?;
            let found: Measured = serde_json::from_str(&said).context("a failed run: a part")?;
            match &mut all {
                Some(all) => all.join(&found),
                None => all = Some(found),
            }
        }
        let mut all = all.context("no part was asked for")?;
        let cpu = before.zip(used(self.server)?);
        all.server_cpu_micros = cpu.map(|(from, to)| (to - from) * 1e6 / all.messages as f64);
        Ok(all)
    }
}

impl Part {
    fn start(stage: &Stage, load: Load, n: usize, of: usize) -> anyhow::Result<Self> {
        let (node, data) = stage.node(n);
        let share = |all: usize| all / of + usize::from(n < all % of);
        let rate = share(usize::try_from(load.rate)?);
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).arg("--data").arg(data);
        command.arg("--scratch").arg(stage.folder());
        for (name, value) in [
            ("--node", node.to_string()),
            ("--sockets", (share(load.sockets / 2) * 2).to_string()),
            ("--rate", rate.to_string()),
            ("--warm-up", load.span.warm_up.to_string()),
            ("--seconds", load.span.seconds.to_string()),
        ] {
            command.arg(name).arg(value);
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().context("cannot start a part")?;
        let says = child.stdout.take().context("stdout is piped")?;
        let hears = child.stdin.take().context("stdin is piped")?;
        Ok(Self {
            child,
            says: BufReader::new(says),
            hears,
        })
    }

    fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.says.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Gone already, or going now: both are the end that is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
