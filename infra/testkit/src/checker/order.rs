//! One order a chat, the same for all; one device's commands in the order it sent them; marks only
//! grow.

use std::collections::BTreeMap;

use schemas::events::MarkKind;
use schemas::ids::ChatId;
use schemas::position::Seq;

use super::history::{Endpoint, History, Observation, Violation};

/// Checks timelines for holes, devices against timelines, and each device against itself.
pub(super) fn check(history: &History, violations: &mut Vec<Violation>) {
    for (chat, truth) in &history.chats {
        for (expected, entry) in (1..).map(Seq).zip(&truth.timeline) {
            if entry.seq != expected {
                let what = format!("{chat}: {} stands where {expected} should", entry.seq);
                violations.push(Violation::Diverged { what });
                break;
            }
        }
    }
    for (endpoint, seen) in &history.devices {
        received_in_order(history, endpoint, seen, violations);
        sent_in_order(history, endpoint, seen, violations);
        marks_only_grow(history, endpoint, seen, violations);
    }
}

fn received_in_order(
    history: &History,
    (user, device): &Endpoint,
    seen: &[Observation],
    violations: &mut Vec<Violation>,
) {
    let mut last: BTreeMap<&ChatId, Seq> = BTreeMap::new();
    for observation in seen {
        let Observation::Received(entry) = observation else {
            continue;
        };
        let before = last.insert(&entry.chat, entry.seq).unwrap_or_default();
        if entry.seq < before {
            let what = format!(
                "{user}/{device} got {} {} after {before}",
                entry.chat, entry.seq
            );
            violations.push(Violation::Reordered { what });
        }
        let place = usize::try_from(entry.seq.0)
            .ok()
            .and_then(|seq| seq.checked_sub(1));
        let truth = history.chats.get(&entry.chat);
        let true_entry = truth
            .zip(place)
            .and_then(|(truth, place)| truth.timeline.get(place));
        if true_entry != Some(entry) {
            let what = format!("{user}/{device} saw another {} {}", entry.chat, entry.seq);
            violations.push(Violation::Diverged { what });
        }
    }
}

fn sent_in_order(
    history: &History,
    (user, device): &Endpoint,
    seen: &[Observation],
    violations: &mut Vec<Violation>,
) {
    let (mut begun, mut life) = (BTreeMap::new(), 0_u32);
    for (nth, observation) in seen.iter().enumerate() {
        match observation {
            Observation::Began { chat, client_id } => {
                begun.entry((chat, client_id)).or_insert((life, nth));
            }
            Observation::Restarted => life += 1,
            Observation::Acknowledged { .. }
            | Observation::Refused { .. }
            | Observation::Received(_)
            | Observation::Marked { .. }
            | Observation::HasRead { .. }
            | Observation::Chose { .. }
            | Observation::BeginsToRead { .. }
            | Observation::Gone => {}
        }
    }
    for (chat, truth) in &history.chats {
        let mut last = BTreeMap::new();
        for entry in &truth.timeline {
            if (&entry.author, &entry.device) != (user, device) {
                continue;
            }
            let Some((life, nth)) = begun.get(&(chat, &entry.client_id)) else {
                continue;
            };
            let last = last.entry(life).or_insert(nth);
            if nth < *last {
                let id = &entry.client_id;
                let what = format!("{user}/{device}: {id} of {chat} was sent earlier");
                violations.push(Violation::Overtaken { what });
            }
            *last = nth.max(*last);
        }
    }
}

/// What was reported once is never reported lower, and the chat list in the end is no lower than
/// the highest read mark that was reported, or made on this device. News of an older mark may come
/// after the device has made a newer one: only reports are compared with each other.
fn marks_only_grow(
    history: &History,
    (user, _): &Endpoint,
    seen: &[Observation],
    violations: &mut Vec<Violation>,
) {
    let mut reported: BTreeMap<_, Seq> = BTreeMap::new();
    let mut read: BTreeMap<&ChatId, Seq> = BTreeMap::new();
    let mut went_back = |chat: &ChatId, from: Seq, to: Seq| {
        let (user, chat) = (user.clone(), chat.clone());
        violations.push(Violation::MarkWentBack {
            user,
            chat,
            from,
            to,
        });
    };
    for observation in seen {
        let (chat, seq) = match observation {
            Observation::HasRead { chat, seq } => (chat, *seq),
            Observation::Marked {
                chat,
                device,
                kind,
                seq,
            } => {
                let before = reported.entry((chat, device, kind)).or_insert(*seq);
                if *seq < *before {
                    went_back(chat, *before, *seq);
                }
                *before = (*before).max(*seq);
                if *kind != MarkKind::Read {
                    continue;
                }
                (chat, *seq)
            }
            Observation::Began { .. }
            | Observation::Acknowledged { .. }
            | Observation::Refused { .. }
            | Observation::Received(_)
            | Observation::Chose { .. }
            | Observation::Restarted
            | Observation::BeginsToRead { .. }
            | Observation::Gone => continue,
        };
        let highest = read.entry(chat).or_insert(seq);
        *highest = (*highest).max(seq);
    }
    for (chat, highest) in read {
        let end = history
            .chats
            .get(chat)
            .and_then(|truth| truth.lists.get(user));
        if let Some(end) = end.filter(|end| end.read < highest) {
            went_back(chat, highest, end.read);
        }
    }
}
