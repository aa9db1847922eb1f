//! Nothing acknowledged is lost, nothing stands twice, a refusal is final, everybody gets all.

use std::collections::{BTreeMap, BTreeSet};

use schemas::ids::{ChatId, ClientId};
use schemas::position::Seq;

use super::history::{ChatTruth, Endpoint, History, Observation, Violation};

/// Checks commands against timelines, and timelines against what devices got.
pub(super) fn check(history: &History, violations: &mut Vec<Violation>) {
    let places = places(history, violations);
    for (endpoint, seen) in &history.devices {
        commands(endpoint, seen, &places, violations);
    }
    for (chat, truth) in &history.chats {
        for (endpoint, seen) in &history.devices {
            deliveries(chat, truth, endpoint, seen, violations);
        }
    }
}

type Places<'a> = BTreeMap<(&'a ChatId, &'a Endpoint, &'a ClientId), Seq>;

fn places<'a>(history: &'a History, violations: &mut Vec<Violation>) -> Places<'a> {
    let mut places = Places::new();
    let mut seen = BTreeMap::new();
    for (chat, truth) in &history.chats {
        for entry in &truth.timeline {
            let key = (chat, &entry.author, &entry.device, &entry.client_id);
            if let Some(first) = seen.insert(key, entry.seq) {
                violations.push(Violation::DuplicatedCommand {
                    author: entry.author.clone(),
                    device: entry.device.clone(),
                    chat: chat.clone(),
                    client_id: entry.client_id.clone(),
                    first,
                    second: entry.seq,
                });
            }
        }
    }
    for endpoint in history.devices.keys() {
        for ((chat, author, device, client_id), seq) in &seen {
            if (*author, *device) == (&endpoint.0, &endpoint.1) {
                places.insert((*chat, endpoint, *client_id), *seq);
            }
        }
    }
    places
}

fn commands(
    endpoint: &Endpoint,
    seen: &[Observation],
    places: &Places<'_>,
    violations: &mut Vec<Violation>,
) {
    let mut refused = BTreeSet::new();
    for observation in seen {
        if let Observation::Refused {
            chat, client_id, ..
        } = observation
        {
            refused.insert((chat, client_id));
        }
    }
    let stands = |chat, client_id| places.contains_key(&(chat, endpoint, client_id));
    let ((author, device), mut lost) = (endpoint.clone(), BTreeSet::new());
    for observation in seen {
        if let Observation::Acknowledged { chat, client_id } = observation
            && !stands(chat, client_id)
            && !refused.contains(&(chat, client_id))
            && lost.insert((chat, client_id))
        {
            violations.push(Violation::LostCommand {
                author: author.clone(),
                device: device.clone(),
                chat: chat.clone(),
                client_id: client_id.clone(),
            });
        }
    }
    for (chat, client_id) in refused {
        if stands(chat, client_id) {
            violations.push(Violation::RefusedAndAccepted {
                author: author.clone(),
                device: device.clone(),
                chat: chat.clone(),
                client_id: client_id.clone(),
            });
        }
    }
}

/// Each device of a member must have got every entry its user may see, from the chat's first on, once;
/// nobody may get one that is not theirs to see. All devices are there before their chats are; one that
/// is gone for good needs no more.
fn deliveries(
    chat: &ChatId,
    truth: &ChatTruth,
    endpoint: &Endpoint,
    seen: &[Observation],
    violations: &mut Vec<Violation>,
) {
    let stays = truth.members.get(&endpoint.0);
    let visible = |seq: Seq| {
        stays
            .into_iter()
            .flatten()
            .any(|(after, until)| seq > *after && seq <= *until)
    };
    let ((user, device), mut got) = (endpoint.clone(), BTreeSet::new());
    for observation in seen {
        let Observation::Received(entry) = observation else {
            continue;
        };
        if entry.chat != *chat {
            continue;
        }
        let (user, device, chat, seq) = (user.clone(), device.clone(), chat.clone(), entry.seq);
        if !visible(seq) {
            violations.push(Violation::Leaked {
                user,
                device,
                chat,
                seq,
            });
        } else if !got.insert(seq) {
            violations.push(Violation::DuplicatedDelivery {
                user,
                device,
                chat,
                seq,
            });
        }
    }
    if seen.contains(&Observation::Gone) {
        return;
    }
    for entry in truth.timeline.iter().filter(|e| visible(e.seq)) {
        if !got.contains(&entry.seq) {
            let (user, device, chat) = (user.clone(), device.clone(), chat.clone());
            violations.push(Violation::LostDelivery {
                user,
                device,
                chat,
                seq: entry.seq,
            });
        }
    }
}
