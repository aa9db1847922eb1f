//! The reader thread: reads files, so that no task that reads the log waits for a disk.
//!
//! Only what is no longer in memory comes here. A caller has one job at a time, so what waits is
//! bounded by the number of callers; beyond a limit they are told to try again.

use std::collections::VecDeque;

use infra_ports::log::LogError;
use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Jobs that may wait.
const MOST_JOBS: usize = 4096;

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    ended: bool,
}

/// A job that was handed to the reader thread.
pub(crate) struct Started<T>(oneshot::Receiver<Result<T, LogError>>);

impl<T> Started<T> {
    /// Waits for what it returns. A wait that is given up can be taken up again.
    pub(crate) async fn wait(&mut self) -> Result<T, LogError> {
        (&mut self.0).await.unwrap_or(Err(LogError::Closed))
    }
}

/// What is to be read.
#[derive(Default)]
pub(crate) struct Reader {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

impl Reader {
    /// Runs a job on the reader thread and waits for what it returns. A caller that goes away
    /// loses only the answer.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        self.start(job)?.wait().await
    }

    /// Has a job run on the reader thread.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, LogError> + Send + 'static,
    ) -> Result<Started<T>, LogError> {
        let (answer, answered) = oneshot::channel();
        self.push(Box::new(move || {
            if !answer.is_closed() {
                let _gone = answer.send(job());
            }
        }))?;
        Ok(Started(answered))
    }

    fn push(&self, job: Job) -> Result<(), LogError> {
        let mut waiting = self.waiting.lock();
        if waiting.ended {
            return Err(LogError::Closed);
        }
        if waiting.jobs.len() >= MOST_JOBS {
            return Err(LogError::Unavailable("too many reads wait".into()));
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.more.notify_one();
        Ok(())
    }

    /// The thread ends after the job that it is at.
    pub(crate) fn end(&self) {
        let mut waiting = self.waiting.lock();
        waiting.ended = true;
        let jobs = std::mem::take(&mut waiting.jobs);
        drop(waiting);
        // Dropped without the lock: whoever waits for them is woken by that.
        drop(jobs);
        self.more.notify_one();
    }

    /// Does jobs until the end.
    pub(crate) fn work(&self) {
        loop {
            let mut waiting = self.waiting.lock();
            let job = loop {
                if waiting.ended {
                    return;
                }
                if let Some(job) = waiting.jobs.pop_front() {
                    break job;
                }
                self.more.wait(&mut waiting);
            };
            drop(waiting);
            job();
        }
    }
}
