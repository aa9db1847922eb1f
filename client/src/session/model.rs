//! The session against a model of the server, under any mixture of lost sockets, lost, repeated
//! and swapped frames, refusals and crashes of the client: every command settled once and applied
//! once, every entry handed over once and in order.

use std::collections::{BTreeMap, VecDeque};

use proptest::prelude::*;
use schemas::frames::{
    Accepted, ChatSummary, Chats, Entries, Entry, EntryEvent, Frame, Received, Send, Settled,
    Verdict, WireBody, decode_command, encode_frame,
};
use schemas::position::{Ordinal, Timestamp};

use super::*;
use schemas::ids::ClientId;

const CHATS: usize = 3;

fn chat(n: usize) -> ChatId {
    ChatId::new(["d.ada.bob", "d.ada.eve", "d.ada.zoe"][n % CHATS]).unwrap()
}

fn ada() -> (UserId, DeviceId) {
    (UserId::new("ada").unwrap(), DeviceId::new("phone").unwrap())
}

/// What happens next.
#[derive(Debug, Clone)]
enum Step {
    /// The user sends; `bad` ones are refused by the log.
    Submit {
        chat: usize,
        bad: bool,
    },
    /// Somebody else sends.
    Other(usize),
    /// The server takes so many frames.
    Serve(usize),
    /// The client takes so many frames.
    Hear(usize),
    /// The socket breaks; what is on it is gone.
    Break,
    /// An entry on its way to the client is lost, repeated or changes places.
    Lose(usize),
    Repeat(usize),
    Swap(usize),
    /// The server cannot take the next command now.
    Busy,
    /// The server's tables stand behind when the next page of the list is read.
    Lag,
    Wait(u64),
    /// The user takes so many entries that wait for it.
    Take(usize),
    /// The user writes down what came, or crashes and starts from there.
    Save,
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..CHATS, prop::bool::weighted(0.2)).prop_map(|(chat, bad)| Step::Submit { chat, bad }),
        3 => (0..CHATS).prop_map(Step::Other),
        6 => (1usize..6).prop_map(Step::Serve),
        6 => (1usize..6).prop_map(Step::Hear),
        1 => Just(Step::Break),
        1 => (0usize..8).prop_map(Step::Lose),
        1 => (0usize..8).prop_map(Step::Repeat),
        1 => (0usize..8).prop_map(Step::Swap),
        1 => Just(Step::Busy),
        1 => Just(Step::Lag),
        4 => (0u64..400).prop_map(Step::Wait),
        4 => (1usize..6).prop_map(Step::Take),
        1 => Just(Step::Save),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..150)
}

#[derive(Default)]
struct Server {
    timelines: BTreeMap<ChatId, Vec<Entry>>,
    verdicts: BTreeMap<(ChatId, ClientId), Result<Seq, Code>>,
    delivered: BTreeMap<ChatId, Seq>,
    busy: bool,
    lags: bool,
    to_client: VecDeque<Vec<u8>>,
}

impl Server {
    fn say(&mut self, reference: Option<&str>, frame: &Frame) {
        self.to_client.push_back(encode_frame(reference, frame));
    }

    fn append(&mut self, chat: &ChatId, author: (UserId, DeviceId), client_id: ClientId) -> Entry {
        let timeline = self.timelines.entry(chat.clone()).or_default();
        let seq = timeline.len() as u64 + 1;
        let entry = Entry {
            chat: chat.clone(),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            at: Timestamp(0),
            author: author.0,
            device: author.1,
            client_id,
            id: "0".into(),
            event: EntryEvent::MemberLeft {},
        };
        timeline.push(entry.clone());
        entry
    }

    fn range(&self, chat: &ChatId, from: Seq, most: usize) -> Entries {
        let timeline = self.timelines.get(chat).map_or(&[][..], |t| t);
        let after = (from.0 as usize - 1).min(timeline.len());
        let entries: Vec<_> = timeline[after..].iter().take(most).cloned().collect();
        Entries {
            chat: chat.clone(),
            from,
            through: Seq(from.0 - 1 + entries.len() as u64),
            entries,
            head: Seq(timeline.len() as u64),
        }
    }

    fn head(&self, chat: &ChatId) -> Seq {
        Seq(self.timelines.get(chat).map_or(0, |t| t.len() as u64))
    }

    fn greet(&mut self) {
        let (user, device) = ada();
        let welcome = Welcome {
            user,
            device,
            at: Timestamp(0),
            heartbeat_ms: 30_000,
        };
        self.say(None, &Frame::Welcome(welcome));
        self.push_missing(3);
        self.say(None, &Frame::Live {});
    }

    /// Everything above the device's mark, in batches.
    fn push_missing(&mut self, most: usize) {
        for chat in (0..CHATS).map(chat) {
            let mut next = self
                .delivered
                .get(&chat)
                .copied()
                .unwrap_or_default()
                .next();
            while next <= self.head(&chat) {
                let batch = self.range(&chat, next, most);
                next = batch.through.next();
                self.say(None, &Frame::Entries(batch));
            }
        }
    }

