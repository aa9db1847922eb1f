//! The topics, in one table of constants, and the hash that says which partition a key is in.
//!
//! Hash and partition count are part of the data format: fixed when a log is created, written in
//! it, checked at start. The hash is that of Kafka's default partitioner, so that a stock Kafka
//! client in any language finds the same partition.

use crate::position::Partition;

/// A topic. Closed: a new one is a new version of the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// What members do to chats, by chat.
    Chats,
    /// How far devices and users have got, by chat.
    Receipts,
    /// What users arrange for themselves, by user.
    Accounts,
    /// What users must be told, by explicit partition.
    Users,
    /// Records that could not be decoded, in the partition they came from.
    DeadLetters,
}

/// When an append to a topic is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Before the append returns.
    EachAppend,
    /// When the topic is synced, a chunk at a time; until then the record can be made again.
    Synced,
}

/// What a topic is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicSpec {
    /// Which.
    pub topic: Topic,
    /// Its name, in Kafka too.
    pub name: &'static str,
    /// What its key is.
    pub key: &'static str,
    /// When an append is durable.
    pub durability: Durability,
    /// Days a record is kept; none is for ever.
    pub retention_days: Option<u32>,
}

/// Partitions of every topic, unless the log was created with another count.
pub const DEFAULT_PARTITIONS: u32 = 64;

/// All topics.
pub const TOPICS: [TopicSpec; 5] = [
    spec(Topic::Chats, "chats", "chat", Durability::EachAppend, None),
    spec(
        Topic::Receipts,
        "receipts",
        "chat",
        Durability::EachAppend,
        None,
    ),
    spec(
        Topic::Accounts,
        "accounts",
        "user",
        Durability::EachAppend,
        None,
    ),
    spec(Topic::Users, "users", "none", Durability::Synced, Some(7)),
    spec(
        Topic::DeadLetters,
        "dead-letters",
        "origin",
        Durability::EachAppend,
        Some(30),
    ),
];

const fn spec(
    topic: Topic,
    name: &'static str,
    key: &'static str,
    durability: Durability,
    retention_days: Option<u32>,
) -> TopicSpec {
    TopicSpec {
        topic,
        name,
        key,
        durability,
        retention_days,
    }
}

impl Topic {
    /// What this topic is like.
    pub const fn spec(self) -> TopicSpec {
        let [chats, receipts, accounts, users, dead_letters] = TOPICS;
        match self {
            Self::Chats => chats,
            Self::Receipts => receipts,
            Self::Accounts => accounts,
            Self::Users => users,
            Self::DeadLetters => dead_letters,
        }
    }

    /// The topic's name.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }
}

impl std::fmt::Display for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The partition of a key: murmur2 of its bytes, sign bit cleared, modulo the partition count, as
/// `org.apache.kafka.clients.producer.internals.BuiltInPartitioner` does it.
pub fn partition_of(key: &[u8], partitions: u32) -> Partition {
    Partition((murmur2(key) & 0x7fff_ffff) % partitions.max(1))
}

/// MurmurHash2 in 32 bits with Kafka's seed (`org.apache.kafka.common.utils.Utils.murmur2`).
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    let mut h = 0x9747_b28c ^ length;
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        h = h.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    if !tail.is_empty() {
        let rest = tail
            .iter()
            .rev()
            .fold(0_u32, |rest, b| rest << 8 | u32::from(*b));
        h = (h ^ rest).wrapping_mul(M);
    }
    h ^= h >> 13;
    h = h.wrapping_mul(M);
    h ^ h >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn murmur2_agrees_with_kafkas_own_test_vectors() {
        // org.apache.kafka.common.utils.UtilsTest.testMurmur2
        let vectors: [(&[u8], i32); 8] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (
                b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            (b"abc", 479_470_107),
            (b"", 275_646_681),
            (b"\x61\x62\x63", 479_470_107),
        ];
        for (key, hash) in vectors {
            assert_eq!(murmur2(key).cast_signed(), hash, "{key:?}");
        }
    }

    #[test]
    fn every_topic_finds_its_own_row() {
        for spec in TOPICS {
            assert_eq!(spec.topic.spec(), spec);
        }
    }
}
