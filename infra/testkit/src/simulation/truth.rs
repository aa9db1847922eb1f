//! The truth about a world at rest: timelines from the tables, stays from the timelines, and every
//! member's own view of both through the real reads.

use std::collections::BTreeMap;

use delivery::{LiveGeneration, Reads};
use infra_ports::TableStore;
use infra_ports::memory::MemoryStore;
use projectors::generations;
use schemas::avro::LogEvent;
use schemas::errors::Refusal;
use schemas::events::ChatEvent;
use schemas::frames::{ChatsQuery, Entry, EntryEvent, StatusQuery, TimelineQuery};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;
use schemas::tables::{ChangeRow, MessageRow, Table};

use super::plan::Shape;
use super::{Failure, at_once, cast};
use crate::checker::{ChatTruth, Stays, Told};

/// The truth, and what of it is wrong in itself.
pub(super) struct Truth {
    pub(super) chats: BTreeMap<ChatId, ChatTruth>,
    pub(super) wrong: Vec<String>,
}

/// Reads it.
///
/// # Errors
/// A row that cannot be read, or a read that is refused.
pub(super) fn read(store: &MemoryStore, shape: &Shape) -> Result<Truth, Failure> {
    let mut truth = Truth {
        chats: timelines(store)?,
        wrong: Vec::new(),
    };
    let live = LiveGeneration::new(generations::FIRST);
    let reads = Reads::new(std::sync::Arc::new(store.clone()), live);
    for user in (0..shape.users).map(cast::user) {
        view_of(&reads, &user, &mut truth).map_err(|refusal| {
            Failure::Broken(vec![format!("a read of {user} is refused: {refusal}")])
        })?;
    }
    for (chat, of) in &mut truth.chats {
        statuses(&reads, chat, of).map_err(|refusal| {
            Failure::Broken(vec![format!("a status of {chat} is refused: {refusal}")])
        })?;
    }
    Ok(truth)
}

/// How far each message has got, as the first who sees it is told.
fn statuses(reads: &Reads, chat: &ChatId, truth: &mut ChatTruth) -> Result<(), Refusal> {
    let is_message = |entry: &&Entry| matches!(entry.event, EntryEvent::Message { .. });
    for message in truth.timeline.iter().filter(is_message) {
        let seq = message.seq;
        let sees = |(after, until): &(Seq, Seq)| seq > *after && seq <= *until;
        let mut viewers = truth
            .members
            .iter()
            .filter(|(_, stays)| stays.iter().any(sees));
        let Some((viewer, _)) = viewers.next() else {
            continue;
        };
        let query = StatusQuery {
            chat: chat.clone(),
            seq,
            who: true,
        };
        truth.statuses.push(at_once(reads.status(viewer, &query))?);
    }
    Ok(())
}

/// Every chat's whole timeline.
fn timelines(store: &MemoryStore) -> Result<BTreeMap<ChatId, ChatTruth>, Failure> {
    let mut chats: BTreeMap<ChatId, ChatTruth> = BTreeMap::new();
    let messages = all::<MessageRow>(store)?.into_iter();
    let messages = messages.map(|row| (row.seq, row.ordinal, row.at, row.event));
    let changes = all::<ChangeRow>(store)?.into_iter();
    let changes = changes.map(|row| (row.seq, row.ordinal, row.at, row.event));
    for (seq, ordinal, at, event) in messages.chain(changes) {
        let event = ChatEvent::decode(&event)
            .map_err(|error| Failure::Broken(vec![format!("a row's event: {error}")]))?;
        let entry = Entry::new(seq, ordinal, at, &event);
        let truth = chats.entry(entry.chat.clone()).or_default();
        truth.timeline.push(entry);
    }
    for truth in chats.values_mut() {
        truth.timeline.sort_by_key(|entry| entry.seq);
    }
    Ok(chats)
}

fn all<T: Table>(store: &MemoryStore) -> Result<Vec<T>, Failure> {
    let rows = at_once(store.scan_table(T::DEF, generations::FIRST, None, usize::MAX));
    let rows = rows.and_then(|rows| rows.iter().map(|row| row.decode::<T>()).collect());
    rows.map_err(|error| Failure::Broken(vec![error.to_string()]))
}

/// What one user is shown, compared with the timelines.
fn view_of(reads: &Reads, user: &UserId, truth: &mut Truth) -> Result<(), Refusal> {
    let query = ChatsQuery {
        cursor: None,
        limit: Some(100),
    };
    let list = at_once(reads.chats(user, &query))?;
    for (chat, of) in &mut truth.chats {
        let stays = stays(chat, &of.timeline, user);
        let line = list.chats.iter().find(|line| line.chat == *chat);
        if let Some(line) = line {
            let told = Told {
                unread: line.unread,
                read: line.read,
                settings: None,
            };
            of.lists.insert(user.clone(), told);
        }
        let Some(last) = stays.last().copied() else {
            continue;
        };
        of.members.insert(user.clone(), stays.clone());
        let Some(line) = line else {
            continue;
        };
        if line.member != (last.1 == Seq(u64::MAX)) {
            let what = format!("{user}'s list says of {chat}: member = {}", line.member);
            truth.wrong.push(what);
        }
        let seen = |entry: &&Entry| {
            let within = |(after, until): &(Seq, Seq)| entry.seq > *after && entry.seq <= *until;
            stays.iter().any(within)
        };
        let expected: Vec<Entry> = of.timeline.iter().filter(seen).cloned().collect();
        if timeline(reads, user, chat)? != expected {
            let what = format!("{user} is shown another timeline of {chat} than their stays");
            truth.wrong.push(what);
        }
    }
    Ok(())
}

fn timeline(reads: &Reads, user: &UserId, chat: &ChatId) -> Result<Vec<Entry>, Refusal> {
    let mut all = Vec::new();
    let mut from = Seq(1);
    loop {
        let query = TimelineQuery {
            chat: chat.clone(),
            from,
            limit: Some(7),
        };
        let page = at_once(reads.timeline(user, &query))?;
        all.extend(page.entries);
        if page.through >= page.head || page.through < from {
            return Ok(all);
        }
        from = page.through.next();
    }
}

/// The stretches that a user sees of a chat, told from its entries alone: after, and up to.
fn stays(chat: &ChatId, timeline: &[Entry], user: &UserId) -> Stays {
    if let Some((one, other)) = chat.pair() {
        let is_in = one == *user || other == *user;
        return if is_in {
            vec![(Seq(0), Seq(u64::MAX))]
        } else {
            Vec::new()
        };
    }
    let mut stays = Stays::new();
    for entry in timeline {
        let is_open = stays.last().is_some_and(|(_, until)| until.0 == u64::MAX);
        let (joins, leaves) = match &entry.event {
            EntryEvent::Created { members, .. } => {
                (entry.author == *user || members.contains(user), false)
            }
            EntryEvent::MemberAdded { user: who, .. } => (who == user, false),
            EntryEvent::MemberRemoved { user: who } => (false, who == user),
            EntryEvent::MemberLeft {} => (false, entry.author == *user),
            EntryEvent::Message { .. }
            | EntryEvent::Edited { .. }
            | EntryEvent::Deleted { .. }
            | EntryEvent::Reacted { .. }
            | EntryEvent::Changed { .. }
            | EntryEvent::RoleChanged { .. }
            | EntryEvent::Unknown => (false, false),
        };
        if joins && !is_open {
            stays.push((Seq(entry.seq.0 - 1), Seq(u64::MAX)));
        } else if leaves
            && is_open
            && let Some((_, until)) = stays.last_mut()
        {
            *until = entry.seq;
        }
    }
    stays
}
