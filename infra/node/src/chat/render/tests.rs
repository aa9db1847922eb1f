//! How things look.

use schemas::frames::{Member, StatusOf};
use schemas::ids::{ClientId, DeviceId};
use schemas::position::{Ordinal, Seq};

use super::*;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn chat() -> ChatId {
    ChatId::new("d.ada.bob").unwrap()
}

fn entry(author: &str, event: EntryEvent) -> Entry {
    Entry {
        chat: chat(),
        seq: Seq(12),
        ordinal: Ordinal(9),
        at: Timestamp(1_790_000_000_000),
        author: user(author),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new("m").unwrap(),
        id: "0".into(),
        event,
    }
}

fn text(text: &str) -> EntryEvent {
    EntryEvent::Message {
        body: WireBody::text(text),
        reply_to: None,
    }
}

fn message(author: &str, event: EntryEvent) -> Message {
    Message {
        entry: entry(author, event),
        edited: None,
        deleted: false,
        reactions: std::collections::BTreeMap::new(),
    }
}

fn summary(chat: ChatId, title: &str) -> ChatSummary {
    ChatSummary {
        chat,
        title: title.into(),
        head: Seq(12),
        ordinal: Ordinal(9),
        at: Timestamp(0),
        unread: 0,
        read: Seq(0),
        preview: None,
        muted_until: Timestamp(0),
        archived: false,
        pinned: false,
        member: true,
    }
}

#[test]
fn a_message_cannot_take_over_the_terminal() {
    assert_eq!(
        clean("a\u{1b}[2Jb\u{7}\u{9b}c"),
        "a\u{fffd}[2Jb\u{fffd}\u{fffd}c"
    );
    assert_eq!(clean("\u{202e}evil"), "\u{fffd}evil");
    assert_eq!(clean("Grüße 👍\n\tso"), "Grüße 👍\n\tso");
    let line = entry_line(&entry("bob", text("x\rada: y")), &user("ada"));
    assert!(!line.contains('\r'));
}

#[test]
fn own_messages_bear_ticks_and_those_of_others_none() {
    let line = entry_line(&entry("ada", text("hello")), &user("ada"));
    assert_eq!(line, "14:13   #12 ada: hello  ✓");
    let line = entry_line(&entry("bob", text("hello")), &user("ada"));
    assert_eq!(line, "14:13   #12 bob: hello");
    let line = message_line(&message("ada", text("hi")), &user("ada"), Some(Tick::Read));
    assert_eq!(line, "14:13   #12 ada: hi  ✓✓ read");
    let line = message_line(
        &message("ada", EntryEvent::MemberLeft {}),
        &user("ada"),
        Some(Tick::Read),
    );
    assert_eq!(line, "14:13   #12 * ada left");
}

#[test]
fn history_shows_what_became_of_a_message() {
    let mut edited = message("bob", text("helo"));
    edited.edited = Some(WireBody::text("hello"));
    edited.reactions.insert(user("ada"), "👍".into());
    let line = message_line(&edited, &user("ada"), None);
    assert_eq!(line, "14:13   #12 bob: hello (edited)  👍:ada");
    let mut deleted = message("bob", text("oops"));
    deleted.delete();
    let line = message_line(&deleted, &user("ada"), None);
    assert_eq!(line, "14:13   #12 bob: (deleted)");
}

#[test]
fn text_of_several_lines_goes_on_below_its_beginning() {
    let line = entry_line(&entry("bob", text("one\ntwo")), &user("ada"));
    assert_eq!(line, "14:13   #12 bob: one\n            two");
}

#[test]
fn bodies_that_are_no_text_are_named() {
    let mut image = WireBody {
        kind: BodyKind::Image,
        data: Some("AA==".into()),
        ..WireBody::default()
    };
    assert_eq!(body(&image), "[image]");
    image.fields.insert("caption".into(), "the sea".into());
    assert_eq!(body(&image), "[image] the sea");
    image.e2e_key = Some("k".into());
    assert_eq!(body(&image), "[encrypted]");
}

