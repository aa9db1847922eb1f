//! Events ↔ bytes: Avro single-object encoding, under schemas that are part of the program.
//!
//! ```text
//!  0    1    2                              10
//! ┌────┬────┬──────────────────────────────┬───────────────────────────────┐
//! │ C3 │ 01 │ CRC-64-AVRO of the writer's  │ Avro binary datum of one      │
//! │    │    │ schema, little-endian        │ record, up to the last byte   │
//! └────┴────┴──────────────────────────────┴───────────────────────────────┘
//!   at most 1 MiB in all
//! ```
//!
//! Readers that know a schema registry see another head on Kafka: [`SchemaIds`] exchanges the two.
//! Written is the newest released schema of a type; read is every one ever released, each with
//! the schema it was written under. Nothing here decides what an event means. Positions are Avro
//! longs: a position above `i64::MAX` does not encode, a negative one does not decode. A symbol
//! of an enum that this build does not know reads as the enum's default.

mod describe;
mod errors;
mod registered;
mod store;
mod subjects;
mod walk;
mod writer;

use bytes::Bytes;

pub use describe::describe;
pub use errors::{DecodeError, EncodeError, Malformed};
pub use registered::{FIRST_SCHEMA_ID, SchemaIds, schema_id};
pub use store::{Release, SchemaStore, StoreError};
pub use subjects::{SUBJECTS, Subject};

use crate::events::{AccountEvent, ChatEvent, DeadLetter, ReceiptEvent, UserEvent};
use crate::topics::Topic;

/// The longest encoded event, frame included: 1 MiB.
pub const MAX_EVENT_BYTES: usize = 1 << 20;

/// What stands in a topic: one closed set of event types.
pub trait LogEvent: Sized {
    /// The topic.
    const TOPIC: Topic;

    /// Of which event type it is.
    fn subject(&self) -> Subject;

    /// The event as a single-object frame. The same event always gives the same bytes.
    ///
    /// # Errors
    /// When a number does not fit its schema, or the frame is over [`MAX_EVENT_BYTES`].
    fn encode(&self) -> Result<Bytes, EncodeError>;

    /// Reads a frame with the given schemas.
    ///
    /// # Errors
    /// As [`LogEvent::decode`].
    fn decode_with(schemas: &SchemaStore, bytes: &[u8]) -> Result<Self, DecodeError>;

    /// Reads a frame that any build up to this one wrote. Never panics; allocates no more than a
    /// small multiple of the bytes.
    ///
    /// # Errors
    /// [`DecodeError::UnknownSchema`] when the frame's schema is none of this build's, else
    /// [`DecodeError::Malformed`].
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        Self::decode_with(SchemaStore::released(), bytes)
    }
}

macro_rules! log_event {
    ($event:ident of $topic:ident: $($record:ident),+) => {
        impl LogEvent for $event {
            const TOPIC: Topic = Topic::$topic;

            fn subject(&self) -> Subject {
                match self { $(Self::$record(_) => Subject::$record,)+ }
            }

            fn encode(&self) -> Result<Bytes, EncodeError> {
                match self { $(Self::$record(e) => writer::encode(Subject::$record, e),)+ }
            }

            fn decode_with(schemas: &SchemaStore, bytes: &[u8]) -> Result<Self, DecodeError> {
                let (release, datum) = schemas.open(bytes)?;
                $(if release.subject == Subject::$record {
                    return release.read(datum).map(Self::$record);
                })+
                Err(wrong_topic(release, Self::TOPIC))
            }
        }
    };
}

log_event!(ChatEvent of Chats: MessageSent, MessageEdited, MessageDeleted, ReactionSet,
    ChatCreated, ChatChanged, MemberAdded, MemberRemoved, MemberLeft, MemberRoleChanged);
log_event!(ReceiptEvent of Receipts: Mark);
log_event!(AccountEvent of Accounts: ChatMuted, ChatArchived, ChatPinned, MessageHidden);
log_event!(UserEvent of Users: EntryTold, VerdictTold, StatusTold, MarkTold, SettingTold);

impl LogEvent for DeadLetter {
    const TOPIC: Topic = Topic::DeadLetters;

    fn subject(&self) -> Subject {
        Subject::DeadLetter
    }

    fn encode(&self) -> Result<Bytes, EncodeError> {
        writer::encode(Subject::DeadLetter, self)
    }

    fn decode_with(schemas: &SchemaStore, bytes: &[u8]) -> Result<Self, DecodeError> {
        let (release, datum) = schemas.open(bytes)?;
        if release.subject != Subject::DeadLetter {
            return Err(wrong_topic(release, Self::TOPIC));
        }
        release.read(datum)
    }
}

fn wrong_topic(release: &Release, topic: Topic) -> DecodeError {
    let subject = release.subject.name();
    Malformed::WrongTopic { subject, topic }.into()
}
