//! Messages into many chats at a steady rate, and how long each waits until its recipients are told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use infra_log_kafka::KafkaLog;
use infra_ports::log::{EventLog, NewRecord, Visibility};
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::{Body, ChatEvent, MessageSent, Origin, RULES, UserEvent};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Offset, Partition, Seq, Timestamp};
use schemas::topics::{Topic, partition_of};

/// Chats that are written to in turn: more than partitions.
const CHATS: u64 = 32;
/// How far apart messages are.
const EVERY: Duration = Duration::from_millis(5);

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp(i64::try_from(now.as_millis()).unwrap())
}

/// What was sent and what was told of it.
#[derive(Default)]
pub(crate) struct Seen {
    /// The longest that news waited since it was last asked.
    longest: Mutex<Duration>,
    /// For each user and chat, the entries in the order in which they came, each the first time.
    told: Mutex<BTreeMap<(UserId, ChatId), Vec<Seq>>>,
}

impl Seen {
    /// The longest wait since the last time.
    pub(crate) fn longest(&self) -> Duration {
        std::mem::take(&mut *self.longest.lock())
    }

    /// Entries that were told, each counted once a user; each chat's without a hole, in order.
    pub(crate) fn told(&self) -> usize {
        let told = self.told.lock();
        for (who, seqs) in told.iter() {
            let dense = (1..).map(Seq).take(seqs.len());
            assert!(seqs.iter().copied().eq(dense), "{who:?}: {seqs:?}");
        }
        told.values().map(Vec::len).sum()
    }
}

/// Sends for so long, and answers how many messages that were.
pub(crate) async fn send(log: &KafkaLog, from: u64, duration: Duration) -> u64 {
    let until = tokio::time::Instant::now() + duration;
    let mut ticks = tokio::time::interval(EVERY);
    let mut n = from;
    while tokio::time::Instant::now() < until {
        ticks.tick().await;
        log.append_all(Topic::Chats, vec![message(n, log.partitions())])
            .await
            .unwrap();
        n += 1;
    }
    n
}

fn message(n: u64, partitions: u32) -> (Partition, Vec<NewRecord>) {
    let ada = UserId::new("ada").unwrap();
    let other = UserId::new(format!("bob{}", n % CHATS)).unwrap();
    let chat = ChatId::direct(&ada, &other).unwrap();
    let event = ChatEvent::MessageSent(MessageSent {
        origin: Origin {
            chat: chat.clone(),
            author: ada,
            device: DeviceId::new("phone").unwrap(),
            client_id: ClientId::new(format!("m{n}")).unwrap(),
            at: now(),
            rules: RULES,
        },
        body: Body::text(format!("message {n}")),
        reply_to: None,
    });
    let key = Bytes::copy_from_slice(chat.as_str().as_bytes());
    let record = NewRecord {
        key: key.clone(),
        value: event.encode().unwrap(),
        at: now(),
    };
    (partition_of(&key, partitions), vec![record])
}

/// Reads what users are told, for as long as the log is open.
pub(crate) async fn watch(log: Arc<KafkaLog>, seen: Arc<Seen>) {
    let all = (0..log.partitions()).map(|p| (Partition(p), Offset(0)));
    let tail = log.tail(Topic::Users, all.collect(), Visibility::Appended);
    let mut tail = tail.await.unwrap();
    while let Ok(batches) = tail.next(1_024).await {
        for record in batches.into_iter().flat_map(|batch| batch.records) {
            let UserEvent::EntryTold(told) = UserEvent::decode(&record.value).unwrap() else {
                continue;
            };
            let waited = u64::try_from(now().0 - record.at.0).unwrap_or_default();
            let mut all = seen.told.lock();
            for user in told.recipients {
                let seqs = all.entry((user, told.chat.clone())).or_default();
                if seqs.last().is_none_or(|last| told.seq > *last) {
                    seqs.push(told.seq);
                    let mut longest = seen.longest.lock();
                    *longest = longest.max(Duration::from_millis(waited));
                }
            }
        }
    }
}
