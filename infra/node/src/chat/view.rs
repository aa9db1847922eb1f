//! What the terminal shows: which chat is open, what was shown of it, how many are unread.
//!
//! Pure: news go in, texts to print and places to mark as read come out. It never talks to the
//! client; the terminal does what it says.

use std::collections::BTreeMap;

use cursus_client::Event;
use schemas::events::MarkKind;
use schemas::frames::{ChatSummary, Entry, EntryEvent, History, Ticks};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};

use super::render::{self, Tick};

/// What is to be done about the news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Effect {
    Print(String),
    Read(ChatId, Seq),
}

/// The state of the terminal.
#[derive(Debug)]
pub(super) struct View {
    me: UserId,
    open: Option<ChatId>,
    titles: BTreeMap<ChatId, String>,
    unread: BTreeMap<ChatId, u64>,
    /// The newest place of each chat among its messages.
    newest: BTreeMap<ChatId, Ordinal>,
    /// Up to where each chat was shown.
    shown: BTreeMap<ChatId, Seq>,
    /// The chat list as it was shown last: its numbers can be opened.
    listed: Vec<ChatId>,
    told: BTreeMap<ChatId, Ticks>,
    connected: bool,
}

impl View {
    pub(super) fn new(me: UserId) -> Self {
        Self {
            me,
            open: None,
            titles: BTreeMap::new(),
            unread: BTreeMap::new(),
            newest: BTreeMap::new(),
            shown: BTreeMap::new(),
            listed: Vec::new(),
            told: BTreeMap::new(),
            connected: true,
        }
    }

    pub(super) fn open_chat(&self) -> Option<&ChatId> {
        self.open.as_ref()
    }

    pub(super) fn prompt(&self) -> String {
        match &self.open {
            Some(chat) => format!("{}> ", self.name(chat)),
            None => "> ".to_owned(),
        }
    }

    /// The chat list, numbered.
    pub(super) fn list(&mut self, chats: &[ChatSummary], now: Timestamp) -> Vec<String> {
        self.listed = chats.iter().map(|chat| chat.chat.clone()).collect();
        for chat in chats {
            // Who has left is told no title, and may know one from before.
            if chat.member || !self.titles.contains_key(&chat.chat) {
                self.titles.insert(chat.chat.clone(), chat.title.clone());
            }
            self.unread.insert(chat.chat.clone(), chat.unread);
            self.heard_of(&chat.chat, chat.ordinal);
        }
        if chats.is_empty() {
            return vec!["no chats yet: /open USER or /group create TITLE with USER".to_owned()];
        }
        let line = |(n, chat)| render::chat_line(n + 1, chat, &self.me, now);
        chats.iter().enumerate().map(line).collect()
    }

    /// The chat that a person means: a number of the list, an id, a title or a user.
    pub(super) fn find(&self, text: &str) -> Option<ChatId> {
        let number = text.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
        let listed = number.and_then(|n| self.listed.get(n)).cloned();
        let wanted = text.to_lowercase();
        let titled = || {
            let same = |(_, title): &(&ChatId, &String)| title.to_lowercase() == wanted;
            self.titles.iter().find(same).map(|(chat, _)| chat.clone())
        };
        let direct = || {
            let other = UserId::new(text.trim_start_matches('@')).ok()?;
            ChatId::direct(&self.me, &other).ok()
        };
        if text.starts_with('@') {
            return direct();
        }
        // A chat with that person comes before a group that calls itself by their name.
        let known = || direct().filter(|chat| self.titles.contains_key(chat));
        listed
            .or_else(|| ChatId::new(text).ok())
            .or_else(known)
            .or_else(titled)
            .or_else(direct)
    }

    /// Opens a chat; its history is shown when it comes.
    pub(super) fn open(&mut self, chat: ChatId) {
        self.open = Some(chat);
    }

    /// Lines of a page of history, oldest first, and how far that is read.
    pub(super) fn history(
        &mut self,
        history: &History,
        ticks: &BTreeMap<Seq, Tick>,
    ) -> (Vec<String>, Option<Seq>) {
        let mut lines = Vec::new();
        let mut today = String::new();
        for message in history.messages.iter().rev() {
            let day = render::day(message.entry.at);
            if day != today {
                lines.push(format!("—— {day} ——"));
                today = day;
            }
            // Whoever has a later message has this one too.
            let tick = ticks
                .range(message.entry.seq..)
                .map(|(_, tick)| *tick)
                .max();
            let tick = Some(tick.unwrap_or(Tick::Sent));
            lines.push(render::message_line(message, &self.me, tick));
        }
        if lines.is_empty() {
            lines.push("nothing here yet".to_owned());
        }
        let newest = history.messages.first().map(|newest| newest.entry.seq);
        if let Some(newest) = newest {
            self.showed(&history.chat, newest);
        }
        (lines, newest)
    }

