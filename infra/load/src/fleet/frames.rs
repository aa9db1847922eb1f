//! Frames of our protocol as a fleet reads them: only what is counted, without allocation.
//!
//! The fast way knows the order in which the server writes its fields. Whatever does not fit it goes
//! through [`schemas::frames::decode_frame`], so a change of the server costs time here and nothing
//! else.

use std::borrow::Cow;

use schemas::errors::Code;
use schemas::frames::{Frame, decode_frame};

/// The letter before the number of a message in its client id.
pub const MESSAGE: u8 = b'm';
/// The letter before the number of a message in its `ref`.
pub const COMMAND: u8 = b'c';
/// The letter before the number of a mark in its `ref`.
pub const MARK: u8 = b's';

/// What came, as far as it matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard<'a> {
    /// An entry of a chat.
    Entry(Seen<'a>),
    /// Several of one chat.
    Batch(Batch),
    /// The log has the message of this number durably.
    Sent(Option<u64>),
    /// The mark of this number is durable.
    Settled(Option<u64>),
    /// An echo server gave a message back.
    Echoed(Option<u64>),
    /// Authenticated.
    Welcome,
    /// Everything missed was sent.
    Live,
    /// A command was refused: which one, and the code.
    Refused(Of, String),
    /// Ticks, marks and settings of other devices, pongs.
    Other,
}

/// What was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// The message of this number.
    Message(u64),
    /// The mark of this number.
    Mark(u64),
    /// None of these.
    Other,
}

/// One entry: where it stands and, where it is one of the fleet's messages, its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<'a> {
    /// The chat.
    pub chat: Cow<'a, str>,
    /// Its place.
    pub seq: u64,
    /// The number in its client id.
    pub number: Option<u64>,
}

/// The entries of one chat that were missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The chat.
    pub chat: String,
    /// The range begins here.
    pub from: u64,
    /// And ends here.
    pub through: u64,
    /// Places and numbers.
    pub entries: Vec<(u64, Option<u64>)>,
}

/// Reads one frame.
///
/// # Errors
/// When it is none of this version of the protocol.
pub fn read(text: &[u8]) -> anyhow::Result<Heard<'_>> {
    if let Some(heard) = Scan(text).frame() {
        return Ok(heard);
    }
    slowly(text)
}

/// The number that a name of the fleet carries: `m17` → 17.
#[must_use]
pub fn number_of(name: &[u8], letter: u8) -> Option<u64> {
    let digits = name.strip_prefix(&[letter])?;
    let mut scan = Scan(digits);
    let number = scan.number()?;
    scan.0.is_empty().then_some(number)
}

fn slowly(text: &[u8]) -> anyhow::Result<Heard<'_>> {
    let received = decode_frame(text).map_err(|refusal| anyhow::anyhow!("{refusal:?}"))?;
    let reference = received.reference.unwrap_or_default();
    let number = |name: &str| number_of(name.as_bytes(), MESSAGE);
    let Some(frame) = received.value else {
        return Ok(Heard::Other);
    };
    Ok(match frame {
        Frame::Welcome(_) => Heard::Welcome,
        Frame::Live {} => Heard::Live,
        Frame::Sent(sent) => Heard::Sent(number(sent.client_id.as_str())),
        Frame::Settled(_) => Heard::Settled(number_of(reference.as_bytes(), MARK)),
        Frame::Entry(entry) => Heard::Entry(Seen {
            chat: Cow::Owned(entry.chat.as_str().to_owned()),
            seq: entry.seq.0,
            number: number(entry.client_id.as_str()),
        }),
        Frame::Entries(batch) => Heard::Batch(Batch {
            chat: batch.chat.as_str().to_owned(),
            from: batch.from.0,
            through: batch.through.0,
            entries: batch
                .entries
                .iter()
                .map(|entry| (entry.seq.0, number(entry.client_id.as_str())))
                .collect(),
        }),
        Frame::Verdict(verdict) => match verdict.code {
            Some(code) => {
                let of = number(verdict.client_id.as_str()).map_or(Of::Other, Of::Message);
                refused(of, code)
            }
            None => Heard::Other,
        },
        Frame::Error(refusal) => refused(of_reference(reference.as_bytes()), refusal.code),
        Frame::Closing(closing) => refused(Of::Other, closing.code),
        Frame::Chats(_)
        | Frame::History(_)
        | Frame::Status(_)
        | Frame::Members(_)
        | Frame::Ticks(_)
        | Frame::Marked(_)
        | Frame::Settings(_)
        | Frame::Pong {} => Heard::Other,
    })
}

fn refused(of: Of, code: Code) -> Heard<'static> {
    Heard::Refused(of, code.as_str().to_owned())
}

fn of_reference(reference: &[u8]) -> Of {
    let message = number_of(reference, COMMAND).map(Of::Message);
    let mark = || number_of(reference, MARK).map(Of::Mark);
    message.or_else(mark).unwrap_or(Of::Other)
}

/// What is left of a frame.
struct Scan<'a>(&'a [u8]);

impl<'a> Scan<'a> {
    fn frame(&mut self) -> Option<Heard<'a>> {
        self.expect(br#"{"type":""#)?;
        match self.text()? {
            b"entry" => self.entry(),
            b"sent" => self.sent().map(|n| Heard::Sent(Some(n))),
            b"send" => self.sent().map(|n| Heard::Echoed(Some(n))),
            b"settled" => {
                let number = number_of(self.reference()?, MARK);
                Some(Heard::Settled(number))
            }
            b"ticks" | b"marked" => Some(Heard::Other),
            _ => None,
        }
    }

