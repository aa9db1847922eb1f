//! Scenes for tests: delivery on the in-memory ports and a simulated runtime, with whoever takes
//! commands and whoever knows the tables' progress played by the test. Rows and records of `users`
//! are written directly.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use compact_str::CompactString;
use infra_ports::log::NewRecord;
use infra_ports::memory::store::MemoryStore;
use infra_ports::memory::transport::{Peer, Received, Socket, pair};
use infra_ports::memory::{Chances, Executor, MemoryLog, Node};
use infra_ports::{EventLog, Mutation, Runtime, TableStore};
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::errors::{Code, Refusal};
use schemas::events::*;
use schemas::frames::{Accepted, Command, Frame, Settled, decode_frame, encode_command};
use schemas::ids::{ChatId, ClientId, DeviceId, Identity, MessageId, UserId};
use schemas::position::*;
use schemas::tables::*;
use schemas::topics::{TOPICS, Topic};

use crate::{Applied, Commands, Config, Delivery, LiveGeneration, Receipt, StampedMark};

pub(crate) const NODE: Node = Node(1);
pub(crate) const GENERATION: Generation = Generation(1);

pub(crate) fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

pub(crate) fn chat(name: &str) -> ChatId {
    ChatId::new(name).unwrap()
}

/// A group's id from a number.
pub(crate) fn group(number: u8) -> ChatId {
    ChatId::new(format!("g.{number:032x}")).unwrap()
}

fn origin(chat: &ChatId, author: &str, client_id: &str) -> Origin {
    Origin {
        chat: chat.clone(),
        author: user(author),
        device: DeviceId::new("phone").unwrap(),
        client_id: ClientId::new(client_id).unwrap(),
        at: Timestamp(1),
        rules: RULES,
    }
}

/// A message whose text is its client id.
pub(crate) fn message(chat: &ChatId, author: &str, text: &str) -> ChatEvent {
    let origin = origin(chat, author, text);
    ChatEvent::MessageSent(MessageSent {
        origin,
        body: Body::text(text),
        reply_to: None,
    })
}

pub(crate) fn added(chat: &ChatId, author: &str, who: &str, id: &str) -> ChatEvent {
    let origin = origin(chat, author, id);
    ChatEvent::MemberAdded(MemberAdded {
        origin,
        user: user(who),
        role: Role::Member,
    })
}

pub(crate) fn removed(chat: &ChatId, author: &str, who: &str, id: &str) -> ChatEvent {
    let origin = origin(chat, author, id);
    ChatEvent::MemberRemoved(MemberRemoved {
        origin,
        user: user(who),
    })
}

pub(crate) fn edited(chat: &ChatId, author: &str, target: u64, text: &str) -> ChatEvent {
    let origin = origin(chat, author, text);
    let (target, body) = (Seq(target), Body::text(text));
    ChatEvent::MessageEdited(MessageEdited {
        origin,
        target,
        body,
    })
}

pub(crate) fn deleted(chat: &ChatId, author: &str, target: u64) -> ChatEvent {
    let origin = origin(chat, author, "delete");
    ChatEvent::MessageDeleted(MessageDeleted {
        origin,
        target: Seq(target),
    })
}

pub(crate) fn reacted(chat: &ChatId, author: &str, target: u64, with: Option<&str>) -> ChatEvent {
    let (origin, reaction) = (origin(chat, author, "react"), with.map(CompactString::from));
    ChatEvent::ReactionSet(ReactionSet {
        origin,
        target: Seq(target),
        reaction,
    })
}

/// How far the tables are said to be; everything, unless a test says otherwise.
pub(crate) struct FakeApplied {
    runtime: Arc<dyn Runtime>,
    held: Mutex<BTreeMap<&'static str, Offset>>,
    moved: tokio::sync::Notify,
}

impl FakeApplied {
    pub(crate) fn hold(&self, projection: &'static str, at: u64) {
        self.held.lock().insert(projection, Offset(at));
        self.moved.notify_waiters();
    }
}

#[async_trait]
impl Applied for FakeApplied {
    fn applied(&self, projection: &'static str, _: Partition) -> Offset {
        self.held
            .lock()
            .get(projection)
            .copied()
            .unwrap_or(Offset(u64::MAX))
    }

    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool {
        let mut bell = self.runtime.sleep(timeout);
        loop {
            let moved = self.moved.notified();
            if self.applied(projection, partition) >= offset {
                return true;
            }
            tokio::select! {
                biased;
                () = moved => {}
                () = &mut bell => return false,
            }
        }
    }
}