    /// What is to be done about an event.
    pub(super) fn event(&mut self, event: &Event) -> Vec<Effect> {
        match event {
            Event::Entry(entry) => self.entry(entry),
            Event::Ticks(ticks) => self.ticks(ticks),
            Event::Marked(marked) => {
                if marked.kind == MarkKind::Read {
                    self.read_up_to(&marked.chat, marked.ordinal);
                }
                Vec::new()
            }
            Event::Disconnected { .. } => {
                let first = std::mem::replace(&mut self.connected, false);
                told(first, "—— the connection is lost; trying again ——")
            }
            Event::Live => {
                let again = !std::mem::replace(&mut self.connected, true);
                told(again, "—— connected again ——")
            }
            Event::Closing(code) => told(true, &format!("—— the server says: {code} ——")),
            Event::Settings(_) | Event::Welcome(_) | _ => Vec::new(),
        }
    }

    fn entry(&mut self, entry: &Entry) -> Vec<Effect> {
        self.learn(entry);
        self.heard_of(&entry.chat, entry.ordinal);
        if self
            .shown
            .get(&entry.chat)
            .is_some_and(|shown| entry.seq <= *shown)
        {
            return Vec::new();
        }
        let line = render::entry_line(entry, &self.me);
        if self.open.as_ref() == Some(&entry.chat) {
            self.showed(&entry.chat, entry.seq);
            let read = Effect::Read(entry.chat.clone(), entry.seq);
            return vec![Effect::Print(line), read];
        }
        if entry.author == self.me {
            return Vec::new();
        }
        let unread = self.unread.entry(entry.chat.clone()).or_default();
        *unread += u64::from(render::is_message(entry));
        let unread = *unread;
        let name = self.name(&entry.chat);
        vec![Effect::Print(format!("[{name}, {unread} new] {line}"))]
    }

    fn ticks(&mut self, ticks: &Ticks) -> Vec<Effect> {
        let same = self.told.get(&ticks.chat) == Some(ticks);
        if same || self.open.as_ref() != Some(&ticks.chat) {
            return Vec::new();
        }
        self.told.insert(ticks.chat.clone(), ticks.clone());
        told(true, &render::ticks_line(ticks, !ticks.chat.is_group()))
    }

    /// Titles come and change with the entries.
    fn learn(&mut self, entry: &Entry) {
        let title = match &entry.event {
            EntryEvent::Created { title, .. } => Some(title),
            EntryEvent::Changed { title, .. } => title.as_ref(),
            EntryEvent::Message { .. }
            | EntryEvent::Edited { .. }
            | EntryEvent::Deleted { .. }
            | EntryEvent::Reacted { .. }
            | EntryEvent::MemberAdded { .. }
            | EntryEvent::MemberRemoved { .. }
            | EntryEvent::MemberLeft {}
            | EntryEvent::RoleChanged { .. }
            | EntryEvent::Unknown => None,
        };
        if let Some(title) = title {
            self.titles.insert(entry.chat.clone(), title.clone());
        }
    }

    fn heard_of(&mut self, chat: &ChatId, ordinal: Ordinal) {
        let newest = self.newest.entry(chat.clone()).or_default();
        *newest = ordinal.max(*newest);
    }

    /// Unread ones are the newest messages of a chat: no more of them are left than follow the mark.
    fn read_up_to(&mut self, chat: &ChatId, ordinal: Ordinal) {
        let newest = self.newest.get(chat).copied().unwrap_or_default();
        let left = newest.0.saturating_sub(ordinal.0);
        let unread = self.unread.entry(chat.clone()).or_default();
        *unread = left.min(*unread);
    }

    fn showed(&mut self, chat: &ChatId, seq: Seq) {
        let shown = self.shown.entry(chat.clone()).or_default();
        *shown = seq.max(*shown);
        self.unread.insert(chat.clone(), 0);
    }

    fn name(&self, chat: &ChatId) -> String {
        let title = self.titles.get(chat).map_or("", String::as_str);
        render::name(chat, title, &self.me)
    }
}

