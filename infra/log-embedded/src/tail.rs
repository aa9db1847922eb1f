//! A tail: from memory while it keeps up, from files while it is behind.

use std::sync::Arc;

use async_trait::async_trait;
use infra_ports::log::{LogError, LogTail, RecordBatch, Visibility};

use crate::reader::Reader;
use crate::topic::TopicLog;
use crate::view::Looked;
use crate::walk::Cursor;

/// A reader of several partitions of one topic that waits for more.
pub(crate) struct EmbeddedTail {
    topic: Arc<TopicLog>,
    reader: Arc<Reader>,
    /// Partition and next offset.
    next: Vec<(u32, u64)>,
    visibility: Visibility,
    /// The partition that comes first when more waits than is asked for.
    turn: usize,
    /// Where in the chain it is, while it is behind.
    cursor: Option<Cursor>,
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
            cursor: None,
        }
    }

    /// Reads along the chain. Nothing of the tail moves before the answer is there.
    async fn catch_up(&mut self, most: usize) -> Result<Vec<RecordBatch>, LogError> {
        let topic = Arc::clone(&self.topic);
        let next = topic.visible_ends(&self.next, self.visibility)?;
        let cursor = self.cursor;
        let walked = self
            .reader
            .run(move || topic.walk(&next, cursor, most))
            .await?;
        self.cursor = walked.cursor;
        self.advance(&walked.batches);
        Ok(walked.batches)
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
            let topic = Arc::clone(&self.topic);
            let news = match self.visibility {
                Visibility::Durable => topic.durable.notified(),
                Visibility::Appended => topic.appended.notified(),
            };
            // It hears of everything from its making on, polled or not; so look only now.
            let looked = topic
                .view
                .lock()
                .look(&self.next, self.turn, most, self.visibility)?;
            match looked {
                Looked::Records(batches) => {
                    self.cursor = None;
                    self.turn = (self.turn + 1) % self.next.len().max(1);
                    self.advance(&batches);
                    return Ok(batches);
                }
                Looked::Behind => {
                    let batches = self.catch_up(most).await?;
                    if !batches.is_empty() {
                        return Ok(batches);
                    }
                    // The records are visible but the chain does not hold them.
                    return Err(LogError::Unavailable(
                        "records vanished while being read".into(),
                    ));
                }
                Looked::Nothing => news.await,
            }
        }
    }
}
