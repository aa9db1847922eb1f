//! Reads over the tables: history with changes, pages, status, who may read; the same over HTTP.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use infra_ports::memory::Faults;
use infra_ports::{BoxFuture, Mutation};
use schemas::errors::Code;
use schemas::frames::{
    Chats, ChatsQuery, Command, EntryEvent, Frame, HistoryQuery, Message, StatusQuery,
    TimelineQuery,
};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp, Version};
use schemas::tables::{HiddenRow, MarkRow, StatusRow, Steps};
use tower::ServiceExt;

use crate::testing::*;
use crate::{LiveGeneration, Reads};

fn history(
    scene: &mut Scene,
    name: &str,
    chat: &ChatId,
    before: Option<u64>,
) -> (Vec<Message>, Option<Seq>) {
    let reads = scene.delivery.gateway.reads().clone();
    let (who, query) = (
        user(name),
        HistoryQuery {
            chat: chat.clone(),
            before: before.map(Seq),
            limit: None,
        },
    );
    let page = scene
        .run(async move { reads.history(&who, &query).await })
        .unwrap();
    (page.messages, page.before)
}

/// A store that answers no read, and counts who waits for it.
#[derive(Default)]
struct Stuck(AtomicUsize);

impl Faults for Stuck {
    fn point(&self, site: &'static str) -> BoxFuture<'static, ()> {
        if !site.starts_with("store.read") {
            return Box::pin(std::future::ready(()));
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        Box::pin(std::future::pending())
    }

    fn choose(&self, _site: &'static str, _options: u32) -> u32 {
        0
    }
}

#[test]
fn pages_beyond_so_many_wait_for_their_turn() {
    let scene = Scene::new();
    let (chat, who) = (chat("d.ada.bob"), user("ada"));
    let count = |ask: fn(Reads, ChatId, UserId) -> BoxFuture<'static, ()>| {
        let stuck = Arc::new(Stuck::default());
        let store = scene.store.reopen(Arc::clone(&stuck) as Arc<dyn Faults>);
        let reads = Reads::new(Arc::new(store), LiveGeneration::new(GENERATION));
        let all = (0..200).map(|_| ask(reads.clone(), chat.clone(), who.clone()));
        assert!(futures_util::future::join_all(all).now_or_never().is_none());
        stuck.0.load(Ordering::Relaxed)
    };
    let of_history = count(|reads, chat, who| {
        let (before, limit) = (None, None);
        let query = HistoryQuery {
            chat,
            before,
            limit,
        };
        Box::pin(async move { reads.history(&who, &query).await.map(drop).unwrap() })
    });
    let of_timeline = count(|reads, chat, who| {
        Box::pin(async move {
            let page = reads.range(&who, &chat, Seq(1), Seq(9), 100).await;
            page.map(drop).unwrap();
        })
    });
    let of_marks = count(|reads, chat, who| {
        Box::pin(async move {
            let covered = reads.covered(&who, &chat, Seq(1), Seq(9)).await;
            covered.map(drop).unwrap();
        })
    });
    let of_chats = count(|reads, _, who| {
        let (cursor, limit) = (None, None);
        let query = ChatsQuery { cursor, limit };
        Box::pin(async move { reads.chats(&who, &query).await.map(drop).unwrap() })
    });
    assert_eq!([of_history, of_timeline, of_marks, of_chats], [64; 4]);
}

#[test]
fn a_page_reads_what_concerns_it_however_much_its_reader_has_hidden() {
    let mut scene = Scene::new();
    let (chat, who) = (chat("d.ada.bob"), user("ada"));
    scene.fill(&chat, "bob", 1..=3);
    let hide = |seq: u64| {
        let row = HiddenRow {
            user: who.clone(),
            chat: chat.clone(),
            seq: Seq(seq),
            at: Timestamp(0),
        };
        Mutation::put(GENERATION, &row, Version(seq))
    };
    let all = [2].into_iter().chain(10..5_000).map(hide).collect();
    scene.write(all);
    let before = scene.table_reads.count();
    let (messages, _) = history(&mut scene, "ada", &chat, None);
    let seqs: Vec<u64> = messages.iter().map(|message| message.entry.seq.0).collect();
    assert_eq!(seqs, [3, 1]);
    let reads = scene.table_reads.count() - before;
    assert!(reads <= 5, "{reads} reads");
}

#[test]
fn history_shows_messages_with_what_became_of_them() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=4);
    scene.rows(5, &edited(&chat, "bob", 1, "first"));
    scene.rows(6, &edited(&chat, "bob", 1, "second"));
    scene.rows(7, &reacted(&chat, "ada", 2, Some("👍")));
    scene.rows(8, &reacted(&chat, "bob", 2, Some("!")));
    scene.rows(9, &reacted(&chat, "bob", 2, None));
    scene.rows(10, &reacted(&chat, "ada", 3, Some("?")));
    scene.rows(11, &deleted(&chat, "bob", 3));
    let hidden = HiddenRow {
        user: user("ada"),
        chat: chat.clone(),
        seq: Seq(4),
        at: Timestamp(0),
    };
    scene.put(&hidden, 1);
    let (messages, before) = history(&mut scene, "ada", &chat, None);
    assert_eq!(before, None);
    let [third, second, first] = &messages[..] else {
        panic!("{messages:?}")
    };
    assert_eq!(
        first.edited.as_ref().unwrap().text.as_deref(),
        Some("second")
    );
    assert_eq!(second.reactions.len(), 1);
    assert_eq!(second.reactions[&user("ada")], "👍");
    assert!(third.deleted && third.reactions.is_empty());
    let EntryEvent::Message { body, .. } = &third.entry.event else {
        panic!("{third:?}")
    };
    assert_eq!(body.text.as_deref(), Some(""));
    let (bobs, _) = history(&mut scene, "bob", &chat, None);
    assert_eq!(bobs.len(), 4, "hidden for one is not hidden for the other");
}