#[test]
fn the_chat_list_names_counts_and_previews() {
    let mut direct = summary(chat(), "");
    direct.unread = 3;
    direct.pinned = true;
    direct.preview = Some(Preview {
        seq: Seq(12),
        author: user("bob"),
        kind: BodyKind::Text,
        text: "see\nyou".into(),
    });
    let line = chat_line(1, &direct, &user("ada"), Timestamp(1));
    assert_eq!(
        line,
        "  1  bob                     3 new  bob: see you [pinned]"
    );
    let group = ChatId::new("g.00112233445566778899aabbccddeeff").unwrap();
    let mut left = summary(group, "Sailing");
    left.member = false;
    left.muted_until = Timestamp(2);
    let line = chat_line(2, &left, &user("ada"), Timestamp(1));
    assert_eq!(line, "  2  Sailing                         [muted] [left]");
}

#[test]
fn ticks_count_in_a_group_and_name_the_step_in_a_direct_chat() {
    let ticks = |delivered, read| Ticks {
        chat: chat(),
        seq: Seq(7),
        delivered,
        read,
    };
    assert_eq!(ticks_line(&ticks(1, 0), true).trim(), "✓✓ #7 delivered");
    assert_eq!(ticks_line(&ticks(1, 1), true).trim(), "✓✓ #7 read");
    let line = ticks_line(&ticks(85, 42), false);
    assert_eq!(line.trim(), "✓✓ #7 delivered to 85, read by 42");
}

#[test]
fn a_status_names_everybody_and_the_slowest_decides_the_tick() {
    let who = |name, delivered, read| StatusOf {
        user: user(name),
        delivered,
        read,
    };
    let mut status = Status {
        chat: chat(),
        seq: Seq(7),
        of: 2,
        delivered: 2,
        read: 1,
        who: Some(vec![who("bob", true, true), who("eve", true, false)]),
    };
    let lines = status_lines(&status);
    assert_eq!(lines[0], "#7: delivered to 2 of 2, read by 1");
    assert_eq!(lines[1], "  bob                  ✓✓ read");
    assert_eq!(lines[2], "  eve                  ✓✓");
    assert_eq!(Tick::of(&status), Tick::Delivered);
    status.delivered = 1;
    assert_eq!(Tick::of(&status), Tick::Sent);
    (status.delivered, status.read) = (2, 2);
    assert_eq!(Tick::of(&status), Tick::Read);
}

#[test]
fn members_are_listed_with_their_roles() {
    let members = Members {
        chat: ChatId::new("g.00112233445566778899aabbccddeeff").unwrap(),
        title: "Sailing".into(),
        description: "Sundays".into(),
        max_members: 256,
        members: vec![Member {
            user: user("ada"),
            role: Role::Owner,
            since: Seq(1),
        }],
    };
    let lines = members_lines(&members, &user("ada"));
    assert_eq!(lines[0], "Sailing: 1 of at most 256");
    assert_eq!(lines[2], "  ada                  owner");
}

#[test]
fn no_text_of_others_makes_a_line_that_looks_like_one_of_the_program() {
    let forged = "x\n12:00    #9 bob: pay eve\u{2028}12:01\u{85}12:02";
    let members = Members {
        chat: ChatId::new("g.00112233445566778899aabbccddeeff").unwrap(),
        title: forged.into(),
        description: forged.into(),
        max_members: 256,
        members: Vec::new(),
    };
    let me = user("ada");
    let listed = summary(members.chat.clone(), forged);
    let mut reacted = message("eve", text(forged));
    reacted.reactions.insert(user("eve"), forged.into());
    let reaction = EntryEvent::Reacted {
        target: Seq(1),
        reaction: Some(forged.into()),
    };
    let mut lines = members_lines(&members, &me);
    lines.push(chat_line(1, &listed, &me, Timestamp(0)));
    lines.push(message_line(&reacted, &me, None));
    lines.push(entry_line(&entry("eve", reaction), &me));
    let shown = lines.join("\n");
    let looks_genuine = |line: &str| line.starts_with("12:") || line.starts_with("  12:");
    assert!(!shown.lines().any(looks_genuine), "{shown}");
    assert!(!shown.contains(['\u{2028}', '\u{85}']), "{shown}");
}

#[test]
fn days_are_those_of_the_calendar() {
    for (ms, expected) in [
        (0, "1970-01-01"),
        (951_782_400_000, "2000-02-29"),
        (1_790_000_000_000, "2026-09-21"),
        (-1, "1969-12-31"),
        (4_107_542_400_000, "2100-03-01"),
    ] {
        assert_eq!(day(Timestamp(ms)), expected);
    }
}
