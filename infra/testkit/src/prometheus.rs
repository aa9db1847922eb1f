//! A real Prometheus beside a node in a test: on a port and a folder of its own, stopped by its id.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use serde_json::Value;
use tempfile::TempDir;

/// What to do where there is none.
pub const INSTALL: &str =
    "Prometheus is not installed, and this test needs it: apt-get install prometheus";

/// A running Prometheus.
#[derive(Debug)]
pub struct Prometheus {
    child: Child,
    address: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Starts one that scrapes a node twice a second, under the job `cursus`.
    ///
    /// # Errors
    /// When it is not installed ([`INSTALL`] says what to do) or does not start.
    pub fn scraping(node: SocketAddr) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yml");
        let text = format!(
            "global: {{ scrape_interval: 500ms, scrape_timeout: 500ms }}\n\
             scrape_configs: [ {{ job_name: cursus, static_configs: [ {{ targets: [\"{node}\"] }} ] }} ]\n"
        );
        std::fs::write(&config, text)?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let said = File::create(folder.path().join("said"))?;
        let child = Command::new("prometheus")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg(format!("--web.listen-address={address}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(said)
            .spawn();
        let child = child.map_err(|error| not_there(&error))?;
        Ok(Self {
            child,
            address,
            _folder: folder,
        })
    }

    /// The values of an instant query, with the series they belong to.
    ///
    /// # Errors
    /// When Prometheus does not answer (it may be starting still) or does not take the query.
    pub fn query(&self, query: &str) -> anyhow::Result<Vec<(Value, f64)>> {
        let url = format!("http://{}/api/v1/query", self.address);
        let mut answer = ureq::get(&url).query("query", query).call()?;
        let answer: Value = answer.body_mut().read_json()?;
        let results = answer.pointer("/data/result").and_then(Value::as_array);
        let results = results.context("no result")?;
        let one = |result: &Value| {
            let value = result.pointer("/value/1").and_then(Value::as_str);
            let value = value.context("no value")?;
            Ok((
                result.pointer("/metric").cloned().unwrap_or_default(),
                value.parse()?,
            ))
        };
        results.iter().map(one).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Gone already, or going now: both are the end that is wanted.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Runs `promtool`, the tool that comes with Prometheus, and answers whether it was content and
/// what it said.
///
/// # Errors
/// When it is not installed ([`INSTALL`] says what to do).
pub fn promtool(arguments: &[&str]) -> anyhow::Result<(bool, String)> {
    let output = Command::new("promtool").args(arguments).output();
    let output = output.map_err(|error| not_there(&error))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

fn not_there(error: &std::io::Error) -> anyhow::Error {
    anyhow::anyhow!("{INSTALL} ({error})")
}
