//! Appends that wait for their delivery reports: one answer a batch.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use infra_ports::log::LogError;
use parking_lot::Mutex;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{DeliveryResult, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use schemas::position::Offset;
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::errors::{Refusal, unavailable};

/// The records of one append, on their way.
#[derive(Debug)]
pub(crate) struct Batch {
    left: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// What was reported of the first record.
    first: Option<i64>,
    failed: Option<KafkaError>,
    answer: Option<oneshot::Sender<Outcome>>,
    /// Its share of what may be under way; given back when the last report is in.
    room: Option<OwnedSemaphorePermit>,
}

/// How an append ended: where its first record stands; none when all stand, and the broker, which
/// knew them from before, did not say where.
pub(crate) type Outcome = Result<Option<Offset>, LogError>;
/// What an append waits for.
pub(crate) type Answer = oneshot::Receiver<Outcome>;

impl Batch {
    /// A batch of so many records.
    pub(crate) fn new(records: usize, room: OwnedSemaphorePermit) -> (Arc<Self>, Answer) {
        let (answer, waits) = oneshot::channel();
        let state = State {
            first: None,
            failed: None,
            answer: Some(answer),
            room: Some(room),
        };
        let batch = Self {
            left: AtomicUsize::new(records),
            state: Mutex::new(state),
        };
        (Arc::new(batch), waits)
    }

    /// Where one of its records stands, or why it does not. Reports come in the records' order.
    pub(crate) fn report(&self, outcome: Result<i64, KafkaError>) {
        let mut state = self.state.lock();
        match outcome {
            Ok(offset) => state.first = state.first.or(Some(offset)),
            Err(error) => state.failed = Some(error),
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let outcome = state.outcome();
            drop(state.room.take());
            if let Some(answer) = state.answer.take() {
                // Whoever asked may have gone; the records stand all the same.
                drop(answer.send(outcome));
            }
        }
    }
}

impl State {
    fn outcome(&self) -> Outcome {
        if let Some(error) = &self.failed {
            return Err(unavailable(error));
        }
        // Below zero for a duplicate of what the broker no longer knows the place of.
        let first = self.first.and_then(|first| u64::try_from(first).ok());
        Ok(first.map(Offset))
    }
}

/// Hands reports to their batches, on the producer's own thread, and notes when the producer can do
/// nothing more, and why brokers refuse it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reports {
    given_up: Arc<AtomicBool>,
    refusal: Arc<Mutex<Option<Refusal>>>,
}

impl Reports {
    /// Notes an error that is the producer's last.
    pub(crate) fn note(&self, error: &KafkaError) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) {
            self.given_up.store(true, Ordering::Release);
        }
    }

    /// True when librdkafka gave the producer up: it takes nothing more, and never will.
    pub(crate) fn given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Why a broker refused to talk to the producer, if one did.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.lock().clone()
    }
}

impl ClientContext for Reports {
    fn error(&self, error: KafkaError, reason: &str) {
        self.note(&error);
        if let Some(refusal) = Refusal::of(&error, reason) {
            *self.refusal.lock() = Some(refusal);
        }
        tracing::warn!(%error, reason, "kafka: the producer is in trouble");
    }
}

impl ProducerContext for Reports {
    type DeliveryOpaque = Arc<Batch>;

    fn delivery(&self, result: &DeliveryResult<'_>, batch: Self::DeliveryOpaque) {
        batch.report(match result {
            Ok(message) => Ok(message.offset()),
            Err((error, _)) => {
                self.note(error);
                Err(error.clone())
            }
        });
    }
}
