//! The session as a whole, frame by frame.

mod restarts;

use schemas::events::{MarkKind, Role};
use schemas::frames::{
    Accepted, AddMember, ChatSummary, Chats, ChatsQuery, Closing, CreateGroup, Entries, Entry,
    EntryEvent, Frame, Marked, Received, Send, Settled, Verdict, WireBody, decode_command,
    encode_frame,
};
use schemas::position::{Ordinal, Timestamp};

use super::*;
use schemas::ids::ClientId;

fn chat() -> ChatId {
    ChatId::new("d.ada.bob").unwrap()
}

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn id(text: &str) -> ClientId {
    ClientId::new(text).unwrap()
}

fn entry(seq: u64, author: &str, client_id: &str) -> Entry {
    Entry {
        chat: chat(),
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        at: Timestamp(0),
        author: user(author),
        device: DeviceId::new("phone").unwrap(),
        client_id: id(client_id),
        id: "00".into(),
        event: EntryEvent::Message {
            body: WireBody::text("x"),
            reply_to: None,
        },
    }
}

fn send(client_id: &str) -> Command {
    Command::Send(Send {
        chat: chat(),
        client_id: id(client_id),
        body: WireBody::text("x"),
        reply_to: None,
    })
}

fn accepted(seq: u64) -> Outcome {
    Outcome::Accepted {
        chat: chat(),
        seq: Seq(seq),
    }
}

fn line(head: u64) -> ChatSummary {
    ChatSummary {
        chat: chat(),
        title: String::new(),
        head: Seq(head),
        ordinal: Ordinal(head),
        at: Timestamp(0),
        unread: 1,
        read: Seq(0),
        preview: None,
        muted_until: Timestamp(0),
        archived: false,
        pinned: false,
        member: true,
    }
}

/// A session and what came out of it.
struct Bench {
    session: Session,
    now: Moment,
}

impl Bench {
    fn new(progress: &[(ChatId, Seq)]) -> Self {
        let mut known = Progress::new();
        for (chat, seq) in progress {
            known.advance(chat, *seq);
        }
        let session = Session::new(SessionConfig::default(), &known);
        let now = Moment(0);
        Self { session, now }
    }

    /// Connected, welcomed and live, with an empty chat list; what came out until then is thrown away.
    fn live() -> Self {
        let mut bench = Self::new(&[]);
        bench.connect();
        bench.go_live(vec![]);
        bench.drain();
        bench
    }

    /// The resume is over, and the chat list shows these chats.
    fn go_live(&mut self, chats: Vec<ChatSummary>) {
        self.hear(None, Frame::Live {});
        self.wait(0);
        self.list(chats, false);
    }

    /// The chat list was asked for, and shows these chats.
    fn list(&mut self, chats: Vec<ChatSummary>, behind: bool) {
        let asked = self.written().pop();
        let (reference, query) = asked.expect("the chat list is asked for");
        assert!(matches!(query, Command::Chats(_)), "{query:?}");
        let page = Chats {
            chats,
            cursor: None,
            behind,
        };
        self.hear(Some(&reference), Frame::Chats(page));
    }

    fn connect(&mut self) {
        while !self
            .drain()
            .iter()
            .any(|o| matches!(o, Output::Connect { .. }))
        {
            self.now = self.session.due().unwrap().max(self.now);
            self.session.tick(self.now);
        }
        self.session.opened(self.now, None);
        let welcome = Welcome {
            user: user("ada"),
            device: DeviceId::new("phone").unwrap(),
            at: Timestamp(0),
            heartbeat_ms: 30_000,
        };
        self.hear(None, Frame::Welcome(welcome));
    }

    fn hear(&mut self, reference: Option<&str>, frame: Frame) {
        let text = encode_frame(reference, &frame);
        self.session.received(self.now, &text);
    }

    fn submit(&mut self, ticket: u64, command: Command) {
        self.session.submit(self.now, Ticket(ticket), command);
    }

    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll()).collect()
    }

    /// The commands written since the last time.
    fn written(&mut self) -> Vec<(String, Command)> {
        let read = |output| match output {
            Output::Write(text) => {
                let Received { reference, value } = decode_command(&text);
                Some((reference.unwrap_or_default(), value.unwrap()))
            }
            _ => None,
        };
        self.drain().into_iter().filter_map(read).collect()
    }

    fn settled(&mut self) -> Vec<(u64, Outcome)> {
        let read = |output| match output {
            Output::Settled {
                ticket, outcome, ..
            } => Some((ticket.0, outcome)),
            _ => None,
        };
        self.drain().into_iter().filter_map(read).collect()
    }

    fn take(&mut self, seq: u64) {
        self.session.taken(self.now, &chat(), Seq(seq), 1);
    }

    /// What was handed over since the last time.
    fn handed_over(&mut self) -> Vec<u64> {
        let read = |output| match output {
            Output::Event(Event::Entry(entry)) => Some(entry.seq.0),
            _ => None,
        };
        self.drain().into_iter().filter_map(read).collect()
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now.after(ms);
        self.session.tick(self.now);
    }
}

