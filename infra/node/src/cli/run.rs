//! `cursus`: a whole node, until SIGTERM or Ctrl-C.

use std::io::Write;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::node::{Adapters, Node};
use crate::traces;

/// Runs a node and says where it listens and how to talk to it.
pub(super) async fn run(
    config: Config,
    adapters: impl AsyncFnOnce(&Config) -> anyhow::Result<Adapters>,
) -> anyhow::Result<()> {
    config.check()?;
    let _traces = traces::start(&config.trace, &config.telemetry)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let adapters = adapters(&config).await?;
    let node = match Node::start(config.clone(), adapters.clone()).await {
        Ok(node) => node,
        Err(error) => {
            if let Err(trouble) = adapters.close(config.shutdown_within).await {
                tracing::warn!(%trouble, "after a start that failed");
            }
            return Err(error);
        }
    };
    say(&config, &node).context("standard output")?;
    let trouble = tokio::select! {
        biased;
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
        error = adapters.no_tables() => Some(error),
    };
    tracing::info!("going down");
    let down = node.shutdown().await;
    let down = down.context("the shutdown was not orderly, though nothing acknowledged is lost");
    match (trouble, down) {
        (None, down) => down,
        (Some(error), Ok(())) => Err(error),
        (Some(error), Err(also)) => {
            tracing::warn!(error = format!("{also:#}"), "on the way down");
            Err(error)
        }
    }
}

fn say(config: &Config, node: &Node) -> std::io::Result<()> {
    let (address, data) = (node.address(), config.data.display());
    let operators = node.operators_address();
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "cursus: listening on http://{address} (data in {data})"
    )?;
    if !config.roles.is_all() {
        writeln!(out, "  roles:    {}", config.roles)?;
    }
    if node.has_development_key() {
        writeln!(
            out,
            "  a token:  cursus token --user ada --device phone --data {data}"
        )?;
        writeln!(
            out,
            "  the chat: cursus chat --as ada --with bob --data {data}"
        )?;
    }
    if config.roles.gateway {
        writeln!(
            out,
            "  a socket: ws://{address}/v1/connect (subprotocol cursus.v1.json)"
        )?;
    }
    writeln!(
        out,
        "  operators: http://{operators}/healthz /readyz /metrics"
    )?;
    if let Some(schemas) = node.schemas_address() {
        writeln!(out, "  schemas: http://{schemas}/subjects")?;
    }
    out.flush()
}
