//! Every command: the event it makes, and every refusal by its code.

use compact_str::CompactString;
use schemas::errors::Code;
use schemas::events::{
    AccountEvent, Body, BodyKind, ChatArchived, ChatChanged, ChatCreated, ChatEvent, ChatMuted,
    ChatPinned, MarkKind, MemberAdded, MemberLeft, MemberRemoved, MemberRoleChanged,
    MessageDeleted, MessageEdited, MessageHidden, MessageSent, Origin, RULES, ReactionSet,
    ReceiptEvent, Role,
};
use schemas::frames::{Command, MAX_BODY_BYTES, WireBody, decode_command};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};
use serde_json::{Value, json};

use super::limits::{MAX_MUTE_UNTIL, MAX_SEQ};
use super::{Checked, StampedMark, check, mark};
use crate::testing::{NOW, ada, client, device, direct, group, user};

fn command(kind: &str, data: &Value) -> Command {
    let frame = json!({"type": kind, "data": data}).to_string();
    decode_command(frame.as_bytes()).value.unwrap()
}

fn checked(kind: &str, data: Value) -> Result<Checked, Code> {
    check(&ada(), command(kind, &data), NOW).map_err(|refusal| refusal.code)
}

fn chat_event(kind: &str, data: Value) -> ChatEvent {
    match checked(kind, data) {
        Ok(Checked::Chat(event)) => event,
        other => panic!("{other:?}"),
    }
}

fn origin(chat: ChatId) -> Origin {
    Origin {
        chat,
        author: user("ada"),
        device: device("phone"),
        client_id: client("c"),
        at: NOW,
        rules: RULES,
    }
}

fn body() -> Value {
    json!({"kind": "text", "text": "hello"})
}

#[test]
fn each_message_command_makes_its_event() {
    let chat = "d.ada.bob";
    assert_eq!(
        chat_event(
            "send",
            json!({"chat": chat, "client_id": "c", "body": body(), "reply_to": 3})
        ),
        ChatEvent::MessageSent(MessageSent {
            origin: origin(direct()),
            body: Body::text("hello"),
            reply_to: Some(Seq(3)),
        })
    );
    assert_eq!(
        chat_event(
            "edit",
            json!({"chat": chat, "client_id": "c", "seq": 3, "body": body()})
        ),
        ChatEvent::MessageEdited(MessageEdited {
            origin: origin(direct()),
            target: Seq(3),
            body: Body::text("hello"),
        })
    );
    assert_eq!(
        chat_event("delete", json!({"chat": chat, "client_id": "c", "seq": 3})),
        ChatEvent::MessageDeleted(MessageDeleted {
            origin: origin(direct()),
            target: Seq(3)
        })
    );
    for (given, reaction) in [
        (json!("👍🏽"), Some(CompactString::from("👍🏽"))),
        (Value::Null, None),
    ] {
        assert_eq!(
            chat_event(
                "react",
                json!({"chat": chat, "client_id": "c", "seq": 3, "reaction": given})
            ),
            ChatEvent::ReactionSet(ReactionSet {
                origin: origin(direct()),
                target: Seq(3),
                reaction
            })
        );
    }
}

#[test]
fn each_group_command_makes_its_event() {
    let chat = group().to_string();
    assert_eq!(
        chat_event(
            "change_chat",
            json!({"chat": chat, "client_id": "c", "title": " New "})
        ),
        ChatEvent::ChatChanged(ChatChanged {
            origin: origin(group()),
            title: Some("New".into()),
            description: None,
        })
    );
    assert_eq!(
        chat_event(
            "add_member",
            json!({"chat": chat, "client_id": "c", "user": "eve", "role": "admin"})
        ),
        ChatEvent::MemberAdded(MemberAdded {
            origin: origin(group()),
            user: user("eve"),
            role: Role::Admin,
        })
    );
    assert_eq!(
        chat_event(
            "remove_member",
            json!({"chat": chat, "client_id": "c", "user": "eve"})
        ),
        ChatEvent::MemberRemoved(MemberRemoved {
            origin: origin(group()),
            user: user("eve")
        })
    );
    assert_eq!(
        chat_event("leave", json!({"chat": chat, "client_id": "c"})),
        ChatEvent::MemberLeft(MemberLeft {
            origin: origin(group())
        })
    );
    assert_eq!(
        chat_event(
            "set_role",
            json!({"chat": chat, "client_id": "c", "user": "eve", "role": "owner"})
        ),
        ChatEvent::MemberRoleChanged(MemberRoleChanged {
            origin: origin(group()),
            user: user("eve"),
            role: Role::Owner,
        })
    );
}

