//! The worker: tails the partitions of `users` in which somebody is subscribed here, and hands out what
//! concerns them. So it reads what gateways give it, and what each gives it is that one's decision.
//!
//! Keeps no checkpoint and writes nothing: what nobody here waits for is passed over, and a device
//! that was away resumes from its inbox. Runs on a thread of its own; a batch is what the log has
//! at a wake-up. A broken tail is begun again where it
//! stood; when the log no longer has that place, its users are told so (`detached`) and resume.

mod ends;
mod partitions;
mod pulse;
mod subscriptions;

pub(crate) use ends::{Ends, ends};
pub(crate) use pulse::Pulse;
pub(crate) use subscriptions::Subscriptions;

use std::sync::Arc;
use std::time::Duration;

use infra_ports::{EventLog, LogError, LogTail, RecordBatch, Runtime, Visibility, watch};
use schemas::avro::LogEvent;
use schemas::events::UserEvent;
use schemas::topics::Topic;

use self::partitions::Turn;
use crate::metrics;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// A worker over the partitions that it has subscribers in.
pub(crate) struct Worker {
    log: Arc<dyn EventLog>,
    runtime: Arc<dyn Runtime>,
    subscriptions: Arc<Subscriptions>,
    pulse: Arc<Pulse>,
    batch: usize,
    stopped: watch::Receiver<bool>,
}

/// Says that nothing more is delivered, whatever ends the one who holds it.
pub(crate) struct Farewell<F: Fn()>(pub(crate) F);