    fn serve(&mut self, text: &[u8]) {
        let Received { reference, value } = decode_command(text);
        let reference = reference.as_deref();
        match value.unwrap() {
            Command::Send(send) => self.send(reference, send),
            Command::Delivered(mark) => {
                let known = self.delivered.entry(mark.chat.clone()).or_default();
                *known = mark.seq.max(*known);
                self.say(reference, &Frame::Settled(Settled { chat: mark.chat }));
            }
            Command::Timeline(query) => {
                let batch = self.range(&query.chat, query.from, 5);
                self.say(reference, &Frame::Entries(batch));
            }
            Command::Chats(query) => self.list(reference, query.cursor.is_some()),
            Command::Ping {} => self.say(reference, &Frame::Pong {}),
            other => panic!("the client never says {other:?}"),
        }
    }

    /// Two pages, so that the cursor is used.
    fn list(&mut self, reference: Option<&str>, second: bool) {
        let behind = std::mem::take(&mut self.lags);
        let shown = if second { 1..CHATS } else { 0..1 };
        let summary = |n| ChatSummary {
            chat: chat(n),
            title: String::new(),
            head: self.head(&chat(n)),
            ordinal: Ordinal(0),
            at: Timestamp(0),
            unread: 0,
            read: Seq(0),
            preview: None,
            muted_until: Timestamp(0),
            archived: false,
            pinned: false,
            member: true,
        };
        let page = Chats {
            chats: shown.filter(|_| !behind).map(summary).collect(),
            cursor: (!second).then(|| "2".to_owned()),
            behind,
        };
        self.say(reference, &Frame::Chats(page));
    }

    fn send(&mut self, reference: Option<&str>, send: Send) {
        if std::mem::take(&mut self.busy) {
            let refusal = Refusal::plain(Code::Unavailable);
            self.say(reference, &Frame::Error(refusal));
            return;
        }
        let sent = Accepted {
            chat: send.chat.clone(),
            client_id: send.client_id.clone(),
            id: "0".into(),
            at: Timestamp(0),
        };
        self.say(reference, &Frame::Sent(sent));
        let key = (send.chat.clone(), send.client_id.clone());
        let verdict = match self.verdicts.get(&key) {
            Some(known) => *known,
            None if send.body.text.as_deref() == Some("bad") => Err(Code::NotAllowed),
            None => {
                let entry = self.append(&send.chat, ada(), send.client_id.clone());
                self.verdicts.insert(key, Ok(entry.seq));
                self.say(None, &Frame::Entry(entry));
                return;
            }
        };
        self.verdicts.insert(key, verdict);
        let verdict = Verdict {
            chat: send.chat,
            device: ada().1,
            client_id: send.client_id,
            seq: verdict.ok(),
            code: verdict.err(),
        };
        self.say(None, &Frame::Verdict(verdict));
    }
}

