//! What was taken is marked, and what was not comes again: over reconnects and restarts.

use super::*;

#[test]
fn after_a_restart_heads_show_what_the_marks_were_ahead_of() {
    let mut bench = Bench::new(&[(chat(), Seq(30))]);
    bench.connect();
    bench.hear(None, Frame::Live {});
    bench.wait(0);
    let (reference, query) = bench.written().pop().unwrap();
    assert!(matches!(query, Command::Chats(_)));
    let others = (0..20).map(|n| ChatSummary {
        chat: ChatId::new(format!("d.ada.o{n:02}")).unwrap(),
        ..line(0)
    });
    let page = Chats {
        chats: std::iter::once(line(31)).chain(others).collect(),
        cursor: Some("more".into()),
        behind: false,
    };
    bench.hear(Some(&reference), Frame::Chats(page));
    bench.wait(0);
    let asked = bench.written();
    assert_eq!(asked.len(), 1, "every known chat was seen: no further page");
    assert!(matches!(&asked[0].1, Command::Timeline(q) if q.from == Seq(31)));
}

#[test]
fn what_awaits_its_verdict_is_asked_for_again_when_the_server_says_live_anew() {
    let mut bench = Bench::live();
    bench.submit(1, send("c-1"));
    let (cursor, limit) = (None, None);
    bench.submit(2, Command::Chats(ChatsQuery { cursor, limit }));
    bench.submit(3, send("c-3"));
    let sent = bench.written();
    assert_eq!(sent.len(), 3);
    bench.hear(None, Frame::Entry(entry(1, "ada", "c-1")));
    bench.written();
    bench.hear(None, Frame::Live {});
    bench.wait(0);
    let again = bench.written();
    assert_eq!(
        again,
        sent[2..],
        "neither what is settled nor a question, and no list"
    );
}

#[test]
fn an_entry_that_was_not_taken_is_not_marked_however_often_it_comes() {
    let mut bench = Bench::live();
    for _ in 0..3 {
        bench.hear(None, Frame::Entry(entry(1, "bob", "m-1")));
        bench.wait(5_000);
        let marks = |(_, command): &(String, Command)| matches!(command, Command::Delivered(_));
        assert!(!bench.written().iter().any(marks), "its user has it not");
    }
    assert_eq!(bench.session.progress(), Progress::new());
    bench.take(1);
    bench.wait(50);
    let (chat, seq) = (chat(), Seq(1));
    let mark = Command::Delivered(MarkUpTo { chat, seq });
    assert_eq!(bench.written().pop().map(|(_, mark)| mark), Some(mark));
}

#[test]
fn what_comes_again_after_a_restart_is_marked_though_nothing_new_comes() {
    let mut bench = Bench::new(&[(chat(), Seq(3))]);
    bench.connect();
    bench.hear(None, Frame::Entry(entry(3, "bob", "m-3")));
    bench.wait(50);
    let (chat, seq) = (chat(), Seq(3));
    let mark = Command::Delivered(MarkUpTo { chat, seq });
    assert_eq!(bench.written().pop().map(|(_, mark)| mark), Some(mark));
}

#[test]
fn after_a_first_run_that_kept_nothing_the_chats_on_the_screen_are_asked_for() {
    let mut bench = Bench::new(&[]);
    bench.connect();
    bench.go_live(vec![line(60)]);
    bench.wait(0);
    let (reference, asked) = bench.written().pop().expect("asked");
    assert!(
        matches!(&asked, Command::Timeline(q) if q.from == Seq(11)),
        "{asked:?}"
    );
    let page = Entries {
        chat: chat(),
        from: Seq(11),
        through: Seq(60),
        entries: (11..=60).map(|seq| entry(seq, "bob", "m")).collect(),
        head: Seq(60),
    };
    bench.hear(Some(&reference), Frame::Entries(page));
    assert_eq!(bench.handed_over(), (11..=60).collect::<Vec<_>>());
}

#[test]
fn a_question_that_is_refused_for_now_is_asked_again() {
    let mut bench = Bench::new(&[(chat(), Seq(30))]);
    bench.connect();
    bench.go_live(vec![line(31)]);
    for _ in 0..3 {
        bench.wait(10_000);
        let (reference, asked) = bench.written().pop().expect("asked");
        assert!(
            matches!(&asked, Command::Timeline(q) if q.from == Seq(31)),
            "{asked:?}"
        );
        let refusal = Refusal::plain(Code::Unavailable);
        bench.hear(Some(&reference), Frame::Error(refusal));
    }
}

#[test]
fn delivered_marks_follow_merged_and_are_sent_again_after_a_reconnect() {
    let mut bench = Bench::live();
    for seq in 1..=3 {
        bench.hear(None, Frame::Entry(entry(seq, "bob", "m-1")));
        bench.take(seq);
    }
    assert!(bench.written().is_empty());
    bench.wait(50);
    let mark = Command::Delivered(MarkUpTo {
        chat: chat(),
        seq: Seq(3),
    });
    let written = bench.written();
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].1, mark);
    bench.session.lost(bench.now, Lost::Broken, 0);
    bench.connect();
    bench.wait(0);
    let (reference, again) = bench.written().pop().unwrap();
    assert_eq!(again, mark);
    bench.hear(Some(&reference), Frame::Settled(Settled { chat: chat() }));
    assert!(bench.session.is_settled());
}

#[test]
fn a_list_that_is_behind_is_asked_for_again_until_it_is_not() {
    let mut bench = Bench::new(&[]);
    bench.connect();
    bench.hear(None, Frame::Live {});
    bench.wait(0);
    bench.list(vec![], true);
    for pause in [1_000, 2_000, 4_000, 8_000, 10_000, 10_000] {
        bench.wait(pause - 1);
        assert!(bench.written().is_empty(), "before {pause} ms");
        bench.wait(1);
        bench.list(vec![], true);
    }
    bench.wait(10_000);
    bench.list(vec![line(1)], false);
    bench.wait(0);
    let (_, asked) = bench.written().pop().expect("what it spoke of");
    assert!(
        matches!(&asked, Command::Timeline(q) if q.from == Seq(1)),
        "{asked:?}"
    );
    bench.wait(14_000);
    let lists = |(_, command): &(String, Command)| matches!(command, Command::Chats(_));
    assert!(!bench.written().iter().any(lists), "it is whole");
}

#[test]
fn a_list_of_several_pages_of_which_one_was_behind_is_read_again_from_its_top() {
    let mut bench = Bench::new(&[(chat(), Seq(30))]);
    bench.connect();
    bench.hear(None, Frame::Live {});
    let pages = [
        (None, Some("more"), true),
        (Some("more"), None, false),
        (None, None, false),
    ];
    for (asked, cursor, behind) in pages {
        bench.wait(1_000);
        let (reference, query) = bench.written().pop().expect("asked");
        let Command::Chats(query) = query else {
            panic!("{query:?}")
        };
        assert_eq!(query.cursor.as_deref(), asked);
        let page = Chats {
            chats: vec![],
            cursor: cursor.map(str::to_owned),
            behind,
        };
        bench.hear(Some(&reference), Frame::Chats(page));
    }
}