#[test]
fn own_entry_settles_its_command_and_a_stranger_s_does_not() {
    let mut bench = Bench::live();
    bench.submit(1, send("m-1"));
    bench.hear(None, Frame::Entry(entry(1, "bob", "m-1")));
    assert!(bench.settled().is_empty());
    let mut other_device = entry(2, "ada", "m-1");
    other_device.device = DeviceId::new("tablet").unwrap();
    bench.hear(None, Frame::Entry(other_device));
    assert!(bench.settled().is_empty());
    bench.hear(None, Frame::Entry(entry(3, "ada", "m-1")));
    assert_eq!(bench.settled(), [(1, accepted(3))]);
}

#[test]
fn a_verdict_settles_once_and_the_second_is_passed_over() {
    let mut bench = Bench::live();
    bench.submit(1, send("m-1"));
    for _ in 0..2 {
        let verdict = Verdict {
            chat: chat(),
            device: DeviceId::new("phone").unwrap(),
            client_id: id("m-1"),
            seq: None,
            code: Some(Code::NotMember),
        };
        bench.hear(None, Frame::Verdict(verdict));
    }
    let refused = Outcome::Refused(Refusal::plain(Code::NotMember));
    assert_eq!(bench.settled(), [(1, refused)]);
}

#[test]
fn sent_is_told_once_though_the_command_is_sent_twice() {
    let mut bench = Bench::live();
    bench.submit(1, send("m-1"));
    let sent = || {
        Frame::Sent(Accepted {
            chat: chat(),
            client_id: id("m-1"),
            id: "0a".into(),
            at: Timestamp(0),
        })
    };
    let told = |bench: &mut Bench| {
        let told = bench.drain().into_iter();
        told.filter(|output| matches!(output, Output::Sent { .. }))
            .count()
    };
    bench.hear(Some("c1"), sent());
    assert_eq!(told(&mut bench), 1);
    bench.session.lost(bench.now, Lost::Broken, 0);
    bench.connect();
    bench.hear(Some("c1"), sent());
    assert_eq!(told(&mut bench), 0);
}

#[test]
fn an_error_for_now_is_tried_again_and_one_for_good_settles() {
    let mut bench = Bench::live();
    bench.submit(1, send("m-1"));
    bench.submit(2, send("m-2"));
    bench.drain();
    let later = Refusal::plain(Code::RateLimited).retry_after_ms(100);
    bench.hear(Some("c1"), Frame::Error(later));
    bench.hear(Some("c2"), Frame::Error(Refusal::plain(Code::TooLong)));
    let refused = Outcome::Refused(Refusal::plain(Code::TooLong));
    assert_eq!(bench.settled(), [(2, refused)]);
    bench.wait(99);
    assert!(bench.written().is_empty());
    bench.wait(1);
    assert_eq!(bench.written(), [("c1".to_owned(), send("m-1"))]);
}

#[test]
fn a_group_s_command_is_settled_by_the_entry_of_the_chat_it_makes() {
    let mut bench = Bench::live();
    let create = CreateGroup {
        client_id: id("g-1"),
        title: "Sailing".into(),
        description: String::new(),
        members: vec![],
        max_members: None,
    };
    bench.submit(1, Command::CreateGroup(create));
    let group = ChatId::group(&user("ada"), &DeviceId::new("phone").unwrap(), &id("g-1"));
    let mut made = entry(1, "ada", "g-1");
    made.chat = group.clone();
    bench.hear(None, Frame::Entry(entry(1, "ada", "g-1")));
    assert!(
        bench.settled().is_empty(),
        "the same client id in another chat is another command"
    );
    bench.hear(None, Frame::Entry(made));
    let outcome = Outcome::Accepted {
        chat: group,
        seq: Seq(1),
    };
    assert_eq!(bench.settled(), [(1, outcome)]);
}

#[test]
fn a_read_is_answered_to_its_asker_even_over_a_reconnect() {
    let mut bench = Bench::live();
    let query = ChatsQuery {
        cursor: None,
        limit: None,
    };
    bench.submit(4, Command::Chats(query.clone()));
    bench.session.lost(bench.now, Lost::Broken, 0);
    bench.connect();
    assert_eq!(bench.written(), [("c4".to_owned(), Command::Chats(query))]);
    let page = Frame::Chats(Chats {
        chats: vec![],
        cursor: None,
        behind: true,
    });
    bench.hear(Some("c4"), page.clone());
    let answered = Output::Answered {
        ticket: Ticket(4),
        answer: Ok(Box::new(page)),
    };
    assert!(bench.drain().contains(&answered));
}

#[test]
fn gaps_are_not_asked_for_during_a_resume() {
    let mut bench = Bench::new(&[(chat(), Seq(1))]);
    bench.connect();
    bench.hear(None, Frame::Entry(entry(4, "bob", "m-4")));
    let resumed = Entries {
        chat: chat(),
        from: Seq(2),
        through: Seq(2),
        entries: vec![entry(2, "bob", "m-2")],
        head: Seq(4),
    };
    bench.hear(None, Frame::Entries(resumed));
    assert!(bench.written().is_empty());
    bench.hear(None, Frame::Live {});
    bench.wait(0);
    let asked = bench.written();
    let gap = |c: &Command| matches!(c, Command::Timeline(q) if q.from == Seq(3));
    assert!(asked.iter().any(|(_, command)| gap(command)), "{asked:?}");
}

