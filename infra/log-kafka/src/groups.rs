//! Consumer groups on Kafka's own protocol: membership only. What a member is given it reads with a
//! tail; its consumer here fetches nothing.
//!
//! The protocol is that of KIP-848 (`group.protocol=consumer`): the broker assigns, a member lets go
//! of single partitions and keeps the others, and the broker waits for it. Changes arrive with the
//! heartbeats, whose interval the brokers set. Commits are made on threads of their own, because this
//! client never answers those that are made without waiting.

use std::collections::{BTreeSet, HashSet, VecDeque};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::groups::{Change, ConsumerGroups, GroupError, GroupMember};
use parking_lot::Mutex;
use rdkafka::Offset as KafkaOffset;
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::sync::{Notify, oneshot};

use crate::config::Config;
use crate::log::KafkaLog;
use crate::reading::number;

/// How often a member's thread looks whether it is to leave: others wait for that.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[async_trait]
impl ConsumerGroups for KafkaLog {
    async fn join(&self, group: &str, topic: Topic) -> Result<Arc<dyn GroupMember>, GroupError> {
        if !self.has(topic) {
            return Err(GroupError::UnknownTopic(topic));
        }
        let member = join(self.config(), group, topic).map_err(|error| unavailable(&error))?;
        Ok(Arc::new(member))
    }
}

fn unavailable(error: &impl ToString) -> GroupError {
    GroupError::Unavailable(error.to_string())
}

fn join(config: &Config, group: &str, topic: Topic) -> KafkaResult<KafkaMember> {
    let name = config.name(topic);
    let context = Membership::default();
    let (standing, client) = (Arc::clone(&context.0), config.member(group));
    let consumer: BaseConsumer<Membership> = client.create_with_context(context)?;
    consumer.subscribe(&[&name])?;
    let consumer = Arc::new(consumer);
    let listens = Arc::downgrade(&consumer);
    let listened = Arc::clone(&standing);
    thread::Builder::new()
        .name("kafka-member".to_owned())
        .spawn(move || {
            while let Some(consumer) = listens.upgrade().filter(|_| !listened.has_left()) {
                // Changes are told to the context. Paused partitions have no records.
                if let Some(Err(error)) = consumer.poll(LOOK_EVERY) {
                    listened.note(&error);
                }
            }
        })
        .map_err(|error| KafkaError::ClientCreation(error.to_string()))?;
    Ok(KafkaMember {
        name,
        answer_within: config.answer_within,
        consumer: Mutex::new(Some(consumer)),
        standing,
    })
}

/// What the member's consumer is told, on the member's thread.
#[derive(Debug, Default)]
struct Membership(Arc<Standing>);

/// A member's place in its group.
#[derive(Debug, Default)]
struct Standing {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What it has, what was taken and not released included.
    has: HashSet<Partition>,
    /// Changes that it has not been told yet: few, since the broker waits for what it takes.
    changes: VecDeque<Change>,
    /// Why it will hear of no change.
    failed: Option<KafkaError>,
    left: bool,
}

impl Standing {
    fn has_left(&self) -> bool {
        self.state.lock().left
    }

    fn tell(&self, change: Change) {
        self.state.lock().changes.push_back(change);
        self.news.notify_waiters();
    }

    /// The first of these that is not the member's.
    fn check(&self, partitions: impl IntoIterator<Item = Partition>) -> Result<(), GroupError> {
        let state = self.state.lock();
        if state.left {
            return Err(GroupError::Left);
        }
        let mut partitions = partitions.into_iter();
        match partitions.find(|partition| !state.has.contains(partition)) {
            Some(partition) => Err(GroupError::NotOurs(partition)),
            None => Ok(()),
        }
    }

    /// Notes an error that does not pass.
    fn note(&self, error: &KafkaError) {
        let lasts = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::Fatal
                    | RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::GroupAuthorizationFailed
                    | RDKafkaErrorCode::TopicAuthorizationFailed
            )
        );
        tracing::debug!(%error, lasts, "kafka: a member of a group waits");
        if lasts {
            self.state.lock().failed = Some(error.clone());
            self.news.notify_waiters();
        }
    }

    fn given(&self, partitions: Vec<Partition>) {
        self.state.lock().has.extend(&partitions);
        self.tell(Change::Given(partitions));
    }

    fn lost(&self, partitions: Vec<Partition>) {
        let mut state = self.state.lock();
        state
            .has
            .retain(|partition| !partitions.contains(partition));
        drop(state);
        self.tell(Change::Lost(partitions));
    }
}

impl ClientContext for Membership {}

impl ConsumerContext for Membership {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        what: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let (standing, partitions) = (&self.0, partitions(list));
        let given = what == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        // Asked before they are let go: then nothing counts as lost any more. To tell them as taken would have
        // them released a second time, and that could be of what was given since.
        let lost = !given && consumer.assignment_lost();
        let done = if given {
            let done = consumer.incremental_assign(list);
            done.and_then(|()| consumer.pause(list))
        } else if standing.has_left() || lost || partitions.is_empty() {
            consumer.incremental_unassign(list)
        } else {
            // Let go when the member says so.
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(%error, "kafka: a change of a group could not be followed");
        }
        match () {
            () if partitions.is_empty() => {}
            () if given => standing.given(partitions),
            () if lost => standing.lost(partitions),
            () => standing.tell(Change::Taken(partitions)),
        }
    }
}

fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    let elements = list.elements();
    let numbers = elements.iter().map(|one| u32::try_from(one.partition()));
    let partitions: BTreeSet<Partition> = numbers.flatten().map(Partition).collect();
    partitions.into_iter().collect()
}

/// A member of a group on Kafka.
struct KafkaMember {
    /// The topic's name in the cluster.
    name: String,
    answer_within: Duration,
    /// None once it has left.
    consumer: Mutex<Option<Arc<BaseConsumer<Membership>>>>,
    standing: Arc<Standing>,
}

impl KafkaMember {
    fn consumer(&self) -> Result<Arc<BaseConsumer<Membership>>, GroupError> {
        self.consumer.lock().clone().ok_or(GroupError::Left)
    }

    fn list(&self, next: &[(Partition, Offset)]) -> Result<TopicPartitionList, GroupError> {
        let mut list = TopicPartitionList::with_capacity(next.len());
        for (partition, offset) in next {
            let offset = KafkaOffset::Offset(i64::try_from(offset.0).unwrap_or(i64::MAX));
            let added = list.add_partition_offset(&self.name, number(*partition), offset);
            added.map_err(|error| unavailable(&error))?;
        }
        Ok(list)
    }

    fn let_all_go(&self) -> Option<Arc<BaseConsumer<Membership>>> {
        self.standing.state.lock().left = true;
        self.standing.news.notify_waiters();
        let consumer = self.consumer.lock().take()?;
        // Those that were taken and not released would be waited for. The protocol takes them only one
        // by one.
        let held = consumer.assignment();
        let let_go = held.and_then(|held| match held.count() {
            0 => Ok(()),
            _ => consumer.incremental_unassign(&held),
        });
        if let Err(error) = let_go {
            tracing::debug!(%error, "kafka: on leaving a group");
        }
        Some(consumer)
    }
}

#[async_trait]
impl GroupMember for KafkaMember {
    async fn change(&self) -> Result<Change, GroupError> {
        loop {
            let news = self.standing.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let mut state = self.standing.state.lock();
                if state.left {
                    return Err(GroupError::Left);
                }
                if let Some(change) = state.changes.pop_front() {
                    return Ok(change);
                }
                if let Some(error) = &state.failed {
                    return Err(unavailable(error));
                }
            }
            news.await;
        }
    }

    async fn release(&self, partitions: &[Partition]) -> Result<(), GroupError> {
        let consumer = self.consumer()?;
        let released: Vec<(Partition, Offset)> = {
            let mut state = self.standing.state.lock();
            // One that was lost meanwhile is let go already.
            let held = partitions.iter().filter(|one| state.has.contains(one));
            let held: Vec<Partition> = held.copied().collect();
            state.has.retain(|one| !held.contains(one));
            held.into_iter().map(|one| (one, Offset(0))).collect()
        };
        if released.is_empty() {
            return Ok(());
        }
        let unassigned = consumer.incremental_unassign(&self.list(&released)?);
        unassigned.map_err(|error| unavailable(&error))
    }

    async fn commit(&self, next: &[(Partition, Offset)]) -> Result<(), GroupError> {
        let consumer = self.consumer()?;
        self.standing
            .check(next.iter().map(|(partition, _)| *partition))?;
        let list = self.list(next)?;
        let commit = move || consumer.commit(&list, CommitMode::Sync);
        let committed = aside("kafka-commit", commit).await?;
        committed.map_err(|error| refused(&error, next))
    }

    async fn committed(&self, partition: Partition) -> Result<Option<Offset>, GroupError> {
        let (consumer, within) = (self.consumer()?, self.answer_within);
        let list = self.list(&[(partition, Offset(0))])?;
        let ask = move || consumer.committed_offsets(list, within);
        let list = aside("kafka-committed", ask).await?;
        let list = list.map_err(|error| unavailable(&error))?;
        let offset = list.elements().first().map(|one| one.offset());
        Ok(match offset {
            Some(KafkaOffset::Offset(offset)) => u64::try_from(offset).ok().map(Offset),
            _ => None,
        })
    }

    async fn leave(&self) -> Result<(), GroupError> {
        let Some(consumer) = self.let_all_go() else {
            return Ok(());
        };
        aside("kafka-leave", move || end(consumer)).await
    }
}

/// What a commit that the broker refused means.
fn refused(error: &KafkaError, next: &[(Partition, Offset)]) -> GroupError {
    let stale = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::StaleMemberEpoch
                | RDKafkaErrorCode::FencedMemberEpoch
        )
    );
    match next.first() {
        Some((partition, _)) if stale => GroupError::NotOurs(*partition),
        Some(_) | None => unavailable(error),
    }
}

/// Has something done that blocks, on a thread of its own.
async fn aside<T: Send + 'static>(
    name: &str,
    what: impl FnOnce() -> T + Send + 'static,
) -> Result<T, GroupError> {
    let (answer, waits) = oneshot::channel();
    let thread = thread::Builder::new().name(name.to_owned());
    let started = thread.spawn(move || drop(answer.send(Box::new(what()))));
    started.map_err(|error| unavailable(&error))?;
    let answered = waits.await.map_err(|_| GroupError::Left)?;
    Ok(*answered)
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        if let Some(consumer) = self.let_all_go() {
            thread::spawn(move || end(consumer));
        }
    }
}

/// Closes the consumer: the last one to hold it does, which may be the thread that polls it.
fn end(consumer: Arc<BaseConsumer<Membership>>) {
    let alone = Arc::downgrade(&consumer);
    drop(consumer);
    while alone.strong_count() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
}
