//! What people do: write, change, read, come and go, lose their connection or their device.

use schemas::events::Role;
use schemas::ids::{ChatId, UserId};

use super::super::cast;
use super::super::dice::Dice;
use super::Shape;
use crate::checker::Endpoint;

/// What one person does on one device. Numbers to pick by are taken modulo what there is then.
#[derive(Debug, Clone)]
pub enum Act {
    /// Writes a message.
    Send(ChatId),
    /// Gives a message a new body.
    Edit(ChatId, u64),
    /// Deletes a message for everyone.
    Delete(ChatId, u64),
    /// Reacts to a message.
    React(ChatId, u64),
    /// Has read everything that is there.
    Read(ChatId),
    /// Makes a group with these.
    Create(Vec<UserId>),
    /// Adds somebody.
    Add(ChatId, UserId),
    /// Removes somebody.
    Remove(ChatId, UserId),
    /// Leaves.
    Leave(ChatId),
    /// Gives somebody another role.
    SetRole(ChatId, UserId, Role),
    /// Gives the group another title.
    Rename(ChatId),
    /// Deletes a message for themselves.
    Hide(ChatId, u64),
    /// Mutes, archives and pins.
    Settings(ChatId, u64),
    /// Asks for something that is there to be read.
    Ask(ChatId, u64),
    /// The connection breaks, and both ends hear of it.
    Cut,
    /// The connection carries nothing any more, and nobody hears of it.
    Silence,
    /// The device reads nothing for so many milliseconds.
    Doze(u64),
    /// The app is killed and started again.
    Relaunch,
}

/// The people of a plan, as far as it needs to know them.
pub(super) struct People {
    devices: Vec<Endpoint>,
    users: usize,
    groups: Vec<ChatId>,
    trouble: bool,
}

impl People {
    pub(super) fn new(shape: &Shape) -> Self {
        Self {
            devices: cast::endpoints(shape.users),
            users: shape.users,
            groups: Vec::new(),
            trouble: shape.links_break,
        }
    }

    /// The next thing somebody does, as the action with this number.
    pub(super) fn draw(&mut self, dice: &mut Dice, number: usize) -> (usize, Act) {
        let device = usize::try_from(dice.below(self.devices.len() as u64)).unwrap_or(0);
        let who = device % self.users;
        if self.trouble && dice.once_in(8) {
            return (device, trouble(dice));
        }
        if self.groups.len() < 2 && dice.once_in(10) {
            let others = (0..self.users).filter(|n| *n != who && dice.below(4) > 0);
            let members = others.map(cast::user).collect();
            let endpoint = self.devices.get(device);
            self.groups
                .extend(endpoint.map(|endpoint| cast::group(endpoint, number)));
            return (device, Act::Create(members));
        }
        (device, self.in_a_chat(dice, who))
    }

    fn in_a_chat(&self, dice: &mut Dice, who: usize) -> Act {
        let step = usize::try_from(dice.below(self.users as u64 - 1)).unwrap_or(0);
        let other = (who + 1 + step) % self.users;
        let group = dice.once_in(2).then(|| dice.pick(&self.groups)).flatten();
        if let Some(group) = group
            && dice.once_in(3)
        {
            return membership(dice, group.clone(), cast::user(other));
        }
        let chat = group.cloned().or_else(|| cast::direct(who, other));
        let Some(chat) = chat else {
            return Act::Cut;
        };
        let pick = dice.next();
        match dice.below(20) {
            0 => Act::Edit(chat, pick),
            1 | 2 => Act::Delete(chat, pick),
            3 => Act::React(chat, pick),
            4..=6 => Act::Read(chat),
            7 => Act::Hide(chat, pick),
            8 => Act::Settings(chat, pick),
            9 => Act::Ask(chat, pick),
            _ => Act::Send(chat),
        }
    }
}

fn membership(dice: &mut Dice, group: ChatId, who: UserId) -> Act {
    match dice.below(8) {
        0..=2 => Act::Remove(group, who),
        3..=5 => Act::Add(group, who),
        6 => match dice.below(3) {
            0 => Act::Leave(group),
            1 => Act::Rename(group),
            _ => Act::SetRole(group, who, Role::Owner),
        },
        _ => Act::SetRole(group, who, Role::Admin),
    }
}

fn trouble(dice: &mut Dice) -> Act {
    match dice.below(8) {
        0..=3 => Act::Cut,
        4 => Act::Silence,
        5 => Act::Doze(dice.between(100, 20_000)),
        _ => Act::Relaunch,
    }
}
