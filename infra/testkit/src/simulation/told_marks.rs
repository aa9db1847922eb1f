//! News of marks, as the frames say it that gateways send: judged raw, before a client library
//! drops what is no news.
//!
//! ```text
//!  a user reads on a device ─▶ made        `marked` on all of the user's ─▶ told
//!                              └──────── nothing is told that was not made ┘
//! ```
//!
//! A projector that begins again tells again what it told, so that marks of one connection only
//! grow as long as nothing was disturbed.

use std::collections::{BTreeMap, BTreeSet};

use schemas::events::MarkKind;
use schemas::frames::{Frame, Marked, decode_frame};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::Seq;

use crate::checker::{ChatTruth, Endpoint};

/// What was made and told in a run.
#[derive(Debug, Default)]
pub(super) struct ToldMarks {
    /// How far each user has read, by what they did on all of their devices.
    made: BTreeMap<(UserId, ChatId), Seq>,
    devices: BTreeSet<Endpoint>,
    /// The newest that each device was told on its connection.
    newest: BTreeMap<(Endpoint, ChatId, DeviceId), Seq>,
    told: BTreeSet<(UserId, ChatId)>,
    wrong: Vec<String>,
    fell: Vec<String>,
}

impl ToldMarks {
    /// A user reads up to here, on one of their devices.
    pub(super) fn made(&mut self, (user, _): &Endpoint, chat: &ChatId, seq: Seq) {
        let made = self.made.entry((user.clone(), chat.clone())).or_default();
        *made = seq.max(*made);
    }

    /// How far each user has read, whether that came home or not.
    pub(super) fn made_by_all(&self) -> &BTreeMap<(UserId, ChatId), Seq> {
        &self.made
    }

    /// A device has a new connection: what it was told on the last one may be told again.
    pub(super) fn connected(&mut self, who: &Endpoint) {
        self.devices.insert(who.clone());
        self.newest.retain(|(other, ..), _| other != who);
    }

    /// A frame reaches a device.
    pub(super) fn hear(&mut self, who: &Endpoint, text: &[u8]) {
        if let Ok(received) = decode_frame(text)
            && let Some(Frame::Marked(marked)) = received.value
        {
            self.hear_marked(who, &marked);
        }
    }

    fn hear_marked(&mut self, who: &Endpoint, marked: &Marked) {
        let Marked {
            chat, device, seq, ..
        } = marked;
        let (user, own) = who;
        let mut wrong = |why: &str| {
            let what = format!(
                "{user}/{own} was told {:?} {chat} {seq} of {device}",
                marked.kind
            );
            self.wrong.push(format!("{what}: {why}"));
        };
        if marked.kind != MarkKind::Read {
            wrong("only what users have read is told");
        }
        if !self.devices.contains(&(user.clone(), device.clone())) {
            wrong("the user has no such device");
        }
        let made = self.made.get(&(user.clone(), chat.clone()));
        if made.is_none_or(|made| made < seq) {
            wrong("nobody has read as far");
        }
        self.told.insert((user.clone(), chat.clone()));
        let key = (who.clone(), chat.clone(), device.clone());
        let before = self.newest.insert(key, *seq).unwrap_or_default();
        if *seq <= before {
            self.fell
                .push(format!("{user}/{own} was told {chat} {seq} after {before}"));
        }
    }

    /// What was told and should not have been; `undisturbed` when no projector ever began again.
    pub(super) fn wrong(
        &self,
        chats: &BTreeMap<ChatId, ChatTruth>,
        undisturbed: bool,
    ) -> Vec<String> {
        let is_member = |user, chat| {
            let truth: Option<&ChatTruth> = chats.get(chat);
            truth.is_some_and(|truth| truth.members.contains_key(user))
        };
        let strangers = self
            .told
            .iter()
            .filter(|(user, chat)| !is_member(user, chat));
        let strangers = strangers.map(|(user, chat)| format!("{user} was told marks of {chat}"));
        let fell = self.fell.iter().filter(|_| undisturbed).cloned();
        let mut wrong = self.wrong.clone();
        wrong.extend(strangers.chain(fell));
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(user: &str, device: &str) -> Endpoint {
        (UserId::new(user).unwrap(), DeviceId::new(device).unwrap())
    }

    fn chat() -> ChatId {
        ChatId::new("d.ada.bob").unwrap()
    }

    fn marked(kind: &str, device: &str, seq: u64) -> Vec<u8> {
        let data = format!(
            r#"{{"chat":"d.ada.bob","device":"{device}","kind":"{kind}","seq":{seq},"ordinal":1}}"#
        );
        format!(r#"{{"type":"marked","data":{data}}}"#).into_bytes()
    }

    /// Ada's phone has read up to 5; her web and bob's phone listen.
    fn judged(to: &Endpoint, frames: &[Vec<u8>], undisturbed: bool) -> Vec<String> {
        let mut marks = ToldMarks::default();
        for who in [endpoint("ada", "phone"), endpoint("ada", "web")] {
            marks.connected(&who);
        }
        marks.connected(to);
        marks.made(&endpoint("ada", "phone"), &chat(), Seq(5));
        for frame in frames {
            marks.hear(to, frame);
        }
        let members = ["ada", "bob"].map(|user| (endpoint(user, "x").0, Vec::new()));
        let truth = ChatTruth {
            members: members.into(),
            ..ChatTruth::default()
        };
        marks.wrong(&[(chat(), truth)].into(), undisturbed)
    }

    #[test]
    fn news_of_what_was_read_on_another_device_is_right() {
        let frames = [marked("read", "phone", 2), marked("read", "phone", 5)];
        assert_eq!(judged(&endpoint("ada", "web"), &frames, true), [""; 0]);
    }

    #[test]
    fn what_nobody_made_is_seen() {
        let web = endpoint("ada", "web");
        for (frame, why) in [
            (marked("read", "phone", 6), "nobody has read as far"),
            (marked("read", "tablet", 5), "no such device"),
            (marked("delivered", "phone", 5), "only what users have read"),
        ] {
            let wrong = judged(&web, &[frame], true);
            assert!(wrong.len() == 1 && wrong[0].contains(why), "{wrong:?}");
        }
        let wrong = judged(
            &endpoint("bob", "phone"),
            &[marked("read", "phone", 1)],
            true,
        );
        assert!(wrong.iter().any(|w| w.contains("nobody has read as far")));
    }

    #[test]
    fn news_of_a_chat_that_one_is_not_in_is_seen() {
        let wrong = judged(&endpoint("eve", "web"), &[marked("read", "phone", 1)], true);
        assert!(wrong.iter().any(|w| w == "eve was told marks of d.ada.bob"));
    }

    #[test]
    fn a_mark_that_falls_is_seen_unless_a_projector_began_again() {
        let frames = [5, 2].map(|seq| marked("read", "phone", seq));
        let web = endpoint("ada", "web");
        assert_eq!(judged(&web, &frames, true).len(), 1);
        assert_eq!(judged(&web, &frames, false), [""; 0]);
    }
}