#[test]
fn each_setting_makes_its_event() {
    let (user, device) = (user("ada"), device("phone"));
    let expected = [
        (
            "mute",
            json!({"chat": "d.ada.bob", "until": 5}),
            AccountEvent::ChatMuted(ChatMuted {
                user: user.clone(),
                device: device.clone(),
                chat: direct(),
                until: Some(Timestamp(5)),
                at: NOW,
            }),
        ),
        (
            "archive",
            json!({"chat": "d.ada.bob", "archived": true}),
            AccountEvent::ChatArchived(ChatArchived {
                user: user.clone(),
                device: device.clone(),
                chat: direct(),
                archived: true,
                at: NOW,
            }),
        ),
        (
            "pin",
            json!({"chat": "d.ada.bob", "pinned": false}),
            AccountEvent::ChatPinned(ChatPinned {
                user: user.clone(),
                device: device.clone(),
                chat: direct(),
                pinned: false,
                at: NOW,
            }),
        ),
        (
            "hide",
            json!({"chat": "d.ada.bob", "seq": 7}),
            AccountEvent::MessageHidden(MessageHidden {
                user,
                device,
                chat: direct(),
                seq: Seq(7),
                at: NOW,
            }),
        ),
    ];
    for (kind, data, event) in expected {
        assert_eq!(checked(kind, data), Ok(Checked::Account(event)));
    }
}

#[test]
fn new_group_has_each_member_once_and_not_its_creator() {
    let event = chat_event(
        "create_group",
        json!({"client_id": "c", "title": "T", "members": ["eve", "bob", "ada", "eve"]}),
    );
    let chat = ChatId::group(&user("ada"), &device("phone"), &client("c"));
    assert_eq!(
        event,
        ChatEvent::ChatCreated(ChatCreated {
            origin: origin(chat),
            title: "T".into(),
            description: String::new(),
            members: vec![user("eve"), user("bob")],
            max_members: 256,
        })
    );
}

#[test]
fn group_holds_its_maximum_and_not_one_more() {
    let with = |others: u32, max: Option<u32>| {
        let members: Vec<String> = (0..others).map(|i| format!("u{i}")).collect();
        let mut data = json!({"client_id": "c", "title": "T", "members": members});
        if let Some(max) = max {
            data["max_members"] = json!(max);
        }
        checked("create_group", data).map(|_| ())
    };
    assert_eq!(with(255, None), Ok(()));
    assert_eq!(with(256, None), Err(Code::TooManyMembers));
    assert_eq!(with(1_023, Some(1_024)), Ok(()));
    assert_eq!(with(1_024, Some(1_024)), Err(Code::TooManyMembers));
    assert_eq!(with(0, Some(1)), Ok(()));
    assert_eq!(with(1, Some(1)), Err(Code::TooManyMembers));
    assert_eq!(with(0, Some(1_025)), Err(Code::TooManyMembers));
    assert_eq!(with(0, Some(0)), Err(Code::InvalidField));
}