#[test]
fn a_refused_token_drops_the_socket_and_settles_nothing() {
    let mut bench = Bench::live();
    bench.submit(1, send("m-1"));
    bench.drain();
    bench.hear(Some("c1"), Frame::Error(Refusal::plain(Code::TokenExpired)));
    assert_eq!(bench.drain(), [Output::Disconnect(Lost::Unauthorized)]);
    bench.session.lost(bench.now, Lost::Unauthorized, 0);
    bench.connect();
    assert_eq!(bench.written(), [("c1".to_owned(), send("m-1"))]);
}

#[test]
fn a_closing_server_s_hint_is_followed() {
    let mut bench = Bench::live();
    let closing = Closing {
        code: Code::ShuttingDown,
        reconnect_after_ms: 200,
        reconnect_to: Some("ws://other".into()),
    };
    bench.hear(None, Frame::Closing(closing));
    bench.session.lost(bench.now, Lost::Closed(1012), 0);
    bench.drain();
    bench.wait(200);
    let to = Some("ws://other".to_owned());
    assert_eq!(bench.drain(), [Output::Connect { to }]);
}

#[test]
fn what_no_server_would_take_is_refused_at_home() {
    let mut bench = Bench::live();
    let mut big = send("m-1");
    if let Command::Send(send) = &mut big {
        send.body = WireBody::text("x".repeat(MAX_FRAME_BYTES));
    }
    bench.submit(1, big);
    bench.submit(2, send("m-2"));
    bench.submit(3, send("m-2"));
    let codes: Vec<_> = bench
        .settled()
        .into_iter()
        .map(|(ticket, outcome)| match outcome {
            Outcome::Refused(refusal) => (ticket, refusal.code),
            Outcome::Accepted { .. } => panic!("accepted at home"),
        })
        .collect();
    assert_eq!(codes, [(1, Code::FrameTooLarge), (3, Code::InvalidField)]);
    assert_eq!(
        bench.session.outbox.len(),
        1,
        "the first of the two with one id is still under way"
    );
}

#[test]
fn frames_of_a_later_server_and_noise_are_passed_over() {
    let mut bench = Bench::live();
    for text in [
        "{\"type\":\"fireworks\",\"data\":{}}",
        "not json",
        "{\"type\":\"entry\",\"data\":{\"chat\":1}}",
        "{\"type\":\"sent\",\"ref\":\"zz\",\"data\":{\"chat\":\"d.ada.bob\",\"client_id\":\"q\",\"id\":\"0\",\"at\":1}}",
    ] {
        bench.session.received(bench.now, text.as_bytes());
    }
    assert!(bench.drain().is_empty());
    let add = AddMember {
        chat: chat(),
        client_id: id("g-1"),
        user: user("eve"),
        role: Role::Member,
    };
    bench.submit(1, Command::AddMember(add));
    assert_eq!(bench.written().len(), 1, "it still works");
}

#[test]
fn only_marks_that_grew_are_told() {
    let mut bench = Bench::live();
    let mut told = Vec::new();
    let device = |name: &str| DeviceId::new(name).unwrap();
    for (name, kind, seq) in [
        ("phone", MarkKind::Read, 5),
        ("tablet", MarkKind::Read, 4),
        ("phone", MarkKind::Read, 5),
        ("tablet", MarkKind::Delivered, 3),
        ("phone", MarkKind::Delivered, 2),
        ("tablet", MarkKind::Delivered, 3),
        ("tablet", MarkKind::Read, 6),
    ] {
        let (chat, device, seq) = (chat(), device(name), Seq(seq));
        let ordinal = Ordinal(seq.0);
        bench.hear(
            None,
            Frame::Marked(Marked {
                chat,
                device,
                kind,
                seq,
                ordinal,
            }),
        );
        told.extend(bench.drain().into_iter().filter_map(|output| match output {
            Output::Event(Event::Marked(marked)) => Some((marked.kind, marked.seq.0)),
            _ => None,
        }));
    }
    let (read, delivered) = (MarkKind::Read, MarkKind::Delivered);
    assert_eq!(told, [(read, 5), (delivered, 3), (delivered, 2), (read, 6)]);
}

#[test]
fn an_entry_of_another_chat_is_no_part_of_a_batch() {
    let mut bench = Bench::live();
    let mut foreign = entry(2, "bob", "m-2");
    foreign.chat = ChatId::new("d.ada.eve").unwrap();
    let batch = Entries {
        chat: chat(),
        from: Seq(1),
        through: Seq(2),
        entries: vec![entry(1, "bob", "m-1"), foreign],
        head: Seq(2),
    };
    bench.hear(None, Frame::Entries(batch));
    let of = |output| match output {
        Output::Event(Event::Entry(entry)) => Some((entry.chat, entry.seq)),
        _ => None,
    };
    let handed_over: Vec<_> = bench.drain().into_iter().filter_map(of).collect();
    assert_eq!(handed_over, [(chat(), Seq(1))]);
}