fn told(yes: bool, text: &str) -> Vec<Effect> {
    if yes {
        vec![Effect::Print(text.to_owned())]
    } else {
        Vec::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use schemas::frames::{Marked, Message, WireBody};
    use schemas::ids::{ClientId, DeviceId};
    use schemas::position::Ordinal;

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    fn with(other: &str) -> ChatId {
        ChatId::direct(&user("ada"), &user(other)).unwrap()
    }

    fn entry(other: &str, seq: u64, event: EntryEvent) -> Entry {
        Entry {
            chat: with(other),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            at: Timestamp(0),
            author: user(other),
            device: DeviceId::new("phone").unwrap(),
            client_id: ClientId::new("m").unwrap(),
            id: "0".into(),
            event,
        }
    }

    fn said(other: &str, seq: u64) -> Entry {
        let body = WireBody::text("hello");
        let reply_to = None;
        entry(other, seq, EntryEvent::Message { body, reply_to })
    }

    fn news(view: &mut View, entry: Entry) -> Vec<Effect> {
        view.event(&Event::Entry(Box::new(entry)))
    }

    #[test]
    fn what_is_shown_in_the_open_chat_is_marked_read() {
        let mut view = View::new(user("ada"));
        view.open(with("bob"));
        let effects = news(&mut view, said("bob", 4));
        let line = Effect::Print("00:00    #4 bob: hello".into());
        assert_eq!(effects, [line, Effect::Read(with("bob"), Seq(4))]);
    }

    #[test]
    fn other_chats_are_announced_with_their_count_and_not_marked() {
        let mut view = View::new(user("ada"));
        view.open(with("bob"));
        news(&mut view, said("eve", 1));
        let effects = news(&mut view, said("eve", 2));
        let line = "[eve, 2 new] 00:00    #2 eve: hello";
        assert_eq!(effects, [Effect::Print(line.into())]);
    }

    #[test]
    fn what_was_read_elsewhere_is_unread_no_longer_and_the_rest_still_is() {
        let mut view = View::new(user("ada"));
        for seq in 1..=10 {
            news(&mut view, said("eve", seq));
        }
        let mark = |seq| {
            Event::Marked(Marked {
                chat: with("eve"),
                device: DeviceId::new("phone").unwrap(),
                kind: MarkKind::Read,
                seq: Seq(seq),
                ordinal: Ordinal(seq),
            })
        };
        view.event(&mark(1));
        assert_eq!(view.unread[&with("eve")], 9);
        view.event(&mark(10));
        assert_eq!(view.unread[&with("eve")], 0);
    }

    #[test]
    fn what_history_showed_is_not_shown_again() {
        let mut view = View::new(user("ada"));
        view.open(with("bob"));
        let message = |seq| Message {
            entry: said("bob", seq),
            edited: None,
            deleted: false,
            reactions: BTreeMap::new(),
        };
        let history = History {
            chat: with("bob"),
            messages: vec![message(6), message(5)],
            before: None,
        };
        let (lines, read) = view.history(&history, &BTreeMap::new());
        assert_eq!(lines[0], "—— 1970-01-01 ——");
        assert!(lines[1].contains("#5") && lines[2].contains("#6"));
        assert_eq!(read, Some(Seq(6)));
        assert!(news(&mut view, said("bob", 6)).is_empty());
        assert_eq!(news(&mut view, said("bob", 7)).len(), 2);
    }

    #[test]
    fn ticks_are_told_once_and_of_the_open_chat_only() {
        let mut view = View::new(user("ada"));
        let ticks = |read| {
            Event::Ticks(Ticks {
                chat: with("bob"),
                seq: Seq(7),
                delivered: 1,
                read,
            })
        };
        assert!(view.event(&ticks(0)).is_empty());
        view.open(with("bob"));
        assert_eq!(view.event(&ticks(0)).len(), 1);
        assert!(view.event(&ticks(0)).is_empty());
        assert_eq!(view.event(&ticks(1)).len(), 1);
    }

    #[test]
    fn chats_are_found_by_number_id_title_and_user() {
        let mut view = View::new(user("ada"));
        let group = ChatId::new("g.00112233445566778899aabbccddeeff").unwrap();
        let mut created = entry("bob", 1, EntryEvent::MemberLeft {});
        created.chat = group.clone();
        created.event = EntryEvent::Created {
            title: "Sailing".into(),
            description: String::new(),
            members: vec![],
            max_members: 256,
        };
        news(&mut view, created);
        view.listed = vec![with("eve")];
        assert_eq!(view.find("1"), Some(with("eve")));
        assert_eq!(view.find("sailing"), Some(group.clone()));
        assert_eq!(view.find(group.as_str()), Some(group));
        assert_eq!(view.find("bob"), Some(with("bob")));
        assert_eq!(
            view.find("2"),
            Some(with("2")),
            "a number beyond the list is a user's name"
        );
        assert_eq!(view.find("ada"), None, "there is no chat with oneself");
        assert_eq!(view.find("No Such Title"), None);
    }

    #[test]
    fn a_lost_connection_is_told_once() {
        let mut view = View::new(user("ada"));
        let lost = Event::Disconnected {
            why: cursus_client::Lost::Broken,
            retry_in_ms: 1,
        };
        assert!(view.event(&Event::Live).is_empty());
        assert_eq!(view.event(&lost).len(), 1);
        assert!(view.event(&lost).is_empty());
        assert_eq!(view.event(&Event::Live).len(), 1);
    }
}