/// Takes every command and remembers in which order their appends were begun.
pub(crate) struct FakeCommands {
    runtime: Arc<dyn Runtime>,
    pub(crate) expires_at: Mutex<Timestamp>,
    pub(crate) taken: Mutex<Vec<String>>,
    pub(crate) marks: Mutex<Vec<(String, StampedMark)>>,
    pub(crate) refuse: Mutex<Option<Code>>,
}

#[async_trait]
impl Commands for FakeCommands {
    fn authenticate(&self, token: &str) -> Result<Identity, Refusal> {
        let (name, device) = token
            .split_once('/')
            .ok_or_else(|| Refusal::plain(Code::Unauthorized))?;
        let device = DeviceId::new(device).unwrap();
        Ok(Identity {
            user: user(name),
            device,
            expires_at: *self.expires_at.lock(),
        })
    }

    async fn accept(&self, who: &Identity, command: Command) -> Result<Receipt, Refusal> {
        let (chat, client_id) = match &command {
            Command::Send(c) => (c.chat.clone(), c.client_id.clone()),
            Command::Pin(c) => {
                return Ok(Receipt::Settled(Settled {
                    chat: c.chat.clone(),
                }));
            }
            other => panic!("not in these tests: {other:?}"),
        };
        self.taken.lock().push(client_id.to_string());
        if let Some(code) = *self.refuse.lock() {
            return Err(Refusal::plain(code));
        }
        // As long as a disk might take: later ones are often through before earlier ones.
        self.runtime
            .sleep(Duration::from_millis(self.runtime.random() % 5))
            .await;
        let id = MessageId::of(&chat, &who.user, &who.device, &client_id)
            .to_string()
            .into();
        Ok(Receipt::Sent(Accepted {
            chat,
            client_id,
            id,
            at: Timestamp(1),
        }))
    }

    async fn mark(&self, who: &Identity, mark: StampedMark) -> Result<Settled, Refusal> {
        let settled = Settled {
            chat: mark.chat.clone(),
        };
        self.marks
            .lock()
            .push((format!("{}/{}", who.user, who.device), mark));
        Ok(settled)
    }
}

/// A client's end, with the frames it got.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) Arc<Peer>);

