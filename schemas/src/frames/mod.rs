//! The client frames: JSON text, `{"type": …, "ref": …, "data": {…}}`, in both directions.
//!
//! `type` comes first; `ref` is the client's own mark on a command and is echoed in its answer;
//! unknown fields are ignored. [`Command`] is what a client says, [`Frame`] what the server says.
//! The subprotocol [`SUBPROTOCOL`] names this version of them. `docs/protocol.md` is the page for
//! client developers.

mod body;
mod codec;
mod command;
mod entry;
mod frame;
mod reads;

pub use body::WireBody;
pub use codec::{
    MAX_REF_BYTES, Received, decode_command, decode_frame, encode_command, encode_frame,
};
pub use command::{
    AddMember, Archive, ChangeChat, ChatsQuery, Command, CreateGroup, Delete, Edit, Hello, Hide,
    HistoryQuery, Leave, MarkUpTo, MembersQuery, Mute, Pin, React, RemoveMember, Send, SetRole,
    StatusQuery, TimelineQuery,
};
pub use entry::{Entry, EntryEvent};
pub use frame::{
    Accepted, Closing, Entries, Frame, Marked, Receipt, Settings, Settled, Ticks, Verdict, Welcome,
};
pub use reads::{ChatSummary, Chats, History, Member, Members, Message, Preview, Status, StatusOf};

/// The WebSocket subprotocol of this version of the frames.
pub const SUBPROTOCOL: &str = "cursus.v1.json";
/// The largest frame a client may send.
pub const MAX_FRAME_BYTES: usize = 256 * 1024;
/// The largest body of a message.
pub const MAX_BODY_BYTES: usize = 64 * 1024;
/// The most entries in one batch of a resume or timeline.
pub const MAX_BATCH: usize = 100;
/// Messages in a page of history, unless fewer are asked for.
pub const PAGE: usize = 50;
/// The most members of a group.
pub const MAX_MEMBERS: u32 = 1024;
/// Members of a group unless its creator says otherwise.
pub const DEFAULT_MEMBERS: u32 = 256;
/// Unsettled commands of a chat that a socket may have; the fold remembers as many verdicts of a device,
/// and a client that sends again stays within half of it.
pub const MAX_UNSETTLED: usize = 256;
