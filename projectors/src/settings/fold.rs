//! The fold of one user's settings for one chat. Pure.

use schemas::events::AccountEvent;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Seq, Timestamp, Version};

/// What a user arranged for a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The newest event that changed them; older ones change nothing.
    pub version: Version,
    /// Muted until then; 0 is not muted.
    pub muted_until: Timestamp,
    /// In the archive.
    pub archived: bool,
    /// Pinned.
    pub pinned: bool,
}

/// What an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was seen before.
    Nothing,
    /// The settings changed.
    Settings,
    /// A message is hidden from now on; the settings stay.
    Hidden(Seq, Timestamp),
}

/// Whose settings, and for which chat.
pub fn subject(event: &AccountEvent) -> (&UserId, &ChatId) {
    match event {
        AccountEvent::ChatMuted(e) => (&e.user, &e.chat),
        AccountEvent::ChatArchived(e) => (&e.user, &e.chat),
        AccountEvent::ChatPinned(e) => (&e.user, &e.chat),
        AccountEvent::MessageHidden(e) => (&e.user, &e.chat),
    }
}

/// Applies an event. What is hidden is a row of its own, so it is put again when it comes again.
pub fn apply(settings: &mut Settings, event: &AccountEvent, version: Version) -> Change {
    if let AccountEvent::MessageHidden(e) = event {
        return Change::Hidden(e.seq, e.at);
    }
    if version <= settings.version {
        return Change::Nothing;
    }
    match event {
        AccountEvent::ChatMuted(e) => settings.muted_until = e.until.unwrap_or_default(),
        AccountEvent::ChatArchived(e) => settings.archived = e.archived,
        AccountEvent::ChatPinned(e) => settings.pinned = e.pinned,
        AccountEvent::MessageHidden(_) => {}
    }
    settings.version = version;
    Change::Settings
}

#[cfg(test)]
mod tests {
    use schemas::events::{ChatMuted, ChatPinned};
    use schemas::ids::DeviceId;

    use super::*;

    fn pinned(pinned: bool) -> AccountEvent {
        AccountEvent::ChatPinned(ChatPinned {
            user: UserId::new("ada").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            chat: ChatId::new("d.ada.bob").unwrap(),
            pinned,
            at: Timestamp(1),
        })
    }

    #[test]
    fn each_setting_changes_alone() {
        let mut settings = Settings::default();
        let muted = AccountEvent::ChatMuted(ChatMuted {
            user: UserId::new("ada").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            chat: ChatId::new("d.ada.bob").unwrap(),
            until: Some(Timestamp(9)),
            at: Timestamp(1),
        });
        assert_eq!(
            apply(&mut settings, &pinned(true), Version(1)),
            Change::Settings
        );
        assert_eq!(apply(&mut settings, &muted, Version(2)), Change::Settings);
        assert!(settings.pinned && settings.muted_until == Timestamp(9) && !settings.archived);
    }

    #[test]
    fn an_older_event_changes_nothing() {
        let mut settings = Settings::default();
        apply(&mut settings, &pinned(false), Version(5));
        assert_eq!(
            apply(&mut settings, &pinned(true), Version(4)),
            Change::Nothing
        );
        assert_eq!(
            apply(&mut settings, &pinned(true), Version(5)),
            Change::Nothing
        );
        assert!(!settings.pinned);
    }
}
