//! The committer of a topic: takes whatever waits, writes it with one write, makes it durable with
//! one fdatasync, then answers everybody.
//!
//! A topic has a committer thread of its own, so that a burst on one topic does not make another
//! wait for its fdatasync. Topics that are synced now and then write past it; their committer only
//! syncs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use infra_ports::log::LogError;

use crate::active::Active;
use crate::checkpoint::Place;
use crate::crowd::Crowd;
use crate::keeper::Chore;
use crate::metrics;
use crate::topic::{Request, TopicLog, gather};
use crate::writer::Batch;

/// What is durable once the active segment is synced.
struct Mark {
    active: Arc<Active>,
    place: Place,
}

impl TopicLog {
    /// Commits until the topic is closed or stopped.
    pub(crate) fn commit_loop(&self) {
        let mut crowd = Crowd::default();
        while let Some(requests) = self.take_requests(&mut crowd) {
            let waiting = requests.len();
            if let Some(sync) = self.commit(requests) {
                crowd.committed(waiting, sync);
            }
        }
    }

    /// Commits; returns how long the fdatasync took, if there was one.
    fn commit(&self, mut requests: Vec<Request>) -> Option<Duration> {
        let topic = self.topic.name();
        let _span = tracing::debug_span!("commit", topic, requests = requests.len()).entered();
        let sizes: Vec<usize> = requests
            .iter()
            .map(|request| request.batches.len())
            .collect();
        let batches: Vec<Batch> = requests
            .iter_mut()
            .flat_map(|request| std::mem::take(&mut request.batches))
            .collect();
        let mut writer = self.writer.lock();
        let answers = self.write(&mut writer, &batches);
        let mark = writer.is_dirty().then(|| Mark {
            active: Arc::clone(&writer.active),
            place: Place {
                position: writer.position,
                ends: writer.ends.clone(),
                summing: writer.summing,
            },
        });
        drop(writer);
        if !batches.is_empty() {
            self.appended.notify_waiters();
        }
        let synced = self.make_durable(mark);
        if let Ok(Some(took)) = synced {
            metrics::committed(self.topic, batches.len(), took);
        }
        let mut answers = answers.into_iter();
        for (request, size) in requests.into_iter().zip(sizes) {
            let mine = answers.by_ref().take(size).collect();
            let answer = synced.clone().and_then(|_| gather(mine));
            // Whoever asked may be gone.
            let _gone = request.answer.send(answer);
        }
        synced.ok().flatten()
    }

    /// Syncs what was written; returns how long that took, if there was anything.
    fn make_durable(&self, mark: Option<Mark>) -> Result<Option<Duration>, LogError> {
        let Some(Mark { active, place }) = mark else {
            return self.shared.poison.check().map(|()| None);
        };
        let begun = Instant::now();
        active.sync(&self.shared.poison)?;
        let mut writer = self.writer.lock();
        let mut is_far = false;
        if Arc::ptr_eq(&writer.active, &active) {
            writer.claim = writer.claim.max(place.position);
            let every = self.shared.config.checkpoint_every_bytes;
            is_far = every > 0 && place.position.saturating_sub(writer.checkpointed) >= every;
            if is_far {
                writer.checkpointed = place.position;
            }
        }
        drop(writer);
        self.view.lock().mark_durable(&place.ends);
        self.durable.notify_waiters();
        let took = begun.elapsed();
        if is_far {
            self.keep(Chore::Checkpoint { active, place });
        }
        Ok(Some(took))
    }
}
