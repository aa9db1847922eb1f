//! The `cursus` command line: one file a command. Without a command a node runs.

mod health;
mod rebuild;
mod run;
mod token;
mod verify;
mod verify_log;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::chat::{self, ChatOptions};
use crate::config::{Config, Overrides};
use crate::node::Adapters;
use crate::traces::lines;

/// An event-sourced, log-centric messaging platform. Without a command: runs a node with every
/// role in one process, on the embedded log and store in ./data unless configured otherwise.
#[derive(Debug, Parser)]
#[command(name = "cursus", version)]
struct Arguments {
    /// A TOML file with the configuration; cursus.toml where there is one
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    overrides: Overrides,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Mint an access token from the node's development key
    Token(token::TokenOptions),
    /// Chat in the terminal
    Chat(ChatOptions),
    /// Ask the node of this configuration how it is
    Health(health::HealthOptions),
    /// Print the effective configuration
    Config,
    /// Rebuild all tables from the log and compare them with the live ones; the node must be stopped
    Verify(verify::VerifyOptions),
    /// Make all tables anew from the log: on Cassandra beside the live ones, while nodes serve, which
    /// move to them by themselves; embedded ones with the node stopped, the old ones set aside
    Rebuild(rebuild::RebuildOptions),
}

/// Runs the command line of this process; `adapters` makes the log and store that a node runs on.
/// What goes wrong is said in one line on standard error, for a person to read.
pub fn main(adapters: impl AsyncFnOnce(&Config) -> anyhow::Result<Adapters>) -> ExitCode {
    match run(adapters) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nobody may be reading, which must not keep the process; the exit code says it too.
            if let Ok((lines, _writing)) = lines::start(std::io::stderr()) {
                lines.leave(format!("cursus: {error:#}\n").as_bytes());
            }
            ExitCode::FAILURE
        }
    }
}

fn run(adapters: impl AsyncFnOnce(&Config) -> anyhow::Result<Adapters>) -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let config = Config::load(arguments.config.as_deref(), &arguments.overrides)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start threads")?;
    match arguments.command {
        None => runtime.block_on(run::run(config, adapters)),
        Some(Command::Token(options)) => token::print(&config, &options),
        Some(Command::Chat(options)) => {
            runtime.block_on(chat::run(chat_options(&config, options)?))
        }
        Some(Command::Health(options)) => health::ask(&config, &options),
        Some(Command::Config) => {
            write!(std::io::stdout(), "{}", config.to_toml()?).context("standard output")
        }
        Some(Command::Verify(options)) if options.log => verify_log::verify(&config),
        Some(Command::Rebuild(options)) => {
            runtime.block_on(rebuild::rebuild(&config, options, adapters))
        }
        Some(Command::Verify(_)) => runtime.block_on(verify::verify(&config, adapters)),
    }
}

/// Without a token the chat mints one from the development key beside it.
fn chat_options(config: &Config, mut options: ChatOptions) -> anyhow::Result<ChatOptions> {
    if options.token.is_none() {
        let given = token::given(
            options.token_file.as_deref(),
            std::env::var(token::VARIABLE),
        )?;
        let mint = || token::mint(config, &options.user, &options.device, token::DAY);
        options.token = Some(given.map_or_else(mint, Ok)?);
    }
    Ok(options)
}