    fn entry(&mut self) -> Option<Heard<'a>> {
        self.expect(br#","data":{"chat":""#)?;
        let chat = std::str::from_utf8(self.text()?).ok()?;
        self.expect(br#","seq":"#)?;
        let seq = self.number()?;
        self.expect(br#","ordinal":"#)?;
        self.number()?;
        self.expect(br#","at":"#)?;
        self.number()?;
        self.expect(br#","author":""#)?;
        self.text()?;
        self.expect(br#","device":""#)?;
        self.text()?;
        self.expect(br#","client_id":""#)?;
        let number = number_of(self.text()?, MESSAGE);
        let chat = Cow::Borrowed(chat);
        Some(Heard::Entry(Seen { chat, seq, number }))
    }

    fn sent(&mut self) -> Option<u64> {
        self.reference()?;
        self.expect(br#","data":{"chat":""#)?;
        self.text()?;
        self.expect(br#","client_id":""#)?;
        number_of(self.text()?, MESSAGE)
    }

    fn reference(&mut self) -> Option<&'a [u8]> {
        self.expect(br#","ref":""#)?;
        self.text()
    }

    fn expect(&mut self, bytes: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(bytes)?;
        Some(())
    }

    /// Up to the next quote. Names never hold an escape; what does is read slowly.
    fn text(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|b| *b == b'"' || *b == b'\\')?;
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest.strip_prefix(b"\"")?;
        Some(text)
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = None;
        while let [digit @ b'0'..=b'9', rest @ ..] = self.0 {
            let grown = number.unwrap_or(0_u64).checked_mul(10)?;
            number = Some(grown.checked_add(u64::from(digit - b'0'))?);
            self.0 = rest;
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use schemas::frames::encode_frame;
    use serde_json::json;

    use super::*;

    fn frame(value: serde_json::Value) -> Vec<u8> {
        let frame: Frame = serde_json::from_value(value).unwrap();
        encode_frame(None, &frame)
    }

    fn entry(client_id: &str) -> serde_json::Value {
        json!({"chat": "d.a.b", "seq": 41, "ordinal": 40, "at": 1_790_000_000_000_u64,
            "author": "a", "device": "phone", "client_id": client_id,
            "id": "0b2f6d1c9d0f4a6d8f7e6b5a49382716",
            "event": {"kind": "message", "body": {"kind": "text", "text": "a \"quote\" seq"}}})
    }

    #[test]
    fn the_fast_way_reads_what_the_codec_writes_and_the_same_as_the_slow_one() {
        let sent = json!({"type": "sent", "data": {"chat": "d.a.b", "client_id": "m7",
            "id": "0b2f6d1c9d0f4a6d8f7e6b5a49382716", "at": 1}});
        let sent = encode_frame(Some("c7"), &serde_json::from_value(sent).unwrap());
        let settled = json!({"type": "settled", "data": {"chat": "d.a.b"}});
        let settled = encode_frame(Some("s9"), &serde_json::from_value(settled).unwrap());
        let entry = frame(json!({"type": "entry", "data": entry("m12")}));
        let expected = Heard::Entry(Seen {
            chat: "d.a.b".into(),
            seq: 41,
            number: Some(12),
        });
        for (text, expected) in [
            (&sent, Heard::Sent(Some(7))),
            (&settled, Heard::Settled(Some(9))),
            (&entry, expected),
        ] {
            assert_eq!(Scan(text).frame(), Some(expected), "the fast way");
            assert_eq!(Scan(text).frame().unwrap(), slowly(text).unwrap());
        }
    }

    #[test]
    fn fields_in_another_order_are_read_all_the_same() {
        let text =
            br#"{"data":{"seq":3,"chat":"d.a.b","at":1,"ordinal":1,"author":"a","device":"p",
            "id":"x","client_id":"m5","event":{"kind":"member_left"}},"type":"entry"}"#;
        assert_eq!(Scan(text).frame(), None);
        let Heard::Entry(seen) = read(text).unwrap() else {
            panic!("an entry");
        };
        assert_eq!((seen.seq, seen.number), (3, Some(5)));
    }

    #[test]
    fn batches_refusals_and_greetings_are_heard() {
        let batch = frame(
            json!({"type": "entries", "data": {"chat": "d.a.b", "from": 40,
            "through": 41, "entries": [entry("m3"), entry("other")], "head": 41}}),
        );
        let Heard::Batch(batch) = read(&batch).unwrap() else {
            panic!("a batch");
        };
        assert_eq!(batch.entries, [(41, Some(3)), (41, None)]);
        let error = json!({"type": "error", "data": {"code": "rate_limited", "message": "x"}});
        for (reference, of) in [
            ("c8", Of::Message(8)),
            ("s8", Of::Mark(8)),
            ("8", Of::Other),
        ] {
            let error = serde_json::from_value(error.clone()).unwrap();
            let error = encode_frame(Some(reference), &error);
            let refused = Heard::Refused(of, "rate_limited".into());
            assert_eq!(read(&error).unwrap(), refused);
        }
        assert_eq!(read(br#"{"type":"live","data":{}}"#).unwrap(), Heard::Live);
        assert!(read(b"nonsense").is_err());
    }

    #[test]
    fn names_that_are_not_ours_have_no_number() {
        for name in ["m", "x7", "m7a", "m99999999999999999999", ""] {
            assert_eq!(number_of(name.as_bytes(), MESSAGE), None, "{name}");
        }
        assert_eq!(number_of(b"m0", MESSAGE), Some(0));
    }
}
