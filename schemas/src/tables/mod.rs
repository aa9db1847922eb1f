//! Tables: what projectors write and delivery reads, one file each, with the arithmetic of its rows.
//!
//! One definition serves every store. `table!` makes of it a row, its key and its partition key
//! as Rust types and a [`TableDef`], which is all an adapter knows of a table: a store of ordered
//! keys takes rows as bytes ([`encode_row`]), a store of typed columns takes those apart again by
//! the definition ([`cql`]). Nothing here does I/O, and no adapter holds a table's name.
//!
//! ```text
//! partition key  [column]…            ordered bytes, see `key`
//! clustering key [column]…            ordered bytes, likewise; byte order is key order
//! values         [tag][length][wire]… in rising tag order: length as a varint, wire as CQL has it
//! ```
//!
//! Mutable columns are never null: a sentinel stands for "none" (0, or an empty text). A column is
//! added with a new, higher tag; rows written before it read as the type's absent value.

mod column;
#[macro_use]
mod define;
mod key;
mod row;
mod types;
mod value;

pub mod cql;
mod digest;

mod changes;
mod chat_settings;
mod chat_states;
mod chats;
mod checkpoints;
mod cursors;
mod generations;
mod hidden;
mod inbox;
mod marks;
mod member_chats;
mod members;
mod messages;
mod overlays;
mod status;

pub use self::changes::{ChangeKey, ChangeRow};
pub use self::chat_settings::{ChatSettingKey, ChatSettingRow};
pub use self::chat_states::{ChatStateKey, ChatStateRow};
pub use self::chats::{ChatKey, ChatPartition, ChatRow};
pub use self::checkpoints::{CheckpointKey, CheckpointPartition, CheckpointRow};
pub use self::column::{Column, ColumnRole, ColumnType, CqlType, RowError, TableDef};
pub use self::cursors::{CursorKey, CursorRow};
pub use self::define::{ColSink, ColSource, Cols, Table};
pub use self::digest::Digest;
pub use self::generations::{ALL_PROJECTIONS, GenerationKey, GenerationPartition, GenerationRow};
pub use self::hidden::{HiddenKey, HiddenPartition, HiddenRow};
pub use self::inbox::{InboxKey, InboxRow, MAX_PREVIEW_CHARS, preview, unread};
pub use self::marks::{MarkKey, MarkRow};
pub use self::member_chats::{MemberChatKey, MemberChatRow, UserPartition};
pub use self::members::{MemberKey, MemberRow, Stay, first_visible, visible};
pub use self::messages::{BUCKET_SEQS, Bucket, BucketPartition, MessageKey, MessageRow, bucket};
pub use self::overlays::{DELETED, EDITED, OverlayKey, OverlayRow, reaction_author, reaction_of};
pub use self::row::{
    EncodedRow, PackedRow, decode_key, decode_row, encode_cluster_prefix, encode_key,
    encode_partition, encode_row, pack_row, split_key,
};
pub use self::status::{StatusKey, StatusRow, Steps, StepsError};

/// The definitions of all tables, in the order of their names.
pub const TABLES: [&TableDef; 15] = [
    ChangeRow::DEF,
    ChatSettingRow::DEF,
    ChatStateRow::DEF,
    ChatRow::DEF,
    CheckpointRow::DEF,
    CursorRow::DEF,
    GenerationRow::DEF,
    HiddenRow::DEF,
    InboxRow::DEF,
    MarkRow::DEF,
    MemberChatRow::DEF,
    MemberRow::DEF,
    MessageRow::DEF,
    OverlayRow::DEF,
    StatusRow::DEF,
];

#[cfg(test)]
mod tests;
