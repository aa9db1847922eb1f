//! The unread count, counted naively from the timeline: messages of others after the read mark,
//! after one's own last message, and after one's last join.

use schemas::frames::{Entry, EntryEvent};
use schemas::ids::UserId;

use super::history::{History, Stays, Told, Violation};

/// Compares every member's count with the timeline.
pub(super) fn check(history: &History, violations: &mut Vec<Violation>) {
    for (chat, truth) in &history.chats {
        for (user, told) in &truth.lists {
            let stays = truth.members.get(user);
            let counted = stays.map_or(0, |stays| count(&truth.timeline, user, told, stays));
            if counted != told.unread {
                let (user, chat, told) = (user.clone(), chat.clone(), told.unread);
                violations.push(Violation::WrongUnread {
                    user,
                    chat,
                    told,
                    counted,
                });
            }
        }
    }
}

fn count(timeline: &[Entry], user: &UserId, told: &Told, stays: &Stays) -> u64 {
    let is_message = |entry: &&Entry| matches!(entry.event, EntryEvent::Message { .. });
    let own_last = timeline
        .iter()
        .filter(is_message)
        .filter(|entry| entry.author == *user)
        .map(|entry| entry.seq)
        .max()
        .unwrap_or_default();
    let Some((joined, until)) = stays.last().copied() else {
        return 0;
    };
    let from = own_last.max(told.read).max(joined);
    let unread = timeline
        .iter()
        .filter(is_message)
        .filter(|e| e.seq > from && e.seq <= until);
    unread.count() as u64
}
