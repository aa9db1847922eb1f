//! The opening handshake of a socket: a request's head, one header a line.
//!
//! It is answered with 101 and no more than it asked for, or refused with a status of a client's
//! error.

use hyper::Request;
use hyper::header::{HeaderName, HeaderValue};
use schemas::frames::SUBPROTOCOL;

use super::{Target, linear};

pub(super) struct Handshake;

const SAMPLES: [&str; 3] = [
    "GET /v1/connect\nconnection: keep-alive, Upgrade\nupgrade: websocket\nsec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "GET /v1/connect?token=a.b.c\nconnection: Upgrade\nupgrade: WebSocket\nsec-websocket-version: 13\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\nsec-websocket-protocol: soap, cursus.v1.json\nauthorization: Bearer a.b.c",
    "POST /v1/connect\nconnection: close\nupgrade: h2c\nsec-websocket-version: 8\nsec-websocket-key: c2hvcnQ=",
];

impl Target for Handshake {
    fn name(&self) -> &'static str {
        "handshake"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        SAMPLES.map(|text| text.as_bytes().to_vec()).to_vec()
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        linear(input_bytes, 64)
    }

    fn run(&self, input: &[u8]) {
        let Some(request) = request(input) else {
            return;
        };
        let (head, ()) = request.into_parts();
        match infra_transport_websocket::handshake(&head) {
            Ok(switching) => {
                assert_eq!(switching.status().as_u16(), 101);
                let chosen = switching.headers().get("sec-websocket-protocol");
                let offered = head.headers.contains_key("sec-websocket-protocol");
                assert_eq!(chosen.is_some(), offered);
                assert!(chosen.is_none_or(|chosen| chosen == SUBPROTOCOL));
            }
            Err(error) => assert!(error.status().is_client_error()),
        }
    }
}

/// The request that the lines make, as far as a server would have let it through.
fn request(input: &[u8]) -> Option<Request<()>> {
    let mut lines = input.split(|byte| *byte == b'\n');
    let first = std::str::from_utf8(lines.next()?).ok()?;
    let (method, target) = first.split_once(' ')?;
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .body(())
        .ok()?;
    for line in lines.take(100) {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        let value = HeaderValue::from_bytes(value.get(1..)?.trim_ascii()).ok()?;
        request.headers_mut().append(name, value);
    }
    Some(request)
}
