//! Bytes ↔ frames. The envelope is read first, the data by its type, in one pass over the bytes.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Command, Frame};
use crate::errors::{Code, Refusal};

/// The longest `ref`.
pub const MAX_REF_BYTES: usize = 64;

/// Something that came, with the client's own mark on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received<T> {
    /// The client's `ref`, if it gave one.
    pub reference: Option<String>,
    /// What came, or why it is none.
    pub value: T,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type", borrow)]
    kind: std::borrow::Cow<'a, str>,
    #[serde(rename = "ref", default)]
    reference: Option<String>,
    #[serde(default, borrow)]
    data: Option<&'a RawValue>,
}

/// Reads one frame of a client. The `ref` comes back even when the rest is refused, so that the
/// answer can carry it.
///
/// A refusal is `malformed_frame`, `unknown_type` or `invalid_field`.
pub fn decode_command(bytes: &[u8]) -> Received<Result<Command, Refusal>> {
    let envelope: Envelope<'_> = match serde_json::from_slice(bytes) {
        Ok(envelope) => envelope,
        Err(e) => {
            let reason = format!("not a frame: {}", shorten(&e.to_string()));
            let value = Err(Refusal::new(Code::MalformedFrame, reason));
            return Received {
                reference: None,
                value,
            };
        }
    };
    if envelope
        .reference
        .as_ref()
        .is_some_and(|r| r.len() > MAX_REF_BYTES)
    {
        let refusal = Refusal::new(Code::TooLong, "ref: at most 64 bytes");
        return Received {
            reference: None,
            value: Err(refusal),
        };
    }
    let value = command_of(&envelope.kind, envelope.data.map_or("{}", RawValue::get));
    Received {
        reference: envelope.reference,
        value,
    }
}

fn command_of(kind: &str, data: &str) -> Result<Command, Refusal> {
    fn read<'a, T: Deserialize<'a>>(kind: &str, data: &'a str) -> Result<T, Refusal> {
        serde_json::from_str(data).map_err(|e| {
            let reason = format!("{kind}: {}", shorten(&e.to_string()));
            Refusal::new(Code::InvalidField, reason)
        })
    }
    #[derive(Deserialize)]
    struct Nothing {}
    Ok(match kind {
        "hello" => Command::Hello(read(kind, data)?),
        "send" => Command::Send(read(kind, data)?),
        "edit" => Command::Edit(read(kind, data)?),
        "delete" => Command::Delete(read(kind, data)?),
        "react" => Command::React(read(kind, data)?),
        "create_group" => Command::CreateGroup(read(kind, data)?),
        "change_chat" => Command::ChangeChat(read(kind, data)?),
        "add_member" => Command::AddMember(read(kind, data)?),
        "remove_member" => Command::RemoveMember(read(kind, data)?),
        "leave" => Command::Leave(read(kind, data)?),
        "set_role" => Command::SetRole(read(kind, data)?),
        "delivered" => Command::Delivered(read(kind, data)?),
        "read" => Command::Read(read(kind, data)?),
        "mute" => Command::Mute(read(kind, data)?),
        "archive" => Command::Archive(read(kind, data)?),
        "pin" => Command::Pin(read(kind, data)?),
        "hide" => Command::Hide(read(kind, data)?),
        "chats" => Command::Chats(read(kind, data)?),
        "history" => Command::History(read(kind, data)?),
        "timeline" => Command::Timeline(read(kind, data)?),
        "status" => Command::Status(read(kind, data)?),
        "members" => Command::Members(read(kind, data)?),
        "ping" => {
            read::<Nothing>(kind, data)?;
            Command::Ping {}
        }
        unknown => {
            let reason = format!("no command is called {:?}", shorten(unknown));
            return Err(Refusal::new(Code::UnknownType, reason));
        }
    })
}

fn shorten(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Writes one frame of the server, `type` first, then `ref`, then `data`.
pub fn encode_frame(reference: Option<&str>, frame: &Frame) -> Vec<u8> {
    encode(reference, frame)
}

/// Writes one command of a client, `type` first, then `ref`, then `data`.
pub fn encode_command(reference: Option<&str>, command: &Command) -> Vec<u8> {
    encode(reference, command)
}

/// Reads one frame of the server. A frame type of a later server is `None`.
///
/// # Errors
/// `malformed_frame` or `invalid_field`, when it is not one of this version of the protocol.
pub fn decode_frame(bytes: &[u8]) -> Result<Received<Option<Frame>>, Refusal> {
    let malformed = |e: serde_json::Error| Refusal::new(Code::MalformedFrame, e.to_string());
    let envelope: Envelope<'_> = serde_json::from_slice(bytes).map_err(malformed)?;
    let value = match serde_json::from_slice::<Frame>(bytes) {
        Ok(frame) => Some(frame),
        Err(e) if is_known(&envelope.kind) => {
            return Err(Refusal::new(Code::InvalidField, e.to_string()));
        }
        Err(_) => None,
    };
    Ok(Received {
        reference: envelope.reference,
        value,
    })
}

const FRAME_TYPES: [&str; 17] = [
    "welcome", "live", "sent", "settled", "verdict", "error", "entry", "entries", "ticks",
    "marked", "settings", "chats", "history", "status", "members", "pong", "closing",
];

fn is_known(kind: &str) -> bool {
    FRAME_TYPES.contains(&kind)
}

/// serde writes an adjacently tagged enum as `{"type":…,"data":…}`; the `ref` goes between the two.
fn encode<T: Serialize>(reference: Option<&str>, value: &T) -> Vec<u8> {
    let mut text = serde_json::to_vec(value).expect("frames have string keys and no custom errors");
    if let Some(reference) = reference {
        let mut middle = b"\"ref\":".to_vec();
        serde_json::to_writer(&mut middle, reference).expect("a text is JSON");
        middle.push(b',');
        // The type's name is snake_case, so the first `,` ends it.
        let at = text
            .iter()
            .position(|b| *b == b',')
            .map_or(text.len(), |comma| comma + 1);
        text.splice(at..at, middle);
    }
    text
}

#[cfg(test)]
mod tests;
