//! Frames of clients, as a gateway and ingest take them: decoded, checked, made into an event.
//!
//! What is taken has an event that can be written and read; a command reads as the same after it
//! was written.

use schemas::avro::LogEvent;
use schemas::events::{AccountEvent, ChatEvent};
use schemas::frames::{Command, decode_command, encode_command};
use schemas::ids::{DeviceId, Identity, UserId};
use schemas::position::Timestamp;

use super::{Target, linear};

pub(super) struct Commands {
    ada: Identity,
}

impl Commands {
    pub(super) fn new() -> Self {
        let ada = Identity {
            user: UserId::new("ada").expect("canonical"),
            device: DeviceId::new("phone").expect("canonical"),
            expires_at: Timestamp(i64::MAX),
        };
        Self { ada }
    }
}

/// Every command of the protocol's page, and bodies of every kind.
const SAMPLES: &[&str] = &[
    r#"{"type":"hello","ref":"1","data":{"token":"a.b.c"}}"#,
    r#"{"type":"send","ref":"2","data":{"chat":"d.ada.bob","client_id":"m-1","body":{"kind":"text","text":"hello"}}}"#,
    r#"{"type":"send","ref":"3","data":{"chat":"d.ada.bob","client_id":"m-2","reply_to":1,"body":{"kind":"image","content_type":"image/png","data":"iVBORw0KGgo=","fields":{"caption":"the sea"},"e2e_key":"k"}}}"#,
    r#"{"type":"edit","ref":"4","data":{"chat":"d.ada.bob","client_id":"e-1","seq":1,"body":{"kind":"text","text":"hi"}}}"#,
    r#"{"type":"delete","ref":"5","data":{"chat":"d.ada.bob","client_id":"x-1","seq":2}}"#,
    r#"{"type":"react","ref":"6","data":{"chat":"d.ada.bob","client_id":"r-1","seq":1,"reaction":"👍"}}"#,
    r#"{"type":"create_group","ref":"7","data":{"client_id":"g-1","title":"Sailing","description":"Sundays","members":["bob","cyd"],"max_members":8}}"#,
    r#"{"type":"change_chat","ref":"8","data":{"chat":"g.00112233445566778899aabbccddeeff","client_id":"g-2","title":"Club","description":"a\nb"}}"#,
    r#"{"type":"add_member","ref":"9","data":{"chat":"g.00112233445566778899aabbccddeeff","client_id":"a-1","user":"eve","role":"admin"}}"#,
    r#"{"type":"remove_member","ref":"10","data":{"chat":"g.00112233445566778899aabbccddeeff","client_id":"a-2","user":"eve"}}"#,
    r#"{"type":"leave","ref":"11","data":{"chat":"g.00112233445566778899aabbccddeeff","client_id":"a-3"}}"#,
    r#"{"type":"set_role","ref":"12","data":{"chat":"g.00112233445566778899aabbccddeeff","client_id":"a-4","user":"eve","role":"owner"}}"#,
    r#"{"type":"delivered","ref":"13","data":{"chat":"d.ada.bob","seq":2}}"#,
    r#"{"type":"read","ref":"14","data":{"chat":"d.ada.bob","seq":2}}"#,
    r#"{"type":"mute","ref":"15","data":{"chat":"d.ada.bob","until":1790000000000}}"#,
    r#"{"type":"archive","ref":"16","data":{"chat":"d.ada.bob","archived":true}}"#,
    r#"{"type":"pin","ref":"17","data":{"chat":"d.ada.bob","pinned":true}}"#,
    r#"{"type":"hide","ref":"18","data":{"chat":"d.ada.bob","seq":3}}"#,
    r#"{"type":"chats","ref":"20","data":{"limit":50,"cursor":"u1.d.ada.bob"}}"#,
    r#"{"type":"history","ref":"21","data":{"chat":"d.ada.bob","limit":50,"before":9}}"#,
    r#"{"type":"timeline","ref":"22","data":{"chat":"d.ada.bob","from":1,"limit":100}}"#,
    r#"{"type":"status","ref":"23","data":{"chat":"d.ada.bob","seq":1,"who":true}}"#,
    r#"{"type":"members","ref":"24","data":{"chat":"d.ada.bob"}}"#,
    r#"{"type":"ping","ref":"25"}"#,
];

impl Target for Commands {
    fn name(&self) -> &'static str {
        "commands"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        SAMPLES
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect()
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        linear(input_bytes, 64)
    }

    fn run(&self, input: &[u8]) {
        let received = decode_command(input);
        let Ok(command) = received.value else { return };
        let written = encode_command(received.reference.as_deref(), &command);
        let second = decode_command(&written);
        assert_eq!(second.reference, received.reference);
        assert_eq!(second.value.as_ref().ok(), Some(&command), "{second:?}");
        self.take(command);
    }
}

impl Commands {
    fn take(&self, command: Command) {
        match ingest::check::check(&self.ada, command, Timestamp(1_790_000_000_000)) {
            Err(_) => {}
            Ok(ingest::check::Checked::Chat(event)) => {
                let bytes = event.encode().expect("a checked event can be written");
                assert_eq!(ChatEvent::decode(&bytes).ok(), Some(event));
            }
            Ok(ingest::check::Checked::Account(event)) => {
                let bytes = event.encode().expect("a checked event can be written");
                assert_eq!(AccountEvent::decode(&bytes).ok(), Some(event));
            }
        }
    }
}
