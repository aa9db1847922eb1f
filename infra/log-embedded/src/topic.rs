//! One topic of the log: its chain of segments, what waits to be written, and what readers see.
//!
//! Lock order: `writer` before `view`; `queue` and `spare` are never held together with another.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::Instant;

use infra_ports::log::{LogError, Visibility};
use parking_lot::{Condvar, Mutex, MutexGuard};
use schemas::position::Offset;
use schemas::topics::{Durability, Topic};
use tokio::sync::{Notify, oneshot};

use crate::config::Config;
use crate::crowd::Crowd;
use crate::keeper::KeeperQueue;
use crate::metrics;
use crate::poison::Poison;
use crate::recovery::Recovered;
use crate::sealed::SealedCache;
use crate::segment::Segment;
use crate::spare::Spare;
use crate::storage::Storage;
use crate::view::{Looked, View, Written};
use crate::writer::{Batch, Writer, framed_bytes};

/// What all topics share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) storage: Arc<dyn Storage>,
    pub(crate) poison: Poison,
    pub(crate) keeper: KeeperQueue,
}

/// How a request is answered.
pub(crate) type Answer = Result<Vec<Offset>, LogError>;

/// Batches that wait for the committer; without batches it is a wish for everything to be durable.
pub(crate) struct Request {
    pub(crate) batches: Vec<Batch>,
    pub(crate) answer: oneshot::Sender<Answer>,
}

/// What waits for the committer.
#[derive(Default)]
pub(crate) struct Queue {
    pub(crate) requests: Vec<Request>,
    bytes: u64,
    /// No more requests are taken; the committer ends when it has done what is there.
    pub(crate) closing: bool,
    /// The committer ends at once.
    pub(crate) stopped: bool,
}

/// One topic.
pub(crate) struct TopicLog {
    pub(crate) topic: Topic,
    pub(crate) directory: PathBuf,
    pub(crate) shared: Arc<Shared>,
    /// Itself, for what it leaves to the keeper.
    pub(crate) this: Weak<Self>,
    pub(crate) writer: Mutex<Writer>,
    pub(crate) view: Mutex<View>,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) queued: Condvar,
    /// Requests in the queue, to be looked at without its lock.
    here: AtomicUsize,
    pub(crate) spare: Spare,
    pub(crate) sealed: SealedCache,
    /// Segments that retention has taken from the view and not removed yet, oldest first. Its lock is
    /// taken before all others.
    pub(crate) forgotten: Mutex<VecDeque<Arc<Segment>>>,
    /// Something was appended, or the log was closed.
    pub(crate) appended: Notify,
    /// Something became durable, or the log was closed.
    pub(crate) durable: Notify,
}

impl TopicLog {
    pub(crate) fn new(
        topic: Topic,
        directory: PathBuf,
        shared: Arc<Shared>,
        recovered: Recovered,
    ) -> Arc<Self> {
        let Recovered {
            segments,
            active,
            index,
            position,
            ends,
            summing,
            checkpointed,
            ..
        } = recovered;
        let writer = Writer {
            active: Arc::clone(&active),
            position,
            claim: position,
            ends: ends.clone(),
            summing,
            checkpointed,
            closed: false,
        };
        let limit = shared.config.memory_bytes;
        let view = View::new(topic, segments, active, index, position, &ends, limit);
        Arc::new_cyclic(|this| Self {
            topic,
            directory,
            shared,
            this: Weak::clone(this),
            writer: Mutex::new(writer),
            view: Mutex::new(view),
            queue: Mutex::new(Queue::default()),
            queued: Condvar::new(),
            here: AtomicUsize::new(0),
            spare: Spare::default(),
            sealed: SealedCache::default(),
            forgotten: Mutex::default(),
            appended: Notify::new(),
            durable: Notify::new(),
        })
    }

    /// Appends batches, each checked before; answers when they are as durable as the topic asks.
    pub(crate) async fn append(&self, batches: Vec<Batch>) -> Answer {
        match self.topic.spec().durability {
            Durability::EachAppend => self.request(batches).await,
            Durability::Synced => self.write_at_once(&batches),
        }
    }

    /// Makes everything durable that was appended before the call.
    pub(crate) async fn sync(&self) -> Result<(), LogError> {
        self.request(Vec::new()).await.map(drop)
    }

    /// Hands a request to the committer and waits for its answer. Once handed over it is carried
    /// out, whether somebody waits or not.
    async fn request(&self, batches: Vec<Batch>) -> Answer {
        let answered = self.enqueue(batches)?;
        answered.await.unwrap_or(Err(LogError::Closed))
    }

