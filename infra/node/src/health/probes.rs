//! Probes of the log: a wish to be durable, made each second in every topic that messages pass. It
//! waits where appends wait, behind whatever the committer is doing, and writes nothing: a disk that
//! hangs, a committer that died and a log that was poisoned show within a moment, traffic or not. A log
//! on servers has nothing to make durable that it has answered, so it is asked whether these are there.

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
            let answer = match log.sync(self.topic).await {
                Ok(()) => log.reach(self.topic).await,
                failed @ Err(_) => failed,
            };
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

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use infra_ports::memory::log::{Around, AroundLog};
    use infra_ports::memory::{Chances, Executor, MemoryLog, Node};

    use super::*;

    const MOMENT: Duration = Duration::from_secs(2);

    /// A log whose servers can be gone: what it is to make durable it has made so already.
    struct OnServers(MemoryLog, Arc<AtomicBool>);

    #[async_trait::async_trait]
    impl Around for OnServers {
        fn inner(&self) -> &dyn EventLog {
            &self.0
        }

        async fn reach(&self, topic: Topic) -> Result<(), LogError> {
            match self.1.load(Ordering::Relaxed) {
                true => Err(LogError::Unavailable("gone".into())),
                false => self.0.reach(topic).await,
            }
        }
    }

    #[test]
    fn servers_that_are_gone_show_though_nothing_is_to_be_made_durable() {
        let mut executor = Executor::seeded(1, Chances::CALM);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
        let test = async move {
            let (log, gone) = (MemoryLog::new(1), Arc::new(AtomicBool::new(false)));
            log.create_topics(&[Topic::Chats]).await.unwrap();
            let log = Arc::new(AroundLog(OnServers(log, Arc::clone(&gone))));
            let probe = Arc::new(Probe::new(Topic::Chats));
            let probing = Arc::clone(&probe).run(log, Arc::clone(&runtime));
            runtime.spawn("health-probe", Box::pin(probing));
            for is_gone in [false, true, false] {
                gone.store(is_gone, Ordering::Relaxed);
                runtime.sleep(MOMENT).await;
                assert_eq!(probe.error().is_some(), is_gone);
            }
        };
        executor.block_on(Node(1), test).unwrap();
    }
}
