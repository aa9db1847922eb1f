//! receipts: folds the topic `receipts` into marks, cursors and status counters, and tells users.
//!
//! `marks` of a chat are the fold's state: written last, in one batch. They need no position: a mark
//! that is applied again changes nothing. Cursors and counters follow from them. Authors are told of new counters once a chunk
//! and chat, a user's own devices of what was read: hints, so that a group in which a thousand read
//! one message costs a thousand marks and a few records.

pub mod fold;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::StoreError;
use schemas::avro::{DecodeError, LogEvent};
use schemas::events::{MarkKind, MarkTold, ReceiptEvent, StatusTold, UserEvent};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Partition, Seq, Version};
use schemas::tables::{ChatPartition, CursorRow, MarkRow, StatusRow, Table, TableDef};
use schemas::topics::{Topic, partition_of};

use crate::engine::projection::{Effects, Memory, Place, Projection, Tables};
use fold::{DeviceMarks, Marks, Reached, Who};

/// The projection of the topic `receipts`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Receipts;

#[async_trait]
impl Projection for Receipts {
    type Event = ReceiptEvent;
    type Key = ChatId;
    type State = Marks;
    type Want = ();
    type Facts = ();

    const NAME: &'static str = "receipts";
    const WRITER: &'static str = "receipts-rows";
    const ORIGIN: Topic = Topic::Receipts;
    const SETTLES: bool = true;

    fn tables() -> &'static [&'static TableDef] {
        const TABLES: &[&TableDef] = &[MarkRow::DEF, CursorRow::DEF, StatusRow::DEF];
        TABLES
    }

    fn decode(&self, value: &Bytes) -> Result<ReceiptEvent, DecodeError> {
        ReceiptEvent::decode(value)
    }

    fn routed_by<'a>(&self, ReceiptEvent::Mark(mark): &'a ReceiptEvent) -> Option<&'a str> {
        Some(mark.chat.as_str())
    }

    fn keys(&self, ReceiptEvent::Mark(mark): &ReceiptEvent, into: &mut Vec<ChatId>) {
        into.push(mark.chat.clone());
    }

    fn home_of<'a>(&self, chat: &'a ChatId) -> &'a str {
        chat.as_str()
    }

    fn fresh(&self, _chat: &ChatId) -> Marks {
        Marks::default()
    }

    async fn load(&self, tables: &Tables, chat: &ChatId) -> Result<Marks, StoreError> {
        let partition = ChatPartition { chat: chat.clone() };
        Ok(restored(tables.whole::<MarkRow>(&partition).await?))
    }

    fn wants(&self, _event: &ReceiptEvent, _state: &Marks) -> Option<()> {
        None
    }

    async fn facts(&self, _tables: &Tables, _want: &()) -> Result<(), StoreError> {
        Ok(())
    }

    fn apply(
        &self,
        place: &Place<'_>,
        ReceiptEvent::Mark(mark): &ReceiptEvent,
        _chat: &ChatId,
        marks: &mut Marks,
        _facts: Option<()>,
        _effects: &mut Effects,
    ) -> bool {
        marks.apply(mark, place.record.offset)
    }

    fn settle(&self, chat: &ChatId, marks: &mut Marks, effects: &mut Effects) {
        let ticks = std::mem::take(&mut marks.ticks);
        if effects.silently().is_some() {
            return;
        }
        for (user, own) in ticks.own {
            let told = UserEvent::MarkTold(MarkTold {
                recipients: vec![user.clone()],
                chat: chat.clone(),
                device: own.device,
                kind: MarkKind::Read,
                seq: own.reached.seq,
                ordinal: own.reached.ordinal,
                origin: own.origin,
            });
            effects.tell(home(&user, effects), &told, own.at);
        }
        let Some((origin, at)) = ticks.origin else {
            return;
        };
        let (delivered, read) = marks.counters();
        let (delivered, read) = (delivered.count_at(ticks.seq), read.count_at(ticks.seq));
        // Counts are beside the author, so authors who count themselves are told apart.
        let mut alike: BTreeMap<(Partition, (bool, bool)), Vec<UserId>> = BTreeMap::new();
        for author in ticks.authors {
            let own = marks.covers(&author, ticks.seq);
            let home = home(&author, effects);
            alike.entry((home, own)).or_default().push(author);
        }
        for ((partition, own), recipients) in alike {
            let told = UserEvent::StatusTold(StatusTold {
                recipients,
                chat: chat.clone(),
                seq: ticks.seq,
                delivered: delivered.saturating_sub(u32::from(own.0)),
                read: read.saturating_sub(u32::from(own.1)),
                origin,
            });
            effects.tell(partition, &told, at);
        }
    }

    fn unwritten(&self, marks: &Marks) -> usize {
        marks.unwritten.len()
    }

    fn remember(&self, chat: &ChatId, marks: &mut Marks, memory: &mut Memory) {
        let version = marks.position;
        let unwritten = std::mem::take(&mut marks.unwritten);
        for (user, device, _) in &unwritten {
            let device_is_at = marks.device_cursor(user, device);
            let read_is_at = marks.user_read(user);
            for (device, at) in [(Some(device), device_is_at), (None, read_is_at)] {
                if let Some((reached, since)) = at {
                    memory.put(&cursor(chat, user, device, reached, since), version);
                }
            }
        }
        let (delivered, read) = marks.counters();
        let status = StatusRow {
            chat: chat.clone(),
            delivered: delivered.clone(),
            read: read.clone(),
        };
        memory.put(&status, version);
        memory.state(|batch| {
            for who in unwritten {
                batch.put(&mark_row(chat, &who, marks.of(&who)), version);
            }
        });
    }

    fn weight(&self, marks: &Marks) -> usize {
        4 + 2 * marks.devices()
    }
}

fn home(user: &UserId, effects: &Effects) -> Partition {
    partition_of(user.as_str().as_bytes(), effects.partitions)
}

fn restored(rows: Vec<(MarkRow, Version)>) -> Marks {
    let mut marks = Marks::default();
    for (row, version) in rows {
        let reached = DeviceMarks {
            delivered: Reached {
                seq: row.delivered,
                ordinal: row.delivered_ordinal,
            },
            read: Reached {
                seq: row.read,
                ordinal: row.read_ordinal,
            },
        };
        marks.restore((row.user, row.device, row.since), reached, version);
    }
    marks
}

fn cursor(
    chat: &ChatId,
    user: &UserId,
    device: Option<&DeviceId>,
    reached: Reached,
    since: Seq,
) -> CursorRow {
    CursorRow {
        user: user.clone(),
        device: device.cloned(),
        chat: chat.clone(),
        seq: reached.seq,
        ordinal: reached.ordinal,
        since,
    }
}

fn mark_row(chat: &ChatId, (user, device, since): &Who, marks: DeviceMarks) -> MarkRow {
    MarkRow {
        chat: chat.clone(),
        user: user.clone(),
        device: device.clone(),
        since: *since,
        delivered: marks.delivered.seq,
        delivered_ordinal: marks.delivered.ordinal,
        read: marks.read.seq,
        read_ordinal: marks.read.ordinal,
    }
}