/// Delivery and everything it works with.
pub(crate) struct Scene {
    pub(crate) executor: Executor,
    pub(crate) log: MemoryLog,
    pub(crate) store: MemoryStore,
    pub(crate) commands: Arc<FakeCommands>,
    pub(crate) applied: Arc<FakeApplied>,
    pub(crate) delivery: Delivery,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self::with(Config::default())
    }

    pub(crate) fn with(config: Config) -> Self {
        Self::seeded(config, 1, Chances::CALM)
    }

    pub(crate) fn seeded(config: Config, seed: u64, chances: Chances) -> Self {
        let mut executor = Executor::seeded(seed, chances);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(NODE));
        let (log, store) = (MemoryLog::new(1), MemoryStore::new());
        let commands = Arc::new(FakeCommands {
            runtime: Arc::clone(&runtime),
            expires_at: Mutex::new(Timestamp(i64::MAX)),
            taken: Mutex::default(),
            marks: Mutex::default(),
            refuse: Mutex::default(),
        });
        let applied = Arc::new(FakeApplied {
            runtime: Arc::clone(&runtime),
            held: Mutex::default(),
            moved: tokio::sync::Notify::new(),
        });
        let start = {
            let (log, store) = (log.clone(), store.clone());
            let (commands, applied) = (Arc::clone(&commands), Arc::clone(&applied));
            async move {
                log.create_topics(&TOPICS.map(|spec| spec.topic))
                    .await
                    .unwrap();
                store.create_tables(&TABLES, GENERATION).await.unwrap();
                let (log, store, live) = (
                    Arc::new(log),
                    Arc::new(store),
                    LiveGeneration::new(GENERATION),
                );
                Delivery::start(config, log, store, runtime, commands, applied, live)
                    .await
                    .unwrap()
            }
        };
        let delivery = executor.block_on(NODE, start).unwrap();
        Self {
            executor,
            log,
            store,
            commands,
            applied,
            delivery,
        }
    }

    pub(crate) fn run<T: Send + 'static>(
        &mut self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.executor.block_on(NODE, future).unwrap()
    }

    pub(crate) fn wait(&mut self, millis: u64) {
        let halt = self.executor.run_for(Duration::from_millis(millis));
        assert_eq!(halt, infra_ports::memory::Halt::Done);
    }

    /// A socket; with a token the client is signed in by its handshake.
    pub(crate) fn socket(&mut self, token: Option<&str>, socket: Socket) -> Client {
        let (reader, writer, peer) = pair(socket);
        let session = self
            .delivery
            .serve(reader, writer, token.map(str::to_owned));
        self.executor
            .runtime(NODE)
            .spawn("session", Box::pin(session));
        Client(Arc::new(peer))
    }

    /// A client that is through with its resume; what it got so far.
    pub(crate) fn connect(&mut self, token: &str) -> (Client, Vec<Frame>) {
        let client = self.socket(Some(token), Socket::default());
        let frames = self.frames(&client);
        assert!(
            matches!(frames.first(), Some(Frame::Welcome(_))),
            "{frames:?}"
        );
        (client, frames)
    }

    /// A client that is live and was sent nothing.
    pub(crate) fn live(&mut self, token: &str) -> Client {
        let (client, frames) = self.connect(token);
        assert!(
            matches!(&frames[..], [Frame::Welcome(_), Frame::Live {}]),
            "{frames:?}"
        );
        client
    }

    /// Everything that comes until nothing more does for a while.
    pub(crate) fn received(&mut self, client: &Client) -> Vec<Received> {
        let mut all = Vec::new();
        loop {
            self.wait(100);
            let before = all.len();
            all.extend(std::iter::from_fn(|| client.0.try_receive()));
            if all.len() == before {
                return all;
            }
        }
    }

    /// The text frames among it.
    pub(crate) fn frames(&mut self, client: &Client) -> Vec<Frame> {
        let text = |received| match received {
            Received::Text(text) => decode_frame(&text).unwrap().value,
            _ => None,
        };
        self.received(client).into_iter().filter_map(text).collect()
    }

    pub(crate) fn say(&mut self, client: &Client, text: impl Into<Vec<u8>>) {
        let (peer, text) = (Arc::clone(&client.0), text.into());
        self.run(async move { peer.send_text(text).await }).unwrap();
    }

    pub(crate) fn command(&mut self, client: &Client, reference: &str, command: &Command) {
        self.say(client, encode_command(Some(reference), command));
    }

    pub(crate) fn write(&mut self, mutations: Vec<Mutation>) {
        let store = self.store.clone();
        self.run(async move { store.write(mutations).await })
            .unwrap();
    }

    pub(crate) fn put<T: Table>(&mut self, row: &T, version: u64) {
        self.write(vec![Mutation::put(GENERATION, row, Version(version))]);
    }

    pub(crate) fn append(&mut self, events: Vec<UserEvent>) {
        let log = self.log.clone();
        let record = |event: UserEvent| {
            let value = event.encode().unwrap();
            NewRecord {
                key: bytes::Bytes::new(),
                value,
                at: Timestamp(0),
            }
        };
        let records = events.into_iter().map(record).collect();
        self.run(async move { log.append(Topic::Users, Partition(0), records).await })
            .unwrap();
    }

    /// Recipients are told of an event; its offset in `chats` is its seq.
    pub(crate) fn tell(&mut self, seq: u64, event: &ChatEvent, recipients: &[&str]) {
        self.append(vec![told(seq, event, recipients)]);
    }

    /// The rows of an event are written, and the chat's.
    pub(crate) fn rows(&mut self, seq: u64, event: &ChatEvent) {
        let rows = rows(seq, event);
        self.write(rows);
    }

    /// Messages 1 … n of a chat by its author, in the tables only.
    pub(crate) fn fill(
        &mut self,
        chat: &ChatId,
        author: &str,
        seqs: std::ops::RangeInclusive<u64>,
    ) {
        let message = |seq: u64| rows(seq, &message(chat, author, &seq.to_string()));
        let all: Vec<_> = seqs.flat_map(message).collect();
        self.write(all);
    }

    pub(crate) fn inbox(&mut self, name: &str, chat: &ChatId, head: u64, at: i64) {
        let row = InboxRow {
            user: user(name),
            chat: chat.clone(),
            head: Seq(head),
            ordinal: Ordinal(head),
            at: Timestamp(at),
            preview_seq: Seq(head),
            preview_author: Some(user("bob")),
            preview_kind: BodyKind::Text,
            preview: String::new(),
            own: Ordinal(0),
            since: Seq(0),
            since_ordinal: Ordinal(0),
            until: Seq(0),
        };
        self.put(&row, head + 1);
    }

    pub(crate) fn cursor(&mut self, name: &str, device: Option<&str>, chat: &ChatId, seq: u64) {
        let row = CursorRow {
            user: user(name),
            device: device.map(|device| DeviceId::new(device).unwrap()),
            chat: chat.clone(),
            seq: Seq(seq),
            ordinal: Ordinal(seq),
            since: Seq(0),
        };
        self.put(&row, seq + 1);
    }

    pub(crate) fn stay(&mut self, chat: &ChatId, name: &str, since: u64, until: u64) {
        let row = MemberRow {
            chat: chat.clone(),
            user: user(name),
            since: Seq(since),
            since_ordinal: Ordinal(since),
            until: Seq(until),
            role: Role::Member,
            joined_at: Timestamp(0),
        };
        self.put(&row, since.max(until) + 1);
    }
}

