//! What a user arranges for themselves: mute, archive, pin, hide. Whether they are in the chat does
//! not matter: a setting for a chat one does not see has no effect.

use schemas::errors::Refusal;
use schemas::events::{AccountEvent, ChatArchived, ChatMuted, ChatPinned, MessageHidden};
use schemas::frames::{Archive, Hide, Mute, Pin};

use super::{By, Checked, limits};

macro_rules! setting {
    ($by:ident, $chat:expr, $event:ident { $field:ident }) => {{
        $by.may_be_in(&$chat)?;
        Ok(Checked::Account(AccountEvent::$event($event {
            user: $by.who.user.clone(),
            device: $by.who.device.clone(),
            chat: $chat,
            $field,
            at: $by.now,
        })))
    }};
}

pub(super) fn mute(by: By<'_>, command: Mute) -> Result<Checked, Refusal> {
    let until = command.until.map(limits::mute_until).transpose()?;
    setting!(by, command.chat, ChatMuted { until })
}

pub(super) fn archive(by: By<'_>, command: Archive) -> Result<Checked, Refusal> {
    let archived = command.archived;
    setting!(by, command.chat, ChatArchived { archived })
}

pub(super) fn pin(by: By<'_>, command: Pin) -> Result<Checked, Refusal> {
    let pinned = command.pinned;
    setting!(by, command.chat, ChatPinned { pinned })
}

pub(super) fn hide(by: By<'_>, command: Hide) -> Result<Checked, Refusal> {
    let seq = limits::place("seq", command.seq)?;
    setting!(by, command.chat, MessageHidden { seq })
}
