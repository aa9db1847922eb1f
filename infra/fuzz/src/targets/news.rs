//! Frames of a server, as the client library takes them: one a line, by a session that is live.
//!
//! However the server lies, entries are handed over in rising order, each once, and what waits
//! stays bounded by what came.

use std::collections::BTreeMap;

use cursus_client::{Event, Moment, Output, Progress, Session, SessionConfig, Ticket};
use schemas::frames::{Command, Send, WireBody};
use schemas::ids::{ChatId, ClientId};
use schemas::position::Seq;

use super::{Target, linear};

pub(super) struct News;

const WELCOME: &str = r#"{"type":"welcome","data":{"user":"ada","device":"phone","at":1790000000000,"heartbeat_ms":30000}}"#;
const LIVE: &str = r#"{"type":"live","data":{}}"#;
/// The milliseconds that pass with each frame.
const STEP_MS: u64 = 700;

fn entry(seq: u64) -> String {
    format!(
        r#"{{"type":"entry","data":{{"chat":"d.ada.bob","seq":{seq},"ordinal":{seq},"at":1790000000000,"author":"bob","device":"phone","client_id":"m-{seq}","id":"00","event":{{"kind":"message","body":{{"kind":"text","text":"hi"}}}}}}}}"#
    )
}

/// Conversations: each a few frames.
fn conversations() -> Vec<String> {
    let own = entry(4).replace("\"bob\"", "\"ada\"").replace("m-4", "own");
    let batch = |first: u64, last: u64| {
        let inner: Vec<String> = (first..=last)
            .map(|seq| {
                let text = entry(seq);
                let from = text.find("{\"chat\"").unwrap_or(0);
                text.get(from..text.len() - 1)
                    .unwrap_or_default()
                    .to_owned()
            })
            .collect();
        format!(
            r#"{{"type":"entries","ref":"s0","data":{{"chat":"d.ada.bob","from":{first},"through":{last},"entries":[{}],"head":{last}}}}}"#,
            inner.join(",")
        )
    };
    let others = [
        r#"{"type":"sent","ref":"c1","data":{"chat":"d.ada.bob","client_id":"own","id":"0011","at":1790000000000}}"#,
        r#"{"type":"verdict","data":{"chat":"d.ada.bob","device":"phone","client_id":"own","seq":4}}"#,
        r#"{"type":"verdict","data":{"chat":"d.ada.bob","device":"phone","client_id":"own","code":"not_member"}}"#,
        r#"{"type":"error","ref":"c1","data":{"code":"rate_limited","message":"too many","retry_after_ms":250}}"#,
        r#"{"type":"error","ref":"s0","data":{"code":"unavailable","message":"later"}}"#,
        r#"{"type":"ticks","data":{"chat":"d.ada.bob","seq":4,"delivered":1,"read":1}}"#,
        r#"{"type":"marked","data":{"chat":"d.ada.bob","kind":"read","device":"phone","seq":4}}"#,
        r#"{"type":"settled","ref":"s1","data":{"chat":"d.ada.bob"}}"#,
        r#"{"type":"pong","ref":"s2"}"#,
        r#"{"type":"closing","data":{"code":"shutting_down","reconnect_after_ms":200,"reconnect_to":"ws://b/v1/connect"}}"#,
        r#"{"type":"chats","ref":"s0","data":{"chats":[{"chat":"d.ada.bob","title":"","head":9,"ordinal":9,"at":1,"unread":0,"read":1,"muted_until":0,"archived":false,"pinned":true,"member":true}],"cursor":"u1.d.ada.bob"}}"#,
    ];
    let mut all = vec![
        [entry(1), entry(2), entry(3), own.clone()].join("\n"),
        [entry(1), entry(4), batch(1, 3), entry(5)].join("\n"),
        [batch(1, 4), batch(3, 7), entry(8), own].join("\n"),
        [
            entry(1),
            WELCOME.to_owned(),
            batch(2, 9),
            LIVE.to_owned(),
            entry(20),
        ]
        .join("\n"),
        others.join("\n"),
    ];
    all.extend(others.map(|other| [entry(1), other.to_owned(), entry(3)].join("\n")));
    all
}

impl Target for News {
    fn name(&self) -> &'static str {
        "news"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        conversations()
            .into_iter()
            .map(String::into_bytes)
            .collect()
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        linear(input_bytes, 256)
    }

    fn run(&self, input: &[u8]) {
        let mut listener = Listener::new();
        listener.hear(WELCOME.as_bytes());
        listener.hear(LIVE.as_bytes());
        for frame in input.split(|byte| *byte == b'\n') {
            listener.hear(frame);
        }
        listener
            .session
            .lost(listener.now, cursus_client::Lost::Broken, 7);
        listener.take();
        drop(listener.session.progress());
    }
}

/// A session with one message under way, and what it has handed over.
struct Listener {
    session: Session,
    now: Moment,
    last: BTreeMap<ChatId, Seq>,
}

impl Listener {
    fn new() -> Self {
        let mut session = Session::new(SessionConfig::default(), &Progress::new());
        let now = Moment(1);
        session.tick(now);
        session.opened(now, Some("token".to_owned()));
        let own = Send {
            chat: ChatId::new("d.ada.bob").expect("canonical"),
            client_id: ClientId::new("own").expect("canonical"),
            body: WireBody::text("hello"),
            reply_to: None,
        };
        session.submit(now, Ticket(1), Command::Send(own));
        Self {
            session,
            now,
            last: BTreeMap::new(),
        }
    }

    fn hear(&mut self, frame: &[u8]) {
        self.session.received(self.now, frame);
        self.take();
        self.now = self.now.after(STEP_MS);
        self.session.tick(self.now);
        self.take();
    }

    fn take(&mut self) {
        while let Some(output) = self.session.poll() {
            let Output::Event(Event::Entry(entry)) = output else {
                continue;
            };
            let last = self.last.insert(entry.chat.clone(), entry.seq);
            assert!(
                last.is_none_or(|last| last < entry.seq),
                "{} was handed over after {last:?}",
                entry.seq
            );
        }
    }
}
