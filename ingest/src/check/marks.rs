//! Marks: what a session stamped becomes the event of `receipts`.
//!
//! The gateway knows what it sent to a session and stamps seq, ordinal, join and authors from it; a
//! client's own numbers never come here. So a wrong one is a defect of ours, not of the client.

use schemas::errors::{Code, Refusal};
use schemas::events::{Mark, MarkKind, ReceiptEvent};
use schemas::ids::{ChatId, Identity, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};

use super::By;
use super::limits::{self, MAX_MARK_AUTHORS};

/// A mark as the gateway stamped it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedMark {
    /// The chat.
    pub chat: ChatId,
    /// Delivered or read.
    pub kind: MarkKind,
    /// Up to this event.
    pub seq: Seq,
    /// The countable messages up to `seq`.
    pub ordinal: Ordinal,
    /// The user's join that the mark belongs to; 0 in a direct chat.
    pub since: Seq,
    /// The newest authors of what it newly covers; the first 16 others are told.
    pub authors: Vec<UserId>,
}

/// The event of a mark.
///
/// # Errors
/// `invalid_field` for a place that is none, `not_member` in a direct chat of others, `internal` for
/// stamps that contradict each other.
pub(crate) fn mark(
    who: &Identity,
    stamped: StampedMark,
    now: Timestamp,
) -> Result<ReceiptEvent, Refusal> {
    By { who, now }.may_be_in(&stamped.chat)?;
    let seq = limits::place("seq", stamped.seq)?;
    if stamped.ordinal.0 > seq.0 || stamped.since > seq {
        tracing::error!(chat = %stamped.chat, %seq, ordinal = %stamped.ordinal, since = %stamped.since,
            "a session stamped a mark that cannot be");
        return Err(Refusal::plain(Code::Internal));
    }
    let mut authors = stamped.authors;
    authors.retain(|author| *author != who.user);
    authors.truncate(MAX_MARK_AUTHORS);
    Ok(ReceiptEvent::Mark(Mark {
        chat: stamped.chat,
        user: who.user.clone(),
        device: who.device.clone(),
        kind: stamped.kind,
        seq,
        ordinal: stamped.ordinal,
        since: stamped.since,
        authors,
        at: now,
    }))
}
