//! A tail: from memory while it keeps up, from files while it is behind.
//!
//! While it is behind, the reader thread walks ahead: what comes next is read while whoever tails is
//! at work on what it was given.

use std::sync::Arc;

use async_trait::async_trait;
use infra_ports::log::{LogError, LogTail, RecordBatch, Visibility};
use schemas::position::{Offset, Partition};

use crate::metrics;
use crate::reader::{Reader, Started};
use crate::topic::TopicLog;
use crate::view::Looked;
use crate::walk::{Cursor, Walked};

/// A walk ahead takes so many times what is asked for: reader and asker wait for each other only once
/// as often.
const AHEAD: usize = 4;

/// A reader of several partitions of one topic that waits for more.
pub(crate) struct EmbeddedTail {
    topic: Arc<TopicLog>,
    reader: Arc<Reader>,
    /// Partition and next offset, beyond what is ready.
    next: Vec<(u32, u64)>,
    visibility: Visibility,
    /// The partition that comes first when more waits than is asked for.
    turn: usize,
    /// What was read from files and not handed out yet.
    ready: Walked,
    /// A walk from `next` on.
    ahead: Option<Started<(Walked, Option<Cursor>)>>,
}

impl EmbeddedTail {
    pub(crate) fn new(
        topic: Arc<TopicLog>,
        reader: Arc<Reader>,
        next: Vec<(u32, u64)>,
        visibility: Visibility,
    ) -> Self {
        Self {
            topic,
            reader,
            next,
            visibility,
            turn: 0,
            ready: Walked::default(),
            ahead: None,
        }
    }

    /// Has the chain walked from `next` on.
    fn walk_ahead(
        &mut self,
        cursor: Option<Cursor>,
        most: usize,
        spare: Walked,
    ) -> Result<(), LogError> {
        let topic = Arc::clone(&self.topic);
        let next = topic.visible_ends(&self.next, self.visibility)?;
        let walk = self
            .reader
            .start(move || topic.walk(&next, cursor, most, spare))?;
        self.ahead = Some(walk);
        Ok(())
    }

    /// Waits for the walk; nothing of the tail moves before it is there.
    async fn catch_up(&mut self, most: usize) -> Result<(), LogError> {
        let Some(ahead) = &mut self.ahead else {
            return Ok(());
        };
        let walked = ahead.wait().await;
        self.ahead = None;
        let (walked, cursor) = walked?;
        if walked.is_empty() {
            // The records are visible but the chain does not hold them.
            return Err(LogError::Unavailable(
                "records vanished while being read".into(),
            ));
        }
        metrics::read(self.topic.topic, false);
        self.next.clone_from(&walked.next);
        let spent = std::mem::replace(&mut self.ready, walked);
        if cursor.is_some() && self.is_behind() {
            // If it cannot be had now, the next call asks again.
            self.walk_ahead(cursor, most.saturating_mul(AHEAD), spent.emptied())
                .ok();
        }
        Ok(())
    }

    fn is_behind(&self) -> bool {
        let view = self.topic.view.lock();
        view.is_behind(&self.next, self.visibility)
    }

    /// What can be had without waiting; none when there is nothing.
    fn look(&mut self, most: usize) -> Result<Option<Vec<RecordBatch>>, LogError> {
        let view = self.topic.view.lock();
        if view.closed {
            return Err(LogError::Closed);
        }
        if !self.ready.is_empty() {
            drop(view);
            let taken = self.ready.take(most);
            if self.ready.is_empty() && self.ahead.is_none() {
                // It has caught up, and needs no memory for what it may never read again.
                self.ready = Walked::default();
            }
            return Ok(Some(taken));
        }
        let looked = view.look(&self.next, self.turn, most, self.visibility);
        drop(view);
        match looked? {
            Looked::Records(batches) => {
                metrics::read(self.topic.topic, true);
                self.turn = (self.turn + 1) % self.next.len().max(1);
                self.advance(&batches);
                Ok(Some(batches))
            }
            Looked::Behind => {
                self.walk_ahead(None, most, Walked::default())?;
                Ok(None)
            }
            Looked::Nothing => Ok(None),
        }
    }

    /// Forgets what was read ahead: it is read again.
    fn step_back(&mut self) {
        for (partition, offset) in self.ready.left() {
            for (of, next) in &mut self.next {
                if *of == partition {
                    *next = (*next).min(offset);
                }
            }
        }
        self.ready = Walked::default();
        self.ahead = None;
    }

    fn advance(&mut self, batches: &[RecordBatch]) {
        for batch in batches {
            let Some(last) = batch.records.last() else {
                continue;
            };
            for (partition, next) in &mut self.next {
                if *partition == batch.partition.0 {
                    *next = last.offset.0 + 1;
                }
            }
        }
    }
}

#[async_trait]
impl LogTail for EmbeddedTail {
    async fn next(&mut self, max_records: usize) -> Result<Vec<RecordBatch>, LogError> {
        let most = max_records.max(1);
        loop {
            if self.ready.is_empty() {
                self.catch_up(most).await?;
            }
            let topic = Arc::clone(&self.topic);
            let news = match self.visibility {
                Visibility::Durable => topic.durable.notified(),
                Visibility::Appended => topic.appended.notified(),
            };
            // It hears of everything from its making on, polled or not; so look only now.
            if let Some(batches) = self.look(most)? {
                return Ok(batches);
            }
            if self.ahead.is_none() {
                news.await;
            }
        }
    }

    fn change(
        &mut self,
        gained: &[(Partition, Offset)],
        lost: &[Partition],
    ) -> Result<(), LogError> {
        for (partition, _) in gained {
            self.topic.view.lock().positions(partition.0)?;
        }
        self.step_back();
        self.next
            .retain(|(partition, _)| !lost.contains(&Partition(*partition)));
        let gained = gained.iter();
        self.next
            .extend(gained.map(|(partition, from)| (partition.0, from.0)));
        self.turn = 0;
        Ok(())
    }
}
