//! `cursus rebuild` on a platform that serves.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use anyhow::{Context, ensure};

use crate::cluster::Cluster;

/// What a rebuild says when it begins to make tables.
const BEGINS: &str = "is built beside";

/// Runs to its end.
pub(super) fn whole(cluster: &Cluster, arguments: &[&str]) -> anyhow::Result<()> {
    let (went_well, said) = cluster.run_tool(arguments)?;
    ensure!(went_well, "{arguments:?}: {said}");
    Ok(())
}

/// Is killed once it has begun.
pub(super) fn half(cluster: &Cluster) -> anyhow::Result<()> {
    let mut command = cluster.tool(&["rebuild"])?;
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let said = child.stdout.take().context("its output is piped")?;
    let mut lines = BufReader::new(said).lines();
    let begins = lines.any(|line| line.is_ok_and(|line| line.contains(BEGINS)));
    child.kill()?;
    let status = child.wait()?;
    ensure!(
        begins && !status.success(),
        "it ended before, with {status}"
    );
    Ok(())
}
