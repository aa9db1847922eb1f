//! What is appended to the log: one Rust record per Avro schema, one closed enum per topic.
//!
//! Field names and order are those of `schemas/avro/*.avsc`. A field added later has
//! `#[serde(default)]` and the same default in its schema. Encoding and decoding of bytes is
//! [`crate::avro`]'s. Clients' wishes become these in `ingest`; folds decide whether they count.

mod accounts;
mod body;
mod chats;
mod dead_letters;
mod octets;
mod receipts;
mod symbols;
mod users;

pub use accounts::{AccountEvent, ChatArchived, ChatMuted, ChatPinned, MessageHidden};
pub use body::{Body, BodyKind};
pub use chats::{
    ChatChanged, ChatCreated, ChatEvent, MemberAdded, MemberLeft, MemberRemoved, MemberRoleChanged,
    MessageDeleted, MessageEdited, MessageSent, Origin, RULES, ReactionSet, Role,
};
pub use dead_letters::DeadLetter;
pub use receipts::{Mark, MarkKind, ReceiptEvent};
pub use users::{EntryTold, MarkTold, SettingTold, StatusTold, UserEvent, VerdictTold};
