//! The numbers that users see, against counting: a naive model reads the timeline and the marks one
//! by one and counts; the tables must say the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::wildcard_enum_match_arm,
    clippy::panic,
    reason = "tests may fail loudly"
)]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use infra_ports::memory::MemoryStore;
use infra_ports::store::TableStore;
use proptest::prelude::*;
use schemas::avro::LogEvent;
use schemas::events::{ChatEvent, MarkKind, ReceiptEvent};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Ordinal, Seq};
use schemas::tables::{
    ChangeRow, ChatRow, CursorRow, InboxRow, MemberRow, MessageRow, StatusRow, Stay, Table, visible,
};
use schemas::topics::Topic;

use world::script::{Scripted, script};
use world::{LIVE, now, straight};

fn all<T: Table>(store: &MemoryStore) -> Vec<T> {
    let rows = now(store.scan_table(T::DEF, LIVE, None, usize::MAX)).unwrap();
    rows.iter().map(|row| row.decode().unwrap()).collect()
}

/// The timelines of all chats: seq, ordinal, event.
fn timelines(store: &MemoryStore) -> BTreeMap<ChatId, BTreeMap<Seq, (Ordinal, ChatEvent)>> {
    let mut timelines: BTreeMap<ChatId, BTreeMap<Seq, (Ordinal, ChatEvent)>> = BTreeMap::new();
    let messages = all::<MessageRow>(store).into_iter();
    let changes = all::<ChangeRow>(store).into_iter();
    let entries = messages
        .map(|m| (m.chat, m.seq, m.ordinal, m.event))
        .chain(changes.map(|c| (c.chat, c.seq, c.ordinal, c.event)));
    for (chat, seq, ordinal, event) in entries {
        let event = ChatEvent::decode(&event).unwrap();
        let entry = timelines
            .entry(chat)
            .or_default()
            .insert(seq, (ordinal, event));
        assert!(entry.is_none(), "one entry a place");
    }
    timelines
}

/// Walks a timeline as one user sees it and counts what they have not seen.
struct Reader<'a> {
    user: &'a UserId,
    member: bool,
    /// Ordinals of messages told since the last join or own send.
    fresh: Vec<Ordinal>,
    head: Seq,
}

impl Reader<'_> {
    fn see(&mut self, seq: Seq, ordinal: Ordinal, event: &ChatEvent) {
        let joins = match event {
            ChatEvent::ChatCreated(e) => {
                e.origin.author == *self.user || e.members.contains(self.user)
            }
            ChatEvent::MemberAdded(e) => e.user == *self.user,
            _ => false,
        };
        if joins {
            self.member = true;
            self.fresh.clear();
        }
        if !self.member {
            return;
        }
        self.head = seq;
        match event {
            ChatEvent::MessageSent(e) if e.origin.author == *self.user => self.fresh.clear(),
            ChatEvent::MessageSent(_) => self.fresh.push(ordinal),
            ChatEvent::MemberRemoved(e) if e.user == *self.user => self.member = false,
            ChatEvent::MemberLeft(e) if e.origin.author == *self.user => self.member = false,
            _ => {}
        }
    }
}

fn check_timelines(store: &MemoryStore) {
    for (chat, timeline) in timelines(store) {
        let dense: Vec<Seq> = (1..=timeline.len() as u64).map(Seq).collect();
        assert!(timeline.keys().eq(&dense), "{chat}: places without holes");
        let mut commands = BTreeSet::new();
        let mut sends = 0;
        for (ordinal, event) in timeline.values() {
            sends += u64::from(event.is_countable());
            assert_eq!(*ordinal, Ordinal(sends));
            let origin = event.origin();
            let command = (&origin.author, &origin.device, &origin.client_id);
            assert!(
                commands.insert(command),
                "{chat}: a resend made a second entry"
            );
        }
        let row = all::<ChatRow>(store)
            .into_iter()
            .find(|row| row.chat == chat)
            .unwrap();
        assert_eq!(
            (row.head, row.ordinal),
            (Seq(timeline.len() as u64), Ordinal(sends))
        );
    }
}

fn check_inboxes(store: &MemoryStore) {
    let timelines = timelines(store);
    let cursors = all::<CursorRow>(store);
    let members = all::<MemberRow>(store);
    for row in all::<InboxRow>(store) {
        let mut reader = Reader {
            user: &row.user,
            member: !row.chat.is_group(),
            fresh: Vec::new(),
            head: Seq(0),
        };
        let stays: Vec<Stay> = members
            .iter()
            .filter(|m| m.chat == row.chat && m.user == row.user)
            .map(Stay::from)
            .collect();
        for (seq, (ordinal, event)) in &timelines[&row.chat] {
            let head = reader.head;
            reader.see(*seq, *ordinal, event);
            assert_eq!(
                visible(&stays, *seq),
                reader.head != head,
                "what a stay lets see"
            );
        }
        let read = cursors
            .iter()
            .find(|c| c.user == row.user && c.device.is_none() && c.chat == row.chat)
            .map_or(Ordinal(0), |c| c.ordinal);
        let unread = reader
            .fresh
            .iter()
            .filter(|ordinal| **ordinal > read)
            .count();
        assert_eq!(
            row.unread(read),
            unread as u64,
            "{} in {}",
            row.user,
            row.chat
        );
        assert_eq!(row.head, reader.head);
        assert_eq!(row.until == Seq(0), reader.member);
    }
}

fn check_status(store: &MemoryStore, script: &[Scripted]) {
    let marks: Vec<_> = script
        .iter()
        .filter(|one| one.topic == Topic::Receipts)
        .filter_map(|one| ReceiptEvent::decode(&one.record.value).ok())
        .map(|ReceiptEvent::Mark(mark)| mark)
        .collect();
    for row in all::<StatusRow>(store) {
        for seq in (1..50).map(Seq) {
            let covers = marks
                .iter()
                .filter(|m| m.chat == row.chat && m.since < seq && seq <= m.seq);
            let delivered: BTreeSet<_> = covers.clone().map(|m| &m.user).collect();
            let reads = covers.filter(|m| m.kind == MarkKind::Read);
            let read: BTreeSet<_> = reads.map(|m| &m.user).collect();
            assert_eq!(row.delivered.count_at(seq) as usize, delivered.len());
            assert_eq!(row.read.count_at(seq) as usize, read.len());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    #[test]
    fn what_the_tables_say_is_what_counting_says(seed in any::<u64>()) {
        let script = script(seed, 400);
        let (_, store) = straight(&script);
        check_timelines(&store);
        check_inboxes(&store);
        check_status(&store, &script);
        prop_assert!(!all::<InboxRow>(&store).is_empty());
    }
}