impl<F: Fn()> Drop for Farewell<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl Worker {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        runtime: Arc<dyn Runtime>,
        subscriptions: Arc<Subscriptions>,
        pulse: Arc<Pulse>,
        batch: usize,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            log,
            runtime,
            subscriptions,
            pulse,
            batch,
            stopped,
        }
    }

    /// Runs until it is told to stop or the log is closed. However it ends, by a panic too, the
    /// gateways hear of it.
    pub(crate) async fn run(mut self) {
        let subscriptions = Arc::clone(&self.subscriptions);
        let _farewell = Farewell(move || subscriptions.end());
        let mut pause = FIRST_PAUSE;
        loop {
            let from = self.subscriptions.begin();
            metrics::reads(from.len());
            let opened = self
                .log
                .tail(Topic::Users, from, Visibility::Appended)
                .await;
            let error = match opened {
                Ok(tail) => match self.follow(tail, &mut pause).await {
                    Some(error) => error,
                    None => return,
                },
                Err(error) => error,
            };
            if !self.mend(&error) {
                return;
            }
            let rest = self.runtime.sleep(pause);
            tokio::select! {
                biased;
                () = stop(&mut self.stopped) => return,
                () = rest => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Hands out batch after batch; ends with what broke the tail, or nothing when stopped.
    async fn follow(
        &mut self,
        mut tail: Box<dyn LogTail>,
        pause: &mut Duration,
    ) -> Option<LogError> {
        loop {
            let batches = tokio::select! {
                biased;
                () = stop(&mut self.stopped) => return None,
                () = self.subscriptions.turns() => {
                    if let Err(error) = self.turn(&mut *tail) {
                        return Some(error);
                    }
                    continue;
                }
                batches = tail.next(self.batch) => batches,
            };
            match batches {
                Ok(batches) => {
                    *pause = FIRST_PAUSE;
                    self.hand_out(&batches);
                }
                Err(error) => return Some(error),
            }
        }
    }

    /// Has the tail read what somebody is subscribed in now. One that does already is left alone: it may
    /// have read ahead.
    fn turn(&self, tail: &mut dyn LogTail) -> Result<(), LogError> {
        let Turn { gained, lost } = self.subscriptions.turn();
        if gained.is_empty() && lost.is_empty() {
            return Ok(());
        }
        tail.change(&gained, &lost)?;
        let read = self.subscriptions.read();
        metrics::reads(read.iter().flatten().count());
        tracing::debug!(
            gained = gained.len(),
            lost = lost.len(),
            "the worker reads other partitions"
        );
        Ok(())
    }

    fn hand_out(&self, batches: &[RecordBatch]) {
        let records = batches.iter().map(|batch| batch.records.len()).sum();
        let _span = span_of(batches, records).entered();
        metrics::batch(records);
        let mut events = Vec::with_capacity(records);
        let mut next = Vec::with_capacity(batches.len());
        for batch in batches {
            for record in &batch.records {
                match UserEvent::decode(&record.value) {
                    Ok(event) => events.push((Arc::new(event), record.value.clone())),
                    Err(error) => {
                        metrics::unreadable();
                        tracing::error!(partition = %batch.partition, offset = %record.offset,
                            %error, "a record of users cannot be read and is passed over");
                    }
                }
            }
            if let Some(last) = batch.records.last() {
                next.push((batch.partition, last.offset.next()));
            }
        }
        let told = self.subscriptions.pick(events, &next);
        if !told.is_empty() {
            let begun = self.runtime.elapsed();
            self.pulse.begin(begun);
            for (gateway, told) in told {
                gateway.deliver(told);
            }
            self.pulse.end();
            metrics::handed_out(self.runtime.elapsed().saturating_sub(begun));
        }
    }

    /// Makes the next tail possible; false when there can be none.
    fn mend(&self, error: &LogError) -> bool {
        metrics::restarted();
        if let LogError::OutOfRange {
            partition, first, ..
        } = error
        {
            tracing::warn!(%partition, %first, "records of users were dropped before delivery");
            self.subscriptions.skip(*partition, *first);
            for gateway in self.subscriptions.gateways() {
                gateway.detached(&[*partition]);
            }
            return true;
        }
        if error.is_retryable() {
            tracing::warn!(%error, "the tail of users broke, it is begun again");
            return true;
        }
        if matches!(error, LogError::Closed) {
            tracing::info!("the log is closed, the worker ends");
        } else {
            tracing::error!(%error, "the tail of users broke for good, the worker ends");
        }
        self.subscriptions.end();
        false
    }
}

/// The span of a batch, with the place of its first record.
fn span_of(batches: &[RecordBatch], records: usize) -> tracing::Span {
    let first = batches.first();
    let partition = first.map(|batch| batch.partition.0);
    let offset = first.and_then(|batch| Some(batch.records.first()?.offset.0));
    let topic = Topic::Users.name();
    tracing::debug_span!("hand_out", topic, partition, offset, records)
}

async fn stop(stopped: &mut watch::Receiver<bool>) {
    // The sender is gone when the delivery is: that is a stop too.
    stopped.wait_for(|stopped| *stopped).await.ok();
}

#[cfg(test)]
mod tests {
    use infra_ports::laws::link::LawGateway;
    use infra_ports::link::{Feed, SubscriberId};
    use infra_ports::memory::{Chances, Executor, Halt, MemoryLog, Node};
    use schemas::ids::UserId;
    use schemas::position::Offset;

    use super::*;
    use crate::testing::counted::{Taken, counted};

    #[test]
    fn a_tail_that_has_what_it_should_have_is_left_alone() {
        let mut executor = Executor::seeded(1, Chances::CALM);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
        let (log, taken) = (MemoryLog::new(2), Taken::default());
        let topics = log.clone();
        let made = async move { topics.create_topics(&[Topic::Users]).await };
        executor.block_on(Node(1), made).unwrap().unwrap();
        let subscriptions = Arc::new(Subscriptions::new(vec![Offset(0); 2]));
        let (_stop, stopped) = watch::channel(false);
        let worker = Worker::new(
            Arc::new(counted(log, taken.clone())),
            Arc::clone(&runtime),
            Arc::clone(&subscriptions),
            Arc::default(),
            10,
            stopped,
        );
        let gateway = subscriptions.attach(Arc::new(LawGateway::default()));
        // In two partitions: one before the worker begins, one after.
        let [one, other] = ["ada", "bob"].map(|name| UserId::new(name).unwrap());
        let came = subscriptions.subscribe(gateway, &one, SubscriberId(1));
        runtime.spawn("worker", Box::pin(worker.run()));
        assert_eq!(executor.run_until(|| false), Halt::Idle);
        assert_eq!(taken.changes(), 0, "it began with what was wanted");
        let came_later = subscriptions.subscribe(gateway, &other, SubscriberId(2));
        assert_ne!(came.partition, came_later.partition);
        assert_eq!(executor.run_until(|| false), Halt::Idle);
        assert_eq!(taken.changes(), 1);
    }
}
