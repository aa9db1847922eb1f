//! Stamping a mark: its ordinal, its join and whom to tell, from what was sent to the session, else
//! from the timeline. What is beyond both is refused.

use std::sync::Arc;

use schemas::errors::{Code, Refusal};
use schemas::events::MarkKind;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Ordinal, Seq};
use schemas::tables::Stay;

use super::{SignedIn, marks};
use crate::gateway::Gateway;
use crate::gateway::pushed::Pushed;
use crate::reads::MAX_AUTHORS;
use crate::seams::StampedMark;

/// What a session itself knows of a mark.
struct FromSession {
    ordinal: Ordinal,
    /// All authors of what the mark covers, or as many as are told; none when some are not known.
    authors: Option<Vec<UserId>>,
}

/// Stamps a mark.
///
/// # Errors
/// `mark_ahead` beyond what was sent to the session and what the tables show of the chat,
/// `not_member` and `chat_not_found` for a chat that this user never was in, `unavailable` when the
/// tables do not answer or are not there in time.
pub(super) async fn stamp(
    gateway: &Gateway,
    signed_in: &SignedIn,
    chat: &ChatId,
    kind: MarkKind,
    seq: Seq,
) -> Result<StampedMark, Refusal> {
    let refused = match by_tables(gateway, signed_in, chat, kind, seq).await {
        Ok(stamped) => return Ok(stamped),
        Err(refused) => refused,
    };
    let is_final = matches!(
        refused.code,
        Code::MarkAhead | Code::NotMember | Code::ChatNotFound
    );
    if !is_final {
        return Err(refused);
    }
    // A client takes this for the last word, so it is said only by tables that have everything.
    if !gateway.rows_are_current(signed_in, chat).await {
        return Err(Refusal::plain(Code::Unavailable));
    }
    by_tables(gateway, signed_in, chat, kind, seq).await
}

/// Stamps a mark by what the tables show now.
async fn by_tables(
    gateway: &Gateway,
    signed_in: &SignedIn,
    chat: &ChatId,
    kind: MarkKind,
    seq: Seq,
) -> Result<StampedMark, Refusal> {
    let user = &signed_in.identity.user;
    let (sent, joins) = {
        let track = signed_in.track.lock();
        let seen = track.chat(chat);
        seen.map_or((Seq(0), 0), |seen| (seen.sent, seen.joins))
    };
    if seq > sent && seq > gateway.reads.visible_head(user, chat).await? {
        return Err(Refusal::plain(Code::MarkAhead));
    }
    let known = marks::known(signed_in, chat, kind);
    let own = from_session(signed_in, chat, known, seq);
    let patience = gateway.config.inbox_within;
    if chat.is_group() {
        // Of the joins that this session was told of the tables must know too.
        if !gateway.rows_of(signed_in, chat, patience).await {
            return Err(Refusal::plain(Code::Unavailable));
        }
    }
    let (mut stays, mut row) = look_up(gateway, user, chat, seq, known, own.as_ref()).await?;
    if joined(&stays, seq).is_none() || (own.is_none() && row.is_none()) {
        // What was pushed may be ahead of the tables, and longer ago than this session remembers.
        gateway.rows_are_current(signed_in, chat).await;
        (stays, row) = look_up(gateway, user, chat, seq, known, own.as_ref()).await?;
    }
    let since = joined(&stays, seq).ok_or_else(|| Refusal::plain(Code::NotMember))?;
    remember_join(signed_in, chat, &stays, joins);
    let (ordinal, authors) = match (own, row) {
        (
            Some(FromSession {
                ordinal,
                authors: Some(authors),
            }),
            _,
        ) => (ordinal, authors),
        (Some(own), Some((_, authors))) => (own.ordinal, authors),
        (None, Some((ordinal, authors))) => (ordinal, authors),
        (_, None) => return Err(Refusal::plain(Code::Unavailable)),
    };
    Ok(StampedMark {
        chat: chat.clone(),
        kind,
        seq,
        ordinal,
        since,
        authors,
    })
}