/// The world: a session, its user, the server and the socket between.
struct World {
    session: Session,
    server: Server,
    to_server: VecDeque<Vec<u8>>,
    connected: bool,
    now: Moment,
    submitted: u64,
    /// Commands of this life of the client, with what became of them.
    settled: BTreeMap<Ticket, (ClientId, ChatId, Option<Outcome>)>,
    /// Handed over and not taken.
    queue: VecDeque<(ChatId, Seq)>,
    handed: BTreeMap<ChatId, Vec<u64>>,
    saved: BTreeMap<ChatId, Vec<u64>>,
    others: u64,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            session: Session::new(SessionConfig::default(), &Progress::new()),
            server: Server::default(),
            to_server: VecDeque::new(),
            connected: false,
            now: Moment(0),
            submitted: 0,
            settled: BTreeMap::new(),
            queue: VecDeque::new(),
            handed: BTreeMap::new(),
            saved: BTreeMap::new(),
            others: 0,
        };
        world.crash();
        world
    }

    /// The client starts anew from what its user has written down.
    fn crash(&mut self) {
        let mut progress = Progress::new();
        for (chat, seqs) in &self.saved {
            progress.advance(chat, Seq(seqs.len() as u64));
        }
        self.cut();
        self.queue.clear();
        self.session = Session::new(SessionConfig::default(), &progress);
        self.handed = self.saved.clone();
        self.settled.clear();
    }

    fn cut(&mut self) {
        self.connected = false;
        self.to_server.clear();
        self.server.to_client.clear();
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit { chat: n, bad } => self.submit(chat(n), bad),
            Step::Other(n) => {
                self.others += 1;
                let author = (UserId::new("bob").unwrap(), DeviceId::new("tv").unwrap());
                let id = ClientId::new(format!("o-{}", self.others)).unwrap();
                let entry = self.server.append(&chat(n), author, id);
                if self.connected {
                    self.server.say(None, &Frame::Entry(entry));
                }
            }
            Step::Serve(n) => self.serve(n),
            Step::Hear(n) => self.hear(n),
            Step::Break if self.connected => {
                self.cut();
                self.session.lost(self.now, Lost::Broken, 50);
            }
            Step::Break => {}
            Step::Lose(n) => drop(self.entry_at(n).map(|at| self.server.to_client.remove(at))),
            Step::Repeat(n) => {
                if let Some(at) = self.entry_at(n) {
                    let frame = self.server.to_client[at].clone();
                    self.server.to_client.push_back(frame);
                }
            }
            Step::Swap(n) => {
                if let (Some(a), Some(b)) = (self.entry_at(n), self.entry_at(n + 1)) {
                    self.server.to_client.swap(a, b);
                }
            }
            Step::Busy => self.server.busy = true,
            Step::Lag => self.server.lags = true,
            Step::Wait(ms) => self.now = self.now.after(ms),
            Step::Take(n) => self.take(n),
            Step::Save => self.saved = self.handed.clone(),
            Step::Crash => self.crash(),
        }
        self.turn();
    }

    /// The n-th pushed entry on its way to the client.
    fn entry_at(&self, n: usize) -> Option<usize> {
        let is_entry = |text: &&[u8]| text.starts_with(b"{\"type\":\"entry\"");
        let frames = self.server.to_client.iter().map(Vec::as_slice).enumerate();
        frames
            .filter(|(_, text)| is_entry(text))
            .nth(n)
            .map(|(at, _)| at)
    }

    fn submit(&mut self, chat: ChatId, bad: bool) {
        self.submitted += 1;
        let ticket = Ticket(self.submitted);
        let client_id = ClientId::new(format!("m-{}", self.submitted)).unwrap();
        self.settled
            .insert(ticket, (client_id.clone(), chat.clone(), None));
        let body = WireBody::text(if bad { "bad" } else { "good" });
        let send = Send {
            chat,
            client_id,
            body,
            reply_to: None,
        };
        self.session.submit(self.now, ticket, Command::Send(send));
    }

    fn serve(&mut self, most: usize) {
        for _ in 0..most {
            let Some(text) = self.to_server.pop_front() else {
                return;
            };
            self.server.serve(&text);
        }
    }

    fn hear(&mut self, most: usize) {
        for _ in 0..most {
            let Some(text) = self.server.to_client.pop_front() else {
                return;
            };
            self.session.received(self.now, &text);
            self.turn();
        }
    }

    fn take(&mut self, most: usize) {
        for (chat, seq) in self.queue.drain(..most.min(self.queue.len())) {
            let handed = self.handed.entry(chat.clone()).or_default();
            handed.push(seq.0);
            assert_eq!(handed.len() as u64, seq.0, "once and in order");
            self.session.taken(self.now, &chat, seq, 1);
        }
    }

    fn turn(&mut self) {
        if self.session.due().is_some_and(|due| due <= self.now) {
            self.session.tick(self.now);
        }
        while let Some(output) = self.session.poll() {
            match output {
                Output::Connect { .. } => {
                    self.connected = true;
                    self.session.opened(self.now, None);
                    self.server.greet();
                }
                Output::Write(text) => self.to_server.push_back(text),
                Output::Disconnect(why) => {
                    self.cut();
                    self.session.lost(self.now, why, 50);
                }
                Output::Event(Event::Entry(entry)) => {
                    self.queue.push_back((entry.chat.clone(), entry.seq));
                }
                Output::Settled {
                    ticket, outcome, ..
                } => {
                    let (_, _, known) = self.settled.get_mut(&ticket).unwrap();
                    assert_eq!(known.replace(outcome), None, "settled once");
                }
                _ => {}
            }
        }
    }

    /// From here on nothing goes wrong: everything must come to its end.
    fn calm_down(&mut self) {
        for round in 0..400 {
            self.serve(usize::MAX);
            self.hear(usize::MAX);
            self.take(usize::MAX);
            if self.is_done() {
                return;
            }
            self.now = self.now.after(100);
            // The server pushes again what has no mark.
            if round % 20 == 19 && self.connected {
                self.server.push_missing(100);
            }
            self.turn();
        }
        panic!("never came to its end");
    }

    fn is_done(&self) -> bool {
        let all = |chat: &ChatId| {
            self.handed.get(chat).map_or(0, Vec::len) as u64 == self.server.head(chat).0
        };
        self.to_server.is_empty()
            && self.server.to_client.is_empty()
            && self.session.is_settled()
            && (0..CHATS).map(chat).all(|chat| all(&chat))
    }

    fn check(&self) {
        for (client_id, chat, outcome) in self.settled.values() {
            let timeline = self.server.timelines.get(chat).map_or(&[][..], |t| t);
            let places: Vec<Seq> = timeline
                .iter()
                .filter(|entry| entry.client_id == *client_id)
                .map(|entry| entry.seq)
                .collect();
            match outcome.as_ref().expect("settled") {
                Outcome::Accepted { seq, .. } => assert_eq!(places, [*seq]),
                Outcome::Refused(refusal) => {
                    assert_eq!((refusal.code, places.len()), (Code::NotAllowed, 0));
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_everything_comes_once_and_in_order(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        world.calm_down();
        world.check();
    }
}
