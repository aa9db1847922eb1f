//! Who is told, and in how many records: one for each partition of `users` in which somebody is.
//!
//! The event's bytes are taken as they stand in the log; nothing is encoded again but the envelope.

use std::collections::BTreeMap;
use std::sync::Arc;

use compact_str::CompactString;
use infra_ports::Record;
use schemas::events::{EntryTold, Origin, UserEvent, VerdictTold};
use schemas::ids::{ChatId, UserId};
use schemas::position::Partition;
use schemas::topics::partition_of;

use super::dedupe::Verdict;
use super::fold::Accepted;
use super::state::ChatState;
use crate::engine::projection::{Effects, Entry, Place};

/// The members of a chat by partition of `users`, kept between events.
#[derive(Debug, Default)]
pub(super) struct Routes(pub(super) Vec<(Partition, Vec<UserId>)>);

impl Routes {
    pub(super) fn of<'a>(members: impl Iterator<Item = &'a UserId>, partitions: u32) -> Self {
        let mut by_partition: BTreeMap<Partition, Vec<UserId>> = BTreeMap::new();
        for user in members {
            let home = partition_of(user.as_str().as_bytes(), partitions);
            by_partition.entry(home).or_default().push(user.clone());
        }
        Self(by_partition.into_iter().collect())
    }
}

/// Tells every member of an accepted event, and those whom it removed.
pub(super) fn entry(
    chat: &ChatId,
    state: &mut ChatState,
    accepted: &Accepted,
    place: &Place<'_>,
    effects: &mut Effects,
) {
    if let Some(entries) = effects.silently() {
        entries.push(Entry {
            partition: place.partition,
            origin: place.record.offset,
            recipients: recipients(state, accepted),
            chat: chat.clone(),
            seq: accepted.seq,
            ordinal: accepted.ordinal,
            at: accepted.at,
        });
        return;
    }
    let (partitions, record) = (effects.partitions, place.record);
    if let Some(gone) = &accepted.removed {
        let everyone = state.members.keys().chain(std::iter::once(gone));
        let mut once = Routes::of(everyone, partitions);
        tell(chat, &mut once.0, accepted, record, effects);
        return;
    }
    let mut routes = std::mem::take(state.routes(partitions));
    tell(chat, &mut routes, accepted, record, effects);
    *state.routes(partitions) = routes;
}

fn recipients(state: &mut ChatState, accepted: &Accepted) -> Arc<[UserId]> {
    match &accepted.removed {
        Some(gone) => state
            .members
            .keys()
            .chain(std::iter::once(gone))
            .cloned()
            .collect(),
        None => state.everyone(),
    }
}

fn tell(
    chat: &ChatId,
    routes: &mut [(Partition, Vec<UserId>)],
    accepted: &Accepted,
    record: &Record,
    effects: &mut Effects,
) {
    for (partition, recipients) in routes {
        let told = UserEvent::EntryTold(EntryTold {
            recipients: std::mem::take(recipients),
            chat: chat.clone(),
            seq: accepted.seq,
            ordinal: accepted.ordinal,
            at: accepted.at,
            origin: record.offset,
            event: record.value.clone(),
        });
        effects.tell(*partition, &told, record.at);
        if let UserEvent::EntryTold(told) = told {
            *recipients = told.recipients;
        }
    }
}

/// Tells the author of a command that had no effect, or had it before.
pub(super) fn verdict(origin: &Origin, verdict: Verdict, record: &Record, effects: &mut Effects) {
    if effects.silently().is_some() {
        return;
    }
    let (seq, code) = match verdict {
        Verdict::Accepted(seq) => (Some(seq), None),
        Verdict::Refused(code) => (None, Some(CompactString::const_new(code.as_str()))),
    };
    let home = partition_of(origin.author.as_str().as_bytes(), effects.partitions);
    let told = UserEvent::VerdictTold(VerdictTold {
        recipients: vec![origin.author.clone()],
        chat: origin.chat.clone(),
        device: origin.device.clone(),
        client_id: origin.client_id.clone(),
        seq,
        code,
        origin: record.offset,
    });
    effects.tell(home, &told, record.at);
}