#[test]
fn title_and_description_are_checked_by_characters() {
    let title = |text: String| checked("create_group", json!({"client_id": "c", "title": text}));
    assert!(title("é".repeat(128)).is_ok());
    assert!(title(format!("  {}  ", "é".repeat(128))).is_ok());
    assert_eq!(title("é".repeat(129)), Err(Code::TooLong));
    for bad in [
        "",
        "   ",
        "\t\n",
        "a\nb",
        "a\u{7}b",
        "a\u{85}b",
        "a\u{2028}b",
    ] {
        assert_eq!(title(bad.into()), Err(Code::InvalidField), "{bad:?}");
    }
    let chat = group().to_string();
    let description = |text: String| {
        let data = json!({"chat": chat, "client_id": "c", "description": text});
        checked("change_chat", data).map(|_| ())
    };
    assert_eq!(description(String::new()), Ok(()));
    assert_eq!(
        description(format!("two\nlines\t{}", "é".repeat(1_000))),
        Ok(())
    );
    assert_eq!(description("é".repeat(1_025)), Err(Code::TooLong));
    assert_eq!(description("a\rb".into()), Err(Code::InvalidField));
    assert_eq!(description("a\0b".into()), Err(Code::InvalidField));
}

#[test]
fn change_of_nothing_is_refused() {
    let data = json!({"chat": group().to_string(), "client_id": "c"});
    assert_eq!(checked("change_chat", data), Err(Code::InvalidField));
}

#[test]
fn place_is_at_least_one_and_exact_in_json() {
    let commands = |seq: u64| {
        let base = json!({"chat": "d.ada.bob", "client_id": "c", "seq": seq, "reply_to": seq});
        ["send", "edit", "delete", "react", "hide"].map(|kind| {
            let mut data = base.clone();
            data["body"] = body();
            checked(kind, data).map(|_| ())
        })
    };
    assert_eq!(commands(0), [Err(Code::InvalidField); 5]);
    assert_eq!(commands(1), [Ok(()); 5]);
    assert_eq!(commands(MAX_SEQ.0), [Ok(()); 5]);
    assert_eq!(commands(MAX_SEQ.0 + 1), [Err(Code::InvalidField); 5]);
    assert_eq!(commands(u64::MAX), [Err(Code::InvalidField); 5]);
}

#[test]
fn reaction_is_short_and_visible() {
    let react = |text: &str| {
        let data = json!({"chat": "d.ada.bob", "client_id": "c", "seq": 1, "reaction": text});
        checked("react", data).map(|_| ())
    };
    assert_eq!(react(&"x".repeat(32)), Ok(()));
    assert_eq!(react("👨‍👩‍👧‍👦"), Ok(()));
    assert_eq!(react(&"x".repeat(33)), Err(Code::TooLong));
    assert_eq!(react(""), Err(Code::InvalidField));
    assert_eq!(react("a\nb"), Err(Code::InvalidField));
}

#[test]
fn body_is_refused_with_the_code_of_its_fault() {
    let send = |body: WireBody| {
        let body = serde_json::to_value(body).unwrap();
        ["send", "edit"].map(|kind| {
            let data = json!({"chat": "d.ada.bob", "client_id": "c", "seq": 1, "body": body});
            checked(kind, data).map(|_| ())
        })
    };
    assert_eq!(
        send(WireBody::text("x".repeat(MAX_BODY_BYTES))),
        [Ok(()); 2]
    );
    let large = WireBody::text("x".repeat(MAX_BODY_BYTES + 1));
    assert_eq!(send(large), [Err(Code::BodyTooLarge); 2]);
    let two = WireBody {
        data: Some("AA==".into()),
        ..WireBody::text("x")
    };
    assert_eq!(send(two), [Err(Code::InvalidField); 2]);
    let unknown = WireBody {
        kind: BodyKind::Unknown,
        ..WireBody::text("x")
    };
    assert_eq!(send(unknown), [Err(Code::InvalidField); 2]);
    let many = (0..33).map(|i| (i.to_string(), String::new())).collect();
    let fields = WireBody {
        fields: many,
        ..WireBody::text("x")
    };
    assert_eq!(send(fields), [Err(Code::TooLong); 2]);
}

#[test]
fn mute_has_an_end_that_can_be_written_down() {
    let mute =
        |until: Value| checked("mute", json!({"chat": "d.ada.bob", "until": until})).map(|_| ());
    assert_eq!(mute(Value::Null), Ok(()));
    assert_eq!(mute(json!(MAX_MUTE_UNTIL)), Ok(()));
    for bad in [0, -1, i64::MIN, MAX_MUTE_UNTIL.0 + 1, i64::MAX] {
        assert_eq!(mute(json!(bad)), Err(Code::InvalidField), "{bad}");
    }
}

