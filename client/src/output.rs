//! What comes out of a session: things for the shell to do, and news for the user.

use compact_str::CompactString;
use schemas::errors::{Code, Refusal};
use schemas::frames::{Entry, Frame, Marked, Settings, Ticks, Welcome};
use schemas::ids::{ChatId, ClientId};
use schemas::position::Seq;

/// A moment of the shell's own clock: milliseconds since it began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment so many milliseconds later.
    #[must_use]
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// Names a command within its session; given by the shell, each one only once and growing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// Why a connection ended or did not come about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// The server was not reached, or did not take the handshake.
    NotReached,
    /// The token is not, or no longer, valid.
    Unauthorized,
    /// The server closed with this code.
    Closed(u16),
    /// The socket broke.
    Broken,
    /// Nothing was heard for too long.
    Silent,
}

/// How far the connection has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Waiting before the next attempt.
    Waiting,
    /// The socket is being opened, or the server has not said `welcome`.
    Connecting,
    /// Welcome; what was missed is on its way.
    Resuming,
    /// Everything missed was handed over or is being asked for.
    Live,
    /// Over for good: closed by the user, or the token is refused.
    Closed,
}

/// News for the user, in the order in which it happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// An entry of a chat: exactly once, in seq order within the chat.
    Entry(Box<Entry>),
    /// A hint that messages of one's own got further.
    Ticks(Ticks),
    /// A mark of this user grew, perhaps on another device.
    Marked(Marked),
    /// A setting of this user changed, perhaps on another device.
    Settings(Settings),
    /// The server knows who this is.
    Welcome(Welcome),
    /// Everything missed has been sent. Of a connection that was live before: the server may have left
    /// something out and has sent the entries since then, but not hints, marks and settings; the list
    /// of chats has those.
    Live,
    /// The connection is gone; the next attempt comes by itself.
    Disconnected {
        /// Why.
        why: Lost,
        /// When the next attempt comes.
        retry_in_ms: u64,
    },
    /// The server said that it will close the connection, and why.
    Closing(Code),
}

/// `sent`: the log has the command durably.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The chat; for a new group the id it will have.
    pub chat: ChatId,
    /// The command's id of the client.
    pub client_id: ClientId,
    /// The command's id for ever.
    pub id: CompactString,
}

/// How a command was settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It counts.
    Accepted {
        /// The chat; for a new group its id.
        chat: ChatId,
        /// Its place there.
        seq: Seq,
    },
    /// It has no effect, and never will.
    Refused(Refusal),
}

/// One thing that comes out of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Open a socket: there, if the server gave a hint, else where the configuration says.
    Connect {
        /// A WebSocket URL.
        to: Option<String>,
    },
    /// Write this text frame.
    Write(Vec<u8>),
    /// Drop the socket, then report it as lost for this reason.
    Disconnect(Lost),
    /// Hand this to the user.
    Event(Event),
    /// A command that goes to the log is put on a socket for the first time.
    Began {
        /// Which.
        ticket: Ticket,
        /// The chat, unless the command makes it.
        chat: Option<ChatId>,
        /// Its id.
        client_id: ClientId,
    },
    /// The log has the command. Once a command at most.
    Sent {
        /// Which.
        ticket: Ticket,
        /// What the server said.
        sent: Sent,
    },
    /// The command is settled. Once a command.
    Settled {
        /// Which.
        ticket: Ticket,
        /// Under which id.
        client_id: ClientId,
        /// How.
        outcome: Outcome,
    },
    /// A read, mark or setting is answered. Once a command.
    Answered {
        /// Which.
        ticket: Ticket,
        /// The answer.
        answer: Result<Box<Frame>, Refusal>,
    },
}
