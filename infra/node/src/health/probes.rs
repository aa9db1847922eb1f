//! Probes of the log: a wish to be durable, made each second in every topic that messages pass. It
//! waits where appends wait, behind whatever the committer is doing, and writes nothing: a disk that
//! hangs, a committer that died and a log that was poisoned show within a moment, traffic or not.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::{EventLog, LogError, Runtime};
use parking_lot::Mutex;
use schemas::topics::Topic;

/// The topics that messages pass.
pub(crate) const PROBED: [Topic; 4] =
    [Topic::Chats, Topic::Receipts, Topic::Accounts, Topic::Users];
/// How long a probe rests.
const PROBE_EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Default)]
struct State {
    /// Since when a probe is not answered.
    waiting_since: Option<Duration>,
    /// What the last answer was, when it was an error.
    error: Option<LogError>,
}

/// What the probe of one topic knows.
#[derive(Debug)]
pub(crate) struct Probe {
    pub(crate) topic: Topic,
    state: Mutex<State>,
}

impl Probe {
    pub(crate) fn new(topic: Topic) -> Self {
        Self {
            topic,
            state: Mutex::default(),
        }
    }

    /// Probes until the log is closed.
    pub(crate) async fn run(self: Arc<Self>, log: Arc<dyn EventLog>, runtime: Arc<dyn Runtime>) {
        loop {
            self.state.lock().waiting_since = Some(runtime.elapsed());
            let answer = log.sync(self.topic).await;
            *self.state.lock() = State {
                waiting_since: None,
                error: answer.as_ref().err().cloned(),
            };
            if matches!(answer, Err(LogError::Closed)) {
                return;
            }
            runtime.sleep(PROBE_EVERY).await;
        }
    }

    /// How long the log has not answered.
    pub(crate) fn waited(&self, now: Duration) -> Duration {
        let since = self.state.lock().waiting_since;
        since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// What the log answered last, when it was an error.
    pub(crate) fn error(&self) -> Option<LogError> {
        self.state.lock().error.clone()
    }
}
