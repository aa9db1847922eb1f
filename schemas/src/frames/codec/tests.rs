//! Round trips of the codec and what it refuses.

use super::*;
use crate::frames::{Hello, MarkUpTo, Send, WireBody};
use crate::ids::{ChatId, ClientId};
use crate::position::Seq;

fn send() -> Command {
    Command::Send(Send {
        chat: ChatId::new("d.ada.bob").unwrap(),
        client_id: ClientId::new("c1").unwrap(),
        body: WireBody::text("hi, \"you\""),
        reply_to: None,
    })
}

#[test]
fn type_comes_first_then_ref_then_data() {
    let text = String::from_utf8(encode_command(Some("r\"1"), &send())).unwrap();
    assert!(
        text.starts_with(r#"{"type":"send","ref":"r\"1","data":{"chat":"d.ada.bob""#),
        "{text}"
    );
    let back = decode_command(text.as_bytes());
    assert_eq!(
        back,
        Received {
            reference: Some("r\"1".into()),
            value: Ok(send())
        }
    );
}

#[test]
fn commands_without_data_need_none() {
    for text in [
        r#"{"type":"ping"}"#,
        r#"{"type":"ping","data":{}}"#,
        r#"{"data":{},"type":"ping"}"#,
    ] {
        assert_eq!(
            decode_command(text.as_bytes()).value,
            Ok(Command::Ping {}),
            "{text}"
        );
    }
    let hello = Command::Hello(Hello { token: None });
    assert_eq!(decode_command(br#"{"type":"hello"}"#).value, Ok(hello));
}

#[test]
fn unknown_fields_are_ignored() {
    let text = br#"{"type":"read","x":1,"data":{"chat":"d.a.b","seq":4,"later":[]}}"#;
    let mark = MarkUpTo {
        chat: ChatId::new("d.a.b").unwrap(),
        seq: Seq(4),
    };
    assert_eq!(decode_command(text).value, Ok(Command::Read(mark)));
}

#[test]
fn what_is_no_command_is_refused_with_its_code_and_ref() {
    let cases: [(&str, Code, Option<&str>); 8] = [
        ("", Code::MalformedFrame, None),
        ("[1]", Code::MalformedFrame, None),
        (r#"{"type":1}"#, Code::MalformedFrame, None),
        (r#"{"ref":"7"}"#, Code::MalformedFrame, None),
        (r#"{"type":"fly","ref":"7"}"#, Code::UnknownType, Some("7")),
        (
            r#"{"type":"send","ref":"7"}"#,
            Code::InvalidField,
            Some("7"),
        ),
        (
            r#"{"type":"read","ref":"7","data":{"chat":"D.a.b","seq":1}}"#,
            Code::InvalidField,
            Some("7"),
        ),
        (
            r#"{"type":"read","ref":"7","data":{"chat":"d.a.b","seq":-1}}"#,
            Code::InvalidField,
            Some("7"),
        ),
    ];
    for (text, code, reference) in cases {
        let got = decode_command(text.as_bytes());
        assert_eq!(got.value.unwrap_err().code, code, "{text}");
        assert_eq!(got.reference.as_deref(), reference, "{text}");
    }
}

#[test]
fn frames_of_a_later_server_are_passed_over() {
    let got = decode_frame(br#"{"type":"hologram","data":{"a":1}}"#).unwrap();
    assert_eq!(got.value, None);
    let pong = encode_frame(Some("1"), &Frame::Pong {});
    let got = decode_frame(&pong).unwrap();
    assert_eq!(
        (got.value, got.reference.as_deref()),
        (Some(Frame::Pong {}), Some("1"))
    );
    assert!(decode_frame(br#"{"type":"entry","data":{}}"#).is_err());
}
