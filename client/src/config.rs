//! What can be set: on the pure session, and on the shell around it.

use std::sync::Arc;

use crate::{Output, Progress};

/// Gives the token for the next connection; asked again at each one.
pub type TokenSource = Arc<dyn Fn() -> String + Send + Sync>;

/// Is shown everything the session puts out, in order, before it takes effect: for those who
/// check what a client was told and when.
pub trait Observer: Send + Sync {
    /// One output. Runs on the client's task: must be quick and must not block.
    fn observe(&self, output: &Output);
}

/// How long to wait before connecting again: full jitter, `random(0 ..= min(most, least · 2^n))`
/// (AWS Architecture Blog, "Exponential Backoff And Jitter").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The bound of the first wait, in milliseconds.
    pub least_ms: u64,
    /// The bound of every later wait, in milliseconds.
    pub most_ms: u64,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            least_ms: 100,
            most_ms: 10_000,
        }
    }
}

impl Backoff {
    /// The wait before attempt `n` (from 0), with this random number.
    pub fn wait_ms(&self, n: u32, random: u64) -> u64 {
        let bound = grown_ms((self.least_ms, self.most_ms), n);
        random.checked_rem(bound.saturating_add(1)).unwrap_or(0)
    }
}

/// What doubles with each of `n` tries from the first bound on, up to the last.
pub(crate) fn grown_ms((least, most): (u64, u64), n: u32) -> u64 {
    least.saturating_mul(1 << n.min(20)).min(most)
}

/// When `delivered` marks are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marking {
    /// By itself, for what was handed over: after so many milliseconds or so many entries.
    Automatic {
        /// The longest a mark waits for others.
        within_ms: u64,
        /// The most entries that wait for a mark.
        entries: usize,
    },
    /// Never; read marks only, on request. The server will push entries again and again.
    Off,
}

impl Default for Marking {
    fn default() -> Self {
        Self::Automatic {
            within_ms: 50,
            entries: 64,
        }
    }
}

/// Settings of the pure session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionConfig {
    /// Waits between connections.
    pub backoff: Backoff,
    /// Delivered marks.
    pub marking: Marking,
    /// How long a connection may take to open, and then to say `welcome`.
    pub greeting_ms: u64,
    /// A command that has no verdict is sent again after so long, even on a healthy connection; then after
    /// twice as long each time, up to 32 times as long.
    pub resend_ms: u64,
    /// After each connect, ask for the chat list and fill what the resume did not bring: of known chats
    /// everything, of those not in [`Progress`] the newest page. For users who keep their progress:
    /// for one who does not, the server's marks are all that tells what it has, and with this it is given
    /// the newest page of each chat again whenever it begins anew.
    pub verify_heads: bool,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            backoff: Backoff::default(),
            marking: Marking::default(),
            greeting_ms: 10_000,
            resend_ms: 15_000,
            verify_heads: true,
        }
    }
}

/// Where the token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenIn {
    /// In the handshake's `Authorization` header.
    #[default]
    Header,
    /// In the first frame.
    Hello,
}

/// Settings of a [`crate::Client`].
#[derive(Clone)]
pub struct Config {
    /// The server, as `ws://127.0.0.1:7800`; `/v1/connect` is added where there is no path.
    pub url: String,
    /// Where the token comes from.
    pub token: TokenSource,
    /// How the token travels.
    pub token_in: TokenIn,
    /// What was handed over before, from [`crate::Client::progress`]; empty for a new device.
    pub progress: Progress,
    /// The most events that wait for the user; then the socket is not read.
    pub events: usize,
    /// The most commands that wait for a place; then further ones wait in their caller.
    pub commands: usize,
    /// The session's own settings.
    pub session: SessionConfig,
    /// Who else sees what comes out.
    pub observer: Option<Arc<dyn Observer>>,
}

impl Config {
    /// The defaults, for this server and token.
    pub fn new(url: impl Into<String>, token: impl Into<String>) -> Self {
        let token = token.into();
        Self {
            url: url.into(),
            token: Arc::new(move || token.clone()),
            token_in: TokenIn::default(),
            progress: Progress::default(),
            events: 1024,
            commands: 1024,
            session: SessionConfig::default(),
            observer: None,
        }
    }
}

impl std::fmt::Debug for Config {
    /// Without the token, in the URL's query too.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("url", &without_query(&self.url))
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A URL as it may be shown: its query may hold a token.
pub(crate) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_shown_wherever_it_stands() {
        let config = Config::new("ws://h:1/v1/connect?token=secret", "secret");
        let shown = format!("{config:?}");
        assert!(shown.contains("ws://h:1/v1/connect"), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn waits_grow_to_their_bound_and_never_over_it() {
        let backoff = Backoff::default();
        assert_eq!(backoff.wait_ms(0, 100), 100);
        assert_eq!(backoff.wait_ms(0, 101), 0);
        assert_eq!(backoff.wait_ms(3, 800), 800);
        for n in 0..64 {
            for random in [0, 7, 9_999, u64::MAX] {
                assert!(backoff.wait_ms(n, random) <= 10_000);
            }
        }
        assert_eq!(backoff.wait_ms(63, 10_000), 10_000);
    }
}
