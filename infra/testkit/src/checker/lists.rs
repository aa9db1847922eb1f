//! Chat lists: every member's has the chat, nobody else's has, and its settings are those that the
//! user chose last.

use std::collections::BTreeMap;

use schemas::ids::{ChatId, UserId};

use super::history::{Chosen, History, Observation, Violation};

/// Compares the chat lists with who was made a member and with what was chosen.
pub(super) fn check(history: &History, violations: &mut Vec<Violation>) {
    let chosen = chosen(history);
    for (chat, truth) in &history.chats {
        let (listed, members) = (&truth.lists, &truth.members);
        for user in members.keys().filter(|user| !listed.contains_key(user)) {
            let (user, chat) = (user.clone(), chat.clone());
            violations.push(Violation::NotListed { user, chat });
        }
        for user in listed.keys().filter(|user| !members.contains_key(user)) {
            let (user, chat) = (user.clone(), chat.clone());
            violations.push(Violation::Uninvited { user, chat });
        }
        for (user, told) in listed {
            let chose = chosen.get(&(user, chat)).copied().unwrap_or_default();
            if let Some(told) = told.settings.filter(|told| *told != chose) {
                let (user, chat) = (user.clone(), chat.clone());
                violations.push(Violation::WrongSettings {
                    user,
                    chat,
                    told,
                    chose,
                });
            }
        }
    }
}

/// What each user chose last.
fn chosen(history: &History) -> BTreeMap<(&UserId, &ChatId), Chosen> {
    let mut chosen = BTreeMap::new();
    for ((user, _), seen) in &history.devices {
        for observation in seen {
            if let Observation::Chose { chat, settings } = observation {
                chosen.insert((user, chat), *settings);
            }
        }
    }
    chosen
}
