//! Scenes for tests: delivery on the in-memory ports and a simulated runtime, with whoever takes
//! commands and whoever knows the tables' progress played by the test. Rows and records of `users`
//! are written directly.

pub(crate) mod counted;
mod events;
mod fakes;
mod reads;

pub(crate) use events::*;
pub(crate) use fakes::*;
pub(crate) use reads::Reads;

use std::sync::Arc;
use std::time::Duration;

use infra_ports::log::NewRecord;
use infra_ports::memory::store::MemoryStore;
use infra_ports::memory::transport::{Peer, Received, Socket, pair};
use infra_ports::memory::{Chances, Executor, MemoryLog, Node};
use infra_ports::{EventLog, Mutation, Runtime, TableStore};
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::{BodyKind, ChatEvent, Role, UserEvent};
use schemas::frames::{Command, Frame, decode_frame, encode_command};
use schemas::ids::{ChatId, DeviceId};
use schemas::position::*;
use schemas::tables::*;
use schemas::topics::{TOPICS, Topic};

use crate::{Config, Delivery, GatewayPorts, LiveGeneration};

pub(crate) const NODE: Node = Node(1);
pub(crate) const GENERATION: Generation = Generation(1);

/// A client's end, with the frames it got.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) Arc<Peer>);

/// Delivery and everything it works with.
pub(crate) struct Scene {
    pub(crate) executor: Executor,
    pub(crate) log: MemoryLog,
    /// Delivery's own reads of it, not those of tails.
    pub(crate) log_reads: Arc<Reads>,
    /// Delivery's reads of the tables.
    pub(crate) table_reads: Arc<Reads>,
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
        Self::over(
            MemoryLog::new(1),
            |log| Arc::new(log),
            config,
            seed,
            chances,
        )
    }

    /// Over this log, which delivery sees as it is `seen`. What users are told is appended to its first
    /// partition.
    pub(crate) fn over(
        log: MemoryLog,
        seen: fn(MemoryLog) -> Arc<dyn EventLog>,
        config: Config,
        seed: u64,
        chances: Chances,
    ) -> Self {
        let mut executor = Executor::seeded(seed, chances);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(NODE));
        // The test's own handles never fail; those of delivery do as the seed says.
        let store = MemoryStore::new();
        let log_reads = Reads::of_log(Arc::new(executor.faults(NODE)));
        let faulty_log = seen(log.reopen(Arc::clone(&log_reads) as _));
        let table_reads = Reads::of_tables(Arc::new(executor.faults(NODE)));
        let faulty_store = store.reopen(Arc::clone(&table_reads) as _);
        let commands = Arc::new(FakeCommands {
            runtime: Arc::clone(&runtime),
            expires_at: Mutex::new(Timestamp(i64::MAX)),
            taken: Mutex::default(),
            at_once: Arc::default(),
            marks: Mutex::default(),
            rounds: Mutex::default(),
            round_takes: Mutex::default(),
            no_marks_of: Mutex::default(),
            refuse_marks: Mutex::default(),
            refuse: Mutex::default(),
            held: Mutex::default(),
            reads_left: Mutex::new(u32::MAX),
            requests_left: Mutex::new(u32::MAX),
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
                    faulty_log,
                    Arc::new(faulty_store),
                    LiveGeneration::new(GENERATION),
                );
                let ports = GatewayPorts {
                    config,
                    log,
                    store,
                    runtime,
                    commands,
                    applied,
                    live,
                };
                Delivery::start(ports).await.unwrap()
            }
        };
        let delivery = executor.block_on(NODE, start).unwrap();
        Self {
            executor,
            log,
            log_reads,
            table_reads,
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
            .gateway
            .serve(reader, writer, token.map(str::to_owned), None);
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
            at: Timestamp(at),
            ..inbox_row(name, chat, head, 0)
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

/// A line of a user's chat list; `until` is not 0 for who has left.
pub(crate) fn inbox_row(name: &str, chat: &ChatId, head: u64, until: u64) -> InboxRow {
    InboxRow {
        user: user(name),
        chat: chat.clone(),
        head: Seq(head),
        ordinal: Ordinal(head),
        at: Timestamp(0),
        preview_seq: Seq(head),
        preview_author: Some(user("bob")),
        preview_kind: BodyKind::Text,
        preview: String::new(),
        own: Ordinal(0),
        since: Seq(0),
        since_ordinal: Ordinal(0),
        until: Seq(until),
    }
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