#[test]
fn pages_of_history_follow_each_other_over_buckets_and_stays() {
    let mut scene = Scene::new();
    let chat = group(1);
    scene.fill(&chat, "bob", 1..=2_130);
    scene.stay(&chat, "ada", 951, 1_020);
    scene.stay(&chat, "ada", 2_101, 0);
    let mut seen = Vec::new();
    let mut before = None;
    loop {
        let (messages, next) = history(&mut scene, "ada", &chat, before);
        assert!(messages.len() == 50 || next.is_none());
        seen.extend(messages.iter().map(|message| message.entry.seq.0));
        match next {
            Some(next) => before = Some(next.0),
            None => break,
        }
    }
    let expected: Vec<u64> = (2_101..=2_130).rev().chain((951..=1_020).rev()).collect();
    assert_eq!(seen, expected);
}

#[test]
fn a_timeline_leaves_out_what_is_not_seen_and_says_up_to_where_it_is_complete() {
    let mut scene = Scene::new();
    let chat = group(1);
    scene.fill(&chat, "bob", 1..=30);
    scene.stay(&chat, "ada", 3, 5);
    scene.stay(&chat, "ada", 28, 0);
    let client = scene.live("ada/phone");
    let ask = |from: u64, limit| {
        Command::Timeline(TimelineQuery {
            chat: chat.clone(),
            from: Seq(from),
            limit,
        })
    };
    let mut answers = Vec::new();
    for (from, limit) in [(1, None), (4, Some(2)), (6, None), (31, None)] {
        scene.command(&client, "t", &ask(from, limit));
        answers.extend(entries(&scene.frames(&client)));
    }
    let expected = [
        (1, 30, vec![3, 4, 5, 28, 29, 30]),
        (4, 5, vec![4, 5]),
        (6, 30, vec![28, 29, 30]),
        (31, 30, vec![]),
    ];
    assert_eq!(answers, expected);
    scene.command(&client, "t", &ask(1, Some(101)));
    let frames = scene.frames(&client);
    assert!(matches!(&frames[..], [Frame::Error(e)] if e.code == Code::InvalidField));
}

