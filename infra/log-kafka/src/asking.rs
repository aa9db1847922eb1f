//! Questions to the brokers: librdkafka blocks while they answer, so they are asked on threads of
//! their own, each with a consumer that is kept.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use infra_ports::log::LogError;
use parking_lot::Mutex;
use rdkafka::consumer::BaseConsumer;
use tokio::sync::oneshot;

use crate::config::Config;
use crate::errors::ConnectError;

/// Threads that ask.
const THREADS: usize = 2;
/// Questions that wait, at most; more are refused.
const WAITING: usize = 1024;

type Question = Box<dyn FnOnce(&BaseConsumer) + Send>;

/// Asks the brokers.
#[derive(Debug)]
pub(crate) struct Asking {
    questions: SyncSender<Question>,
}

impl Asking {
    pub(crate) fn start(config: &Config) -> Result<Self, ConnectError> {
        let (questions, waiting) = sync_channel(WAITING);
        let waiting = Arc::new(Mutex::new(waiting));
        for n in 0..THREADS {
            let consumer: BaseConsumer = config
                .consumer()
                .create()
                .map_err(|error| ConnectError::config(&error))?;
            let waiting = Arc::clone(&waiting);
            thread::Builder::new()
                .name(format!("kafka-ask-{n}"))
                .spawn(move || answer(&consumer, &waiting))?;
        }
        Ok(Self { questions })
    }

    /// Asks, and waits for the answer.
    pub(crate) async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (answer, waits) = oneshot::channel();
        let question: Question = Box::new(move |consumer| drop(answer.send(question(consumer))));
        self.questions
            .try_send(question)
            .map_err(|_| LogError::Unavailable("too many questions wait for Kafka".to_owned()))?;
        waits.await.unwrap_or(Err(LogError::Closed))
    }
}

/// Answers until nobody can ask any more.
fn answer(consumer: &BaseConsumer, waiting: &Mutex<Receiver<Question>>) {
    loop {
        let next = waiting.lock().recv();
        match next {
            Ok(question) => question(consumer),
            Err(_) => return,
        }
    }
}
