//! chats: folds the topic `chats` into chats, members, messages and verdicts, and tells users.
//!
//! The pure part is [`fold`]; this file fits it to the engine: which state, which facts, which rows,
//! who is told. It knows nothing of the other projections.

mod blob;
mod dedupe;
mod fan_out;
pub mod fold;
mod membership;
mod memory;
mod rows;
pub mod state;
mod sum;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod torn;
#[cfg(test)]
mod unreadable;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::StoreError;
use infra_ports::log::MAX_RECORD_BYTES;
use schemas::avro::{DecodeError, LogEvent};
use schemas::events::ChatEvent;
use schemas::ids::ChatId;
use schemas::position::Seq;
use schemas::tables::{
    ChangeRow, ChatPartition, ChatRow, ChatStateRow, MemberChatRow, MemberRow, MessageKey,
    MessageRow, OverlayRow, Table, TableDef, bucket,
};
use schemas::topics::Topic;

pub use dedupe::{RING, Verdict};
pub use membership::MAX_MEMBERS;

use crate::engine::projection::{Effects, Memory, Place, Projection, Tables};
use fold::Outcome;
use state::{ChatState, Target};

/// The projection of the topic `chats`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chats;

/// How often a state is read, at once, whose rows are not of one moment.
const TRIES: usize = 2;

/// A message that an event names and the state does not have at hand.
#[derive(Debug)]
pub struct WantedTarget {
    chat: ChatId,
    seq: Seq,
}

#[async_trait]
impl Projection for Chats {
    type Event = ChatEvent;
    type Key = ChatId;
    type State = ChatState;
    type Want = WantedTarget;
    type Facts = Option<Target>;

    const NAME: &'static str = "chats";
    const WRITER: &'static str = "chats-rows";
    const ORIGIN: Topic = Topic::Chats;
    // An entry goes out with up to a thousand recipients of up to 64 bytes.
    const MAX_VALUE_BYTES: usize = MAX_RECORD_BYTES - 128 * 1024;

    fn tables() -> &'static [&'static TableDef] {
        const TABLES: &[&TableDef] = &[
            ChatRow::DEF,
            MessageRow::DEF,
            ChangeRow::DEF,
            OverlayRow::DEF,
            MemberRow::DEF,
            MemberChatRow::DEF,
            ChatStateRow::DEF,
        ];
        TABLES
    }

    fn decode(&self, value: &Bytes) -> Result<ChatEvent, DecodeError> {
        ChatEvent::decode(value)
    }

    fn routed_by<'a>(&self, event: &'a ChatEvent) -> Option<&'a str> {
        Some(event.origin().chat.as_str())
    }

    fn rules(&self, event: &ChatEvent) -> u32 {
        event.origin().rules
    }

    fn keys(&self, event: &ChatEvent, into: &mut Vec<ChatId>) {
        into.push(event.origin().chat.clone());
    }

    fn home_of<'a>(&self, chat: &'a ChatId) -> &'a str {
        chat.as_str()
    }

    fn fresh(&self, chat: &ChatId) -> ChatState {
        ChatState::new(chat)
    }

    async fn load(&self, tables: &Tables, chat: &ChatId) -> Result<ChatState, StoreError> {
        let partition = ChatPartition { chat: chat.clone() };
        for _ in 0..TRIES {
            let rows = tables.whole::<ChatStateRow>(&partition).await?;
            let is_one_page = rows.len() < tables.rows_per_read;
            match memory::read(chat, &rows, is_one_page) {
                Ok(state) => return Ok(state),
                Err(blob::BlobError::Torn) => {}
                Err(error) => {
                    let is_newer = matches!(error, blob::BlobError::UnknownFormat(_));
                    return Err(cannot_read(ChatStateRow::DEF, &error, is_newer));
                }
            }
        }
        // To be tried again like a store that does not answer: replicas come to agree.
        let reason = format!(
            "replicas do not agree on the state of chat {chat}, in chat_states; if one is lost for good: \
             cursus rebuild"
        );
        Err(StoreError::Unavailable(reason))
    }

    fn wants(&self, event: &ChatEvent, state: &ChatState) -> Option<WantedTarget> {
        let seq = event.target()?;
        let exists = seq > Seq(0) && seq <= state.head;
        if !exists || state.recent(seq).is_some() {
            return None;
        }
        let chat = event.origin().chat.clone();
        Some(WantedTarget { chat, seq })
    }

    async fn facts(
        &self,
        tables: &Tables,
        want: &WantedTarget,
    ) -> Result<Option<Target>, StoreError> {
        let key = MessageKey {
            chat: want.chat.clone(),
            bucket: bucket(want.seq),
            seq: want.seq,
        };
        let Some((row, _)) = tables.get::<MessageRow>(&key).await? else {
            return Ok(None);
        };
        let event = ChatEvent::decode(&row.event);
        let event =
            event.map_err(|error| cannot_read(MessageRow::DEF, &error, error.is_unknown()))?;
        let author = event.origin().author.clone();
        Ok(event.is_countable().then_some(Target { author }))
    }

    fn apply(
        &self,
        place: &Place<'_>,
        event: &ChatEvent,
        chat: &ChatId,
        state: &mut ChatState,
        facts: Option<Option<Target>>,
        effects: &mut Effects,
    ) -> bool {
        if place.version() <= state.position {
            return false;
        }
        let target = match (event.target(), facts) {
            (None, _) => None,
            (Some(_), Some(looked_up)) => looked_up,
            (Some(seq), None) => state.recent(seq).flatten().cloned(),
        };
        // Not before: what was at hand when the engine asked must be at hand here.
        state.trim_recent(place.written);
        match fold::apply(state, event, target.as_ref(), place.record.offset) {
            Outcome::Accepted(accepted) => {
                fan_out::entry(chat, state, &accepted, place, effects);
                rows::put(chat, event, &accepted, place.record, effects);
            }
            Outcome::Refused(code) => {
                let refused = Verdict::Refused(code);
                fan_out::verdict(event.origin(), refused, place.record, effects);
            }
            Outcome::Repeated(verdict) => {
                fan_out::verdict(event.origin(), verdict, place.record, effects);
            }
        }
        true
    }

    fn unwritten(&self, state: &ChatState) -> usize {
        state.unwritten.members.len() + state.unwritten.verdicts.len()
    }

    fn remember(&self, chat: &ChatId, state: &mut ChatState, memory: &mut Memory) {
        let unwritten = std::mem::take(&mut state.unwritten);
        if let (Some(version), Some(row)) = (unwritten.chat, rows::chat(chat, state)) {
            memory.put(&row, version);
        }
        memory.state(|batch| memory::write(chat, state, &unwritten, batch));
    }

    fn weight(&self, state: &ChatState) -> usize {
        state.weight()
    }
}

/// Why a row cannot be read: a newer build may be able to, or none ever will.
fn cannot_read(table: &TableDef, why: &dyn std::error::Error, is_newer: bool) -> StoreError {
    let (table, reason) = (table.name, why.to_string());
    match is_newer {
        true => StoreError::Newer { table, reason },
        false => StoreError::Damaged { table, reason },
    }
}