#[test]
fn status_counts_members_beside_the_author_and_names_them() {
    let mut scene = Scene::new();
    let chat = group(1);
    scene.fill(&chat, "bob", 1..=6);
    for name in ["ada", "bob", "cyd"] {
        scene.stay(&chat, name, 1, 0);
    }
    scene.stay(&chat, "dan", 6, 0);
    let (mut delivered, mut read) = (Steps::default(), Steps::default());
    for (name, has, has_read) in [("ada", 6, 5), ("bob", 6, 6), ("cyd", 3, 0)] {
        delivered.cover(Seq(1), Seq(has));
        read.cover(Seq(1), Seq(has_read));
        let mark = MarkRow {
            chat: chat.clone(),
            user: user(name),
            device: DeviceId::new("phone").unwrap(),
            since: Seq(1),
            delivered: Seq(has),
            delivered_ordinal: Ordinal(has),
            read: Seq(has_read),
            read_ordinal: Ordinal(has_read),
        };
        scene.put(&mark, 1);
    }
    scene.put(
        &StatusRow {
            chat: chat.clone(),
            delivered,
            read,
        },
        1,
    );
    let reads = scene.delivery.gateway.reads().clone();
    let query = StatusQuery {
        chat,
        seq: Seq(5),
        who: true,
    };
    let status = scene
        .run(async move { reads.status(&user("bob"), &query).await })
        .unwrap();
    assert_eq!((status.of, status.delivered, status.read), (2, 1, 1));
    let who: Vec<_> = status
        .who
        .unwrap()
        .into_iter()
        .map(|w| (w.user, w.delivered, w.read))
        .collect();
    assert_eq!(
        who,
        [(user("ada"), true, true), (user("cyd"), false, false)]
    );
}

#[test]
fn only_who_is_or_was_a_member_may_read() {
    let mut scene = Scene::new();
    let chat = group(1);
    scene.fill(&chat, "bob", 1..=6);
    scene.stay(&chat, "ada", 1, 3);
    let (old, _) = history(&mut scene, "ada", &chat, None);
    assert_eq!(
        old.iter().map(|m| m.entry.seq.0).collect::<Vec<_>>(),
        [3, 2, 1]
    );
    let code = |scene: &mut Scene, name: &str, chat: &ChatId| {
        let (reads, who, chat) = (
            scene.delivery.gateway.reads().clone(),
            user(name),
            chat.clone(),
        );
        scene
            .run(async move { reads.members(&who, &chat).await })
            .unwrap_err()
            .code
    };
    assert_eq!(
        code(&mut scene, "ada", &chat),
        Code::NotMember,
        "members are for members"
    );
    assert_eq!(code(&mut scene, "eve", &chat), Code::NotMember);
    assert_eq!(code(&mut scene, "eve", &group(2)), Code::ChatNotFound);
    assert_eq!(
        code(&mut scene, "eve", &crate::testing::chat("d.ada.bob")),
        Code::NotMember
    );
}

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9);

pub(super) fn get(scene: &mut Scene, path: &str, token: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::get(path).extension(ConnectInfo(PEER));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Body::empty()).unwrap();
    let router = scene.delivery.gateway.router();
    scene.run(async move {
        let response = router.oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    })
}

#[test]
fn http_answers_reads_and_refuses_in_the_same_words() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    scene.fill(&chat, "bob", 1..=3);
    scene.inbox("ada", &chat, 3, 7);
    let token = Some("ada/phone");
    let (status, body) = get(&mut scene, "/v1/chats?limit=10", token);
    let chats: Chats = serde_json::from_str(&body).unwrap();
    assert_eq!((status, chats.chats[0].unread), (StatusCode::OK, 3));
    let ok = [
        "/v1/chats/d.ada.bob/messages?limit=2&before=3",
        "/v1/chats/d.ada.bob/timeline?from=1",
        "/v1/chats/d.ada.bob/timeline",
        "/v1/chats/d.ada.bob/messages/1/status?who=true",
        "/v1/chats/d.ada.bob/members",
    ];
    for path in ok {
        let (status, body) = get(&mut scene, path, token);
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
    }
    let refused = [
        ("/v1/chats", None, 401, "unauthorized"),
        ("/v1/chats?limit=0", token, 400, "invalid_field"),
        ("/v1/chats?limit=x", token, 400, "invalid_field"),
        ("/v1/chats?cursor=x", token, 400, "invalid_field"),
        ("/v1/chats/nonsense/messages", token, 400, "invalid_field"),
        ("/v1/chats/%88/messages", token, 400, "invalid_field"),
        ("/v1/chats/%88/members", token, 400, "invalid_field"),
        (
            "/v1/chats/d.ada.bob/messages/x/status",
            token,
            400,
            "invalid_field",
        ),
        (
            "/v1/chats/d.ada.bob/messages/9/status",
            token,
            404,
            "message_not_found",
        ),
        ("/v1/chats/d.bob.cyd/timeline", token, 403, "not_member"),
    ];
    for (path, token, expected, code) in refused {
        let (status, body) = get(&mut scene, path, token);
        assert_eq!(status.as_u16(), expected, "{path}: {body}");
        assert!(
            body.starts_with(&format!("{{\"error\":{{\"code\":\"{code}\"")),
            "{path}: {body}"
        );
    }
}