/// All commands that name a chat, for this one.
fn all_in(chat: &str) -> Vec<(&'static str, Value)> {
    let data = json!({
        "chat": chat, "client_id": "c", "body": body(), "seq": 1, "title": "T", "user": "eve",
        "role": "member", "archived": true, "pinned": true,
    });
    [
        "send",
        "edit",
        "delete",
        "react",
        "mute",
        "archive",
        "pin",
        "hide",
        "change_chat",
        "add_member",
        "remove_member",
        "leave",
        "set_role",
    ]
    .map(|kind| (kind, data.clone()))
    .to_vec()
}

#[test]
fn stranger_may_do_nothing_in_a_direct_chat() {
    for (kind, data) in all_in("d.bob.eve") {
        assert_eq!(checked(kind, data), Err(Code::NotMember), "{kind}");
    }
}

#[test]
fn direct_chat_is_no_group_and_a_group_is_left_to_the_log() {
    for (i, (kind, data)) in all_in("d.ada.bob").into_iter().enumerate() {
        let expected = if i < 8 { Ok(()) } else { Err(Code::NotAGroup) };
        assert_eq!(checked(kind, data).map(|_| ()), expected, "{kind}");
    }
    for (kind, data) in all_in(group().as_str()) {
        assert!(checked(kind, data).is_ok(), "{kind}");
    }
}

#[test]
fn nobody_is_added_as_an_owner() {
    let data =
        json!({"chat": group().to_string(), "client_id": "c", "user": "eve", "role": "owner"});
    assert_eq!(checked("add_member", data), Err(Code::InvalidField));
}

#[test]
fn what_a_session_answers_itself_is_not_appended() {
    let chat = json!({"chat": "d.ada.bob", "seq": 1, "from": 1});
    for kind in [
        "hello",
        "delivered",
        "read",
        "chats",
        "history",
        "timeline",
        "status",
        "members",
        "ping",
    ] {
        assert_eq!(
            checked(kind, chat.clone()),
            Err(Code::UnknownType),
            "{kind}"
        );
    }
}

fn stamped(authors: Vec<UserId>) -> StampedMark {
    StampedMark {
        chat: direct(),
        kind: MarkKind::Read,
        seq: Seq(9),
        ordinal: Ordinal(7),
        since: Seq(0),
        authors,
    }
}

#[test]
fn mark_names_at_most_16_others() {
    let mut authors: Vec<UserId> = (0..20).map(|i| user(&format!("u{i}"))).collect();
    authors.insert(0, user("ada"));
    let ReceiptEvent::Mark(made) = mark(&ada(), stamped(authors), NOW).unwrap();
    assert_eq!(made.authors.len(), 16);
    assert_eq!(made.authors.first(), Some(&user("u0")));
    assert_eq!(
        (made.user, made.device, made.at),
        (user("ada"), device("phone"), NOW)
    );
    assert_eq!(
        (made.seq, made.ordinal, made.kind),
        (Seq(9), Ordinal(7), MarkKind::Read)
    );
}

#[test]
fn mark_that_cannot_be_is_refused() {
    let refused = |mark_: StampedMark| mark(&ada(), mark_, NOW).unwrap_err().code;
    let base = || stamped(Vec::new());
    assert_eq!(
        refused(StampedMark {
            seq: Seq(0),
            ..base()
        }),
        Code::InvalidField
    );
    assert_eq!(
        refused(StampedMark {
            ordinal: Ordinal(10),
            ..base()
        }),
        Code::Internal
    );
    assert_eq!(
        refused(StampedMark {
            since: Seq(10),
            ..base()
        }),
        Code::Internal
    );
    let elsewhere = ChatId::new("d.bob.eve").unwrap();
    assert_eq!(
        refused(StampedMark {
            chat: elsewhere,
            ..base()
        }),
        Code::NotMember
    );
}
