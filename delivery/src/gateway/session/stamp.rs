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

/// A mark that a session asks for, and what is known of it before.
struct Asked<'a> {
    gateway: &'a Gateway,
    signed_in: &'a SignedIn,
    chat: &'a ChatId,
    kind: MarkKind,
    seq: Seq,
    /// How far this device (or, for read, this user) has marked.
    known: Seq,
}

/// Stamps a mark. Before it come marks at the ends of earlier stays that this one passes over: a
/// device that was handed two stays at once marks the newest place only, and a mark counts for its
/// own stay.
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
) -> Result<Vec<StampedMark>, Refusal> {
    let asked = Asked {
        gateway,
        signed_in,
        chat,
        kind,
        seq,
        known: marks::known(signed_in, chat, kind),
    };
    let refused = match asked.by_tables().await {
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
    asked.by_tables().await
}

impl Asked<'_> {
    /// Stamps the mark by what the tables show now.
    async fn by_tables(&self) -> Result<Vec<StampedMark>, Refusal> {
        let Self {
            gateway,
            signed_in,
            chat,
            ..
        } = *self;
        let user = &signed_in.identity.user;
        let sent = {
            let track = signed_in.track.lock();
            track.chat(chat).map_or(Seq(0), |seen| seen.sent)
        };
        if self.seq > sent && self.seq > gateway.reads.visible_head(user, chat).await? {
            return Err(Refusal::plain(Code::MarkAhead));
        }
        if chat.is_group() {
            // Of the joins that this session was told of the tables must know too.
            let patience = gateway.config.inbox_within;
            if !gateway.rows_of(signed_in, chat, patience).await {
                return Err(Refusal::plain(Code::Unavailable));
            }
        }
        match self.over_stays().await {
            Err(refused) if matches!(refused.code, Code::NotMember | Code::Unavailable) => {
                // What was pushed may be ahead of the tables, and longer ago than this session
                // remembers.
                gateway.rows_are_current(signed_in, chat).await;
                self.over_stays().await
            }
            found => found,
        }
    }

    /// Stamps the mark in the stay that sees its place, and one at the end of each stay that it
    /// passes over.
    async fn over_stays(&self) -> Result<Vec<StampedMark>, Refusal> {
        let (signed_in, chat) = (self.signed_in, self.chat);
        let joins = {
            let track = signed_in.track.lock();
            track.chat(chat).map_or(0, |seen| seen.joins)
        };
        let stays = self.gateway.reads.stays(&signed_in.identity.user, chat);
        let mut stays = stays.await?;
        let since = joined(&stays, self.seq).ok_or_else(|| Refusal::plain(Code::NotMember))?;
        remember_join(signed_in, chat, &stays, joins);
        stays.retain(|stay| !stay.is_open() && stay.until < since && stay.until > self.known);
        stays.sort_unstable();
        let mut stamped = Vec::with_capacity(stays.len() + 1);
        for stay in stays {
            stamped.push(self.within(stay.since, stay.until).await?);
        }
        stamped.push(self.within(since, self.seq).await?);
        Ok(stamped)
    }

    /// Stamps a mark at a place of one stay, from what was sent, else from the timeline.
    async fn within(&self, since: Seq, seq: Seq) -> Result<StampedMark, Refusal> {
        let known = not_before(since, self.known);
        let own = from_session(self.signed_in, self.chat, known, seq);
        let (ordinal, authors) = match own {
            Some(FromSession {
                ordinal,
                authors: Some(authors),
            }) => (ordinal, authors),
            _ => {
                let user = &self.signed_in.identity.user;
                let row = self.gateway.reads.covered(user, self.chat, known, seq);
                let row = row.await?;
                row.ok_or_else(|| Refusal::plain(Code::Unavailable))?
            }
        };
        Ok(StampedMark {
            chat: self.chat.clone(),
            kind: self.kind,
            seq,
            ordinal,
            since,
            authors,
        })
    }
}

/// What is known of a mark in a stay: what came before the join its user does not see.
fn not_before(since: Seq, known: Seq) -> Seq {
    known.max(Seq(since.0.saturating_sub(1)))
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
    // Only the tables know of stays before this one, which a first mark in it passes over.
    if seq > sent || (since > Seq(1) && known < since) {
        return None;
    }
    let known = not_before(since, known);
    let own = from_session(signed_in, chat, known, seq).filter(|own| own.authors.is_some());
    let own = own.or_else(|| {
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