/// An event as its recipients are told of it.
pub(crate) fn told(seq: u64, event: &ChatEvent, recipients: &[&str]) -> UserEvent {
    UserEvent::EntryTold(EntryTold {
        recipients: recipients.iter().map(|name| user(name)).collect(),
        chat: event.origin().chat.clone(),
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        at: Timestamp(0),
        origin: Offset(seq),
        event: event.encode().unwrap(),
    })
}

fn rows(seq: u64, event: &ChatEvent) -> Vec<Mutation> {
    let origin = event.origin();
    let (chat, author) = (origin.chat.clone(), origin.author.clone());
    let (bucket, version) = (bucket(Seq(seq)), Version(seq + 1));
    let (ordinal, at, encoded) = (Ordinal(seq), Timestamp(0), event.encode().unwrap());
    let (title, members) = ("a group".to_owned(), 2);
    let head = ChatRow {
        chat: chat.clone(),
        title,
        description: String::new(),
        created_at: at,
        updated_at: at,
        head: Seq(seq),
        ordinal,
        owner: None,
        members,
        max_members: 256,
    };
    let head = Mutation::put(GENERATION, &head, version);
    let Some(target) = event.target() else {
        let row = MessageRow {
            chat,
            bucket,
            seq: Seq(seq),
            ordinal,
            at,
            author,
            event: encoded,
        };
        return vec![Mutation::put(GENERATION, &row, version), head];
    };
    let what = match event {
        ChatEvent::MessageDeleted(_) => DELETED,
        ChatEvent::ReactionSet(_) => reaction_of(&author),
        _ => EDITED,
    };
    let overlay = OverlayRow {
        chat: chat.clone(),
        bucket: schemas::tables::bucket(target),
        target,
        what,
        seq: Seq(seq),
        at,
        event: encoded.clone(),
    };
    let row = ChangeRow {
        chat,
        bucket,
        seq: Seq(seq),
        ordinal,
        at,
        author,
        target,
        event: encoded,
    };
    let (row, overlay) = (
        Mutation::put(GENERATION, &row, version),
        Mutation::put(GENERATION, &overlay, version),
    );
    vec![row, overlay, head]
}

/// What clients see of entries: single ones as `[n]`, batches as their `from`, `through` and seqs.
pub(crate) fn entries(frames: &[Frame]) -> Vec<(u64, u64, Vec<u64>)> {
    let seen = |frame: &Frame| match frame {
        Frame::Entry(e) => Some((e.seq.0, e.seq.0, vec![e.seq.0])),
        Frame::Entries(e) => Some((
            e.from.0,
            e.through.0,
            e.entries.iter().map(|e| e.seq.0).collect(),
        )),
        _ => None,
    };
    frames.iter().filter_map(seen).collect()
}

/// All places in the order they came.
pub(crate) fn seqs(frames: &[Frame]) -> Vec<u64> {
    entries(frames)
        .into_iter()
        .flat_map(|(_, _, seqs)| seqs)
        .collect()
}

/// The code with which the server closed.
pub(crate) fn close_code(received: &[Received]) -> Option<u16> {
    received.iter().find_map(|received| match received {
        Received::Close { code, .. } => Some(*code),
        _ => None,
    })
}
