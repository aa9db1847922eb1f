//! `cursus token`: an access token from the development key, for trying things out.

use std::env::VarError;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, ensure};
use schemas::ids::{DeviceId, UserId};
use schemas::position::Timestamp;

use crate::config::Config;
use crate::keys;

/// How long a token of the chat is valid.
pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The environment variable that holds a token for the chat.
pub(super) const VARIABLE: &str = "CURSUS_TOKEN";

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
    let keys = keys::made_development_key(&config.data)?;
    Ok(keys.mint(&user, &device, now()?, ttl)?)
}

/// The token that a file or else the environment holds, which, unlike an argument, nobody else on
/// the machine can see; none where neither is given.
///
/// # Errors
/// When the file cannot be read, or what is given is empty.
pub(super) fn given(
    file: Option<&Path>,
    variable: Result<String, VarError>,
) -> anyhow::Result<Option<String>> {
    let (text, place) = match (file, variable) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file);
            let text = text.with_context(|| format!("cannot read {}", file.display()))?;
            (text, file.display().to_string())
        }
        (None, Ok(text)) => (text, VARIABLE.to_owned()),
        (None, Err(VarError::NotPresent)) => return Ok(None),
        (None, Err(error)) => return Err(error).context(VARIABLE),
    };
    let token = text.trim();
    ensure!(!token.is_empty(), "{place} holds no token");
    Ok(Some(token.to_owned()))
}

fn now() -> anyhow::Result<Timestamp> {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH)?;
    Ok(Timestamp(i64::try_from(since_epoch.as_millis())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_taken_from_the_file_then_the_environment_and_never_empty() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let variable = || Ok("from.the.environment".to_owned());
        std::fs::write(&file, "from.the.file\n").unwrap();
        let found = given(Some(&file), variable()).unwrap();
        assert_eq!(found.as_deref(), Some("from.the.file"));
        let found = given(None, variable()).unwrap();
        assert_eq!(found.as_deref(), Some("from.the.environment"));
        assert_eq!(given(None, Err(VarError::NotPresent)).unwrap(), None);
        std::fs::write(&file, " \n").unwrap();
        assert!(given(Some(&file), variable()).is_err());
        assert!(given(None, Ok(String::new())).is_err());
        assert!(given(Some(&folder.path().join("none")), variable()).is_err());
    }
}
