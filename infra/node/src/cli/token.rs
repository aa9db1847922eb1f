//! `cursus token`: an access token from the development key, for trying things out.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use schemas::ids::{DeviceId, UserId};
use schemas::position::Timestamp;

use crate::config::Config;
use crate::keys;

/// How long a token of the chat is valid.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What `cursus token` takes.
#[derive(Debug, clap::Args)]
pub(super) struct TokenOptions {
    /// The user, [a-z0-9_-]
    #[arg(long)]
    user: String,
    /// The device, [a-z0-9_-]
    #[arg(long)]
    device: String,
    /// How long it is valid, in hours
    #[arg(long, default_value_t = 24)]
    hours: u32,
}

/// Prints a token.
pub(super) fn print(config: &Config, options: &TokenOptions) -> anyhow::Result<()> {
    let ttl = Duration::from_secs(u64::from(options.hours) * 3600);
    let token = mint(config, &options.user, &options.device, ttl)?;
    writeln!(std::io::stdout(), "{token}").context("standard output")
}

/// A token from the development key of the data folder.
pub(super) fn mint(
    config: &Config,
    user: &str,
    device: &str,
    ttl: Duration,
) -> anyhow::Result<String> {
    let (user, device) = (UserId::new(user)?, DeviceId::new(device)?);
    let keys = keys::development_key(&config.data)?;
    Ok(keys.mint(&user, &device, now()?, ttl)?)
}

fn now() -> anyhow::Result<Timestamp> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Timestamp(i64::try_from(since_epoch.as_millis())?))
}