#[test]
fn the_chat_list_comes_over_frames_too() {
    let mut scene = Scene::new();
    let chat = group(4);
    scene.fill(&chat, "bob", 1..=3);
    scene.inbox("ada", &chat, 3, 7);
    scene.stay(&chat, "ada", 1, 0);
    scene.cursor("ada", Some("phone"), &chat, 3);
    scene.cursor("ada", None, &chat, 2);
    let client = scene.live("ada/phone");
    scene.command(
        &client,
        "c",
        &Command::Chats(ChatsQuery {
            cursor: None,
            limit: None,
        }),
    );
    let frames = scene.frames(&client);
    let [Frame::Chats(list)] = &frames[..] else {
        panic!("{frames:?}")
    };
    let line = &list.chats[0];
    assert_eq!(
        (line.title.as_str(), line.unread, line.read),
        ("a group", 1, Seq(2))
    );
}

#[test]
fn who_has_left_a_group_is_not_told_its_present_title() {
    let mut scene = Scene::new();
    let chat = group(4);
    scene.fill(&chat, "bob", 1..=3);
    scene.stay(&chat, "ada", 1, 2);
    let left = inbox_row("ada", &chat, 2, 2);
    scene.put(&left, 3);
    let query = ChatsQuery {
        cursor: None,
        limit: None,
    };
    let reads = scene.delivery.gateway.reads().clone();
    let list = scene
        .run(async move { reads.chats(&user("ada"), &query).await })
        .unwrap();
    let line = &list.chats[0];
    assert_eq!((line.member, line.title.as_str()), (false, ""));
}

#[test]
fn only_messages_have_a_status() {
    let mut scene = Scene::new();
    let chat = group(1);
    scene.fill(&chat, "bob", 1..=1);
    scene.rows(2, &added(&chat, "bob", "cyd", "a-1"));
    scene.stay(&chat, "bob", 1, 0);
    let mut status = |seq| {
        let query = StatusQuery {
            chat: chat.clone(),
            seq: Seq(seq),
            who: false,
        };
        let reads = scene.delivery.gateway.reads().clone();
        scene.run(async move { reads.status(&user("bob"), &query).await })
    };
    assert!(status(1).is_ok());
    let refused = status(2).unwrap_err();
    assert_eq!(refused.code, Code::MessageNotFound);
    assert_eq!(
        refused.message,
        "seq: an entry that is no message has no status"
    );
}

#[test]
fn reads_are_limited_over_frames_and_http_and_say_when_to_come_back() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let query = ChatsQuery {
        cursor: None,
        limit: None,
    };
    *scene.commands.reads_left.lock() = 2;
    let mut codes = Vec::new();
    for _ in 0..2 {
        scene.command(&client, "c", &Command::Chats(query.clone()));
        codes.extend(scene.frames(&client).into_iter().map(|frame| match frame {
            Frame::Chats(_) => None,
            Frame::Error(refused) => Some((refused.code, refused.retry_after_ms)),
            other => panic!("{other:?}"),
        }));
        assert_eq!(
            get(&mut scene, "/v1/chats", Some("ada/phone"))
                .0
                .is_success(),
            codes.len() == 1
        );
    }
    assert_eq!(codes, [None, Some((Code::RateLimited, Some(1_500)))]);
    *scene.commands.requests_left.lock() = 0;
    let (status, body) = get(&mut scene, "/v1/chats", None);
    assert_eq!(
        status,
        StatusCode::TOO_MANY_REQUESTS,
        "before its token: {body}"
    );
}