/// Stamps a mark from what the session and the gateway know; none when the tables must be asked.
pub(crate) fn at_once(
    gateway: &Gateway,
    signed_in: &SignedIn,
    chat: &ChatId,
    kind: MarkKind,
    seq: Seq,
) -> Option<StampedMark> {
    let known = marks::known(signed_in, chat, kind);
    let (sent, joined) = {
        let track = signed_in.track.lock();
        let seen = track.chat(chat)?;
        (seen.sent, seen.joined)
    };
    let user = &signed_in.identity.user;
    let since = match chat.pair() {
        Some((a, b)) => (*user == a || *user == b).then_some(Seq(0)),
        None => joined.filter(|joined| seq >= *joined),
    }?;
    if seq > sent {
        return None;
    }
    let own = from_session(signed_in, chat, known, seq).filter(|own| own.authors.is_some());
    let own = own.or_else(|| {
        // What came before the join this user does not see.
        let known = known.max(Seq(since.0.saturating_sub(1)));
        let lately = gateway.lately.lock();
        covered(lately.down_from(chat, seq), user, known, seq)
    })?;
    Some(StampedMark {
        chat: chat.clone(),
        kind,
        seq,
        ordinal: own.ordinal,
        since,
        authors: own.authors?,
    })
}

type FromTables = (Vec<Stay>, Option<(Ordinal, Vec<UserId>)>);

/// The user's stays, and, where the session does not know enough, the place's ordinal and the
/// authors up to it.
async fn look_up(
    gateway: &Gateway,
    user: &UserId,
    chat: &ChatId,
    seq: Seq,
    known: Seq,
    own: Option<&FromSession>,
) -> Result<FromTables, Refusal> {
    let stays = gateway.reads.stays(user, chat).await?;
    let complete = own.is_some_and(|own| own.authors.is_some());
    if complete {
        return Ok((stays, None));
    }
    let row = gateway.reads.covered(user, chat, known, seq).await?;
    Ok((stays, row))
}

/// Notes the join of the stay that lasts, unless the session was told of another one meanwhile.
fn remember_join(signed_in: &SignedIn, chat: &ChatId, stays: &[Stay], joins: u32) {
    let newest = stays.iter().max().filter(|stay| stay.is_open());
    let mut track = signed_in.track.lock();
    let seen = track.chat_mut(chat);
    if seen.joins == joins && chat.is_group() {
        seen.joined = newest.map(|stay| stay.since);
    }
}

/// The join of the stay that sees a place.
fn joined(stays: &[Stay], seq: Seq) -> Option<Seq> {
    stays
        .iter()
        .filter(|stay| stay.sees(seq))
        .map(|stay| stay.since)
        .max()
}

/// What the session was sent of late, from the place down to the mark before.
fn from_session(signed_in: &SignedIn, chat: &ChatId, known: Seq, seq: Seq) -> Option<FromSession> {
    let track = signed_in.track.lock();
    let recent = track.recent(chat).filter(|pushed| pushed.seq <= seq);
    covered(recent, &signed_in.identity.user, known, seq)
}

/// What a mark covers, from its place down to the mark before, of entries in falling order.
fn covered<'a>(
    entries: impl Iterator<Item = &'a Arc<Pushed>>,
    user: &UserId,
    known: Seq,
    seq: Seq,
) -> Option<FromSession> {
    let mut entries = entries.peekable();
    let ordinal = entries.peek().filter(|newest| newest.seq == seq)?.ordinal;
    let mut authors: Vec<UserId> = Vec::new();
    let mut next = seq;
    for pushed in entries {
        if pushed.seq != next || pushed.seq <= known || authors.len() >= MAX_AUTHORS {
            break;
        }
        let is_new = pushed.author != *user && !authors.contains(&pushed.author);
        if pushed.countable && is_new {
            authors.push(pushed.author.clone());
        }
        next = Seq(next.0.saturating_sub(1));
    }
    let complete = next <= known || authors.len() >= MAX_AUTHORS;
    Some(FromSession {
        ordinal,
        authors: complete.then_some(authors),
    })
}