    fn enqueue(&self, batches: Vec<Batch>) -> Result<oneshot::Receiver<Answer>, LogError> {
        self.shared.poison.check()?;
        let bytes: u64 = batches
            .iter()
            .map(|(_, records)| framed_bytes(records))
            .sum();
        let (answer, answered) = oneshot::channel();
        let mut queue = self.queue.lock();
        if queue.closing || queue.stopped {
            return Err(LogError::Closed);
        }
        if queue.bytes > 0 && queue.bytes.saturating_add(bytes) > self.shared.config.queue_bytes {
            let waiting = queue.bytes;
            metrics::queue_full(self.topic);
            return Err(LogError::Full(format!(
                "{waiting} bytes wait to be written already"
            )));
        }
        queue.bytes += bytes;
        let was_empty = queue.requests.is_empty();
        queue.requests.push(Request { batches, answer });
        let here = queue.requests.len();
        self.here.store(here, Ordering::Relaxed);
        metrics::waiting(self.topic, here);
        drop(queue);
        if was_empty {
            self.queued.notify_one();
        }
        Ok(answered)
    }

    /// Takes no more appends and makes durable what was appended.
    pub(crate) async fn close(&self) -> Result<(), LogError> {
        self.writer.lock().closed = true;
        match self.enqueue_last() {
            Some(answered) => answered.await.unwrap_or(Err(LogError::Closed)).map(drop),
            None => Ok(()),
        }
    }

    /// The last request; none when it was made before.
    fn enqueue_last(&self) -> Option<oneshot::Receiver<Answer>> {
        let (answer, answered) = oneshot::channel();
        let mut queue = self.queue.lock();
        if queue.closing || queue.stopped {
            return None;
        }
        queue.closing = true;
        queue.requests.push(Request {
            batches: Vec::new(),
            answer,
        });
        self.here.store(queue.requests.len(), Ordering::Relaxed);
        drop(queue);
        self.queued.notify_one();
        Some(answered)
    }

    /// Everything that waits; waits itself while nothing does, and for a crowd that is on its way.
    /// None when the committer is to end.
    pub(crate) fn take_requests(&self, crowd: &mut Crowd) -> Option<Vec<Request>> {
        let mut queue = self.queue.lock();
        while queue.requests.is_empty() && !queue.closing && !queue.stopped {
            self.queued.wait(&mut queue);
        }
        let here = queue.requests.len();
        if !queue.stopped
            && !queue.closing
            && let Some(mut gathering) = crowd.gather(here, Instant::now())
        {
            // Those who come must not have to wait for the lock.
            MutexGuard::unlocked(&mut queue, || {
                while gathering.goes_on(self.here.load(Ordering::Relaxed), Instant::now()) {
                    thread::yield_now();
                }
            });
            crowd.gathered(&gathering);
        }
        if queue.stopped || queue.requests.is_empty() {
            return None;
        }
        queue.bytes = 0;
        self.here.store(0, Ordering::Relaxed);
        metrics::waiting(self.topic, 0);
        Some(std::mem::take(&mut queue.requests))
    }

    /// Writes past the committer: what is not made durable need not wait for others' fdatasync.
    fn write_at_once(&self, batches: &[Batch]) -> Answer {
        let mut writer = self.writer.lock();
        if writer.closed {
            return Err(LogError::Closed);
        }
        let answers = self.write(&mut writer, batches);
        drop(writer);
        self.appended.notify_waiters();
        gather(answers)
    }

    /// Shows a write to readers of what is appended; whoever writes wakes them when it is done.
    pub(crate) fn publish(&self, written: Written) {
        metrics::appended(self.topic, written.records.len(), written.bytes);
        let end = written.end;
        let mut view = self.view.lock();
        view.publish(written);
        let active = Arc::clone(&view.active);
        drop(view);
        self.look_ahead(&active, end);
    }

    /// Looks into memory for records of one partition; returns the visible end too.
    pub(crate) fn look_at(
        &self,
        partition: u32,
        from: u64,
        most: usize,
        visibility: Visibility,
    ) -> Result<(u64, Looked), LogError> {
        let view = self.view.lock();
        let end = view.visible_end(partition, from, visibility)?;
        let looked = view.look(&[(partition, from)], 0, most, visibility)?;
        Ok((end, looked))
    }

    /// Wakes every tail.
    pub(crate) fn wake(&self) {
        self.appended.notify_waiters();
        self.durable.notify_waiters();
    }
}

/// One answer for all batches of a request. When some were written and others were not, nobody may
/// think that nothing was.
pub(crate) fn gather(answers: Vec<Result<Offset, LogError>>) -> Answer {
    let written = answers.iter().filter(|answer| answer.is_ok()).count();
    let of = answers.len();
    let gathered: Answer = answers.into_iter().collect();
    match gathered {
        Err(LogError::Full(reason)) if written > 0 => Err(LogError::Unavailable(format!(
            "{written} of {of} batches were written, then: {reason}"
        ))),
        other => other,
    }
}
