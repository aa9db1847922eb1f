//! The opening handshake, server side: RFC 6455, 4.2. Pure: a request's head in, an answer out.

use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, Response, StatusCode, http::request::Parts};
use schemas::frames::SUBPROTOCOL;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Why a request is not a handshake that we can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Not a GET.
    #[error("a websocket is opened with GET")]
    NotGet,
    /// `Upgrade: websocket` or `Connection: upgrade` is missing.
    #[error("not a websocket upgrade")]
    NotUpgrade,
    /// `Sec-WebSocket-Version` is not 13.
    #[error("sec-websocket-version must be 13")]
    Version,
    /// `Sec-WebSocket-Key` is missing or not 16 bytes in base64.
    #[error("sec-websocket-key must be 16 bytes in base64")]
    Key,
    /// Subprotocols are offered, and ours is not among them.
    #[error("offered subprotocols do not include {}", SUBPROTOCOL)]
    Subprotocol,
}

impl HandshakeError {
    /// The status to answer with.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::NotGet => StatusCode::METHOD_NOT_ALLOWED,
            Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::NotUpgrade | Self::Key | Self::Subprotocol => StatusCode::BAD_REQUEST,
        }
    }

    /// The header that the answer must carry besides, if any.
    #[must_use]
    pub fn header(self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::NotGet => Some((hyper::header::ALLOW, HeaderValue::from_static("GET"))),
            Self::Version => Some((SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))),
            Self::NotUpgrade | Self::Key | Self::Subprotocol => None,
        }
    }
}

/// Checks a request's head and makes the 101 answer to it, without a body. Names our subprotocol
/// in it only when the client offered it, as the RFC demands.
///
/// # Errors
/// The request is not such a handshake; its own `status`, `header` and text say how to answer.
pub fn handshake(request: &Parts) -> Result<Response<()>, HandshakeError> {
    if request.method != Method::GET {
        return Err(HandshakeError::NotGet);
    }
    let headers = &request.headers;
    let upgrades = tokens(headers, &UPGRADE).any(|token| token.eq_ignore_ascii_case("websocket"));
    if !upgrades || !tokens(headers, &CONNECTION).any(|t| t.eq_ignore_ascii_case("upgrade")) {
        return Err(HandshakeError::NotUpgrade);
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .is_none_or(|version| version != "13")
    {
        return Err(HandshakeError::Version);
    }
    let key = headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| is_key(key)).ok_or(HandshakeError::Key)?;
    let subprotocol = choose_subprotocol(headers)?;
    Ok(switching(&derive_accept_key(key), subprotocol))
}

fn switching(accept: &str, subprotocol: Option<&'static str>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    let accept = HeaderValue::from_str(accept).expect("base64 is a valid header value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(subprotocol) = subprotocol {
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(subprotocol),
        );
    }
    response
}

/// Ours when offered, none when nothing is offered.
fn choose_subprotocol(headers: &HeaderMap) -> Result<Option<&'static str>, HandshakeError> {
    if !headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
        return Ok(None);
    }
    if tokens(headers, &SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == SUBPROTOCOL) {
        return Ok(Some(SUBPROTOCOL));
    }
    Err(HandshakeError::Subprotocol)
}

/// The elements of a header that is a list, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).into_iter();
    lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
        .map(str::trim)
}

/// 16 bytes in base64 are 22 digits and two signs of padding.
fn is_key(key: &[u8]) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.len() == 24
        && key
            .strip_suffix(b"==")
            .is_some_and(|digits| digits.iter().all(digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn request(headers: &[(&str, &str)]) -> Parts {
        let mut builder = Request::get("/v1/connect");
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(()).unwrap().into_parts().0
    }

    /// A good handshake with one header replaced, or left out.
    fn with(name: &str, value: Option<&str>) -> Parts {
        let mut headers = vec![
            ("connection", "keep-alive, Upgrade"),
            ("upgrade", "WebSocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        headers.retain(|(other, _)| *other != name);
        headers.extend(value.map(|value| (name, value)));
        request(&headers)
    }

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let response = handshake(&with("x", None)).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert_eq!(response.headers()[UPGRADE], "websocket");
        assert_eq!(response.headers()[CONNECTION], "upgrade");
        assert!(!response.headers().contains_key(SEC_WEBSOCKET_PROTOCOL));
    }

    #[test]
    fn our_subprotocol_is_chosen_when_offered_and_demanded_when_others_are() {
        let offered = with("sec-websocket-protocol", Some("soap, cursus.v1.json"));
        let response = handshake(&offered).unwrap();
        assert_eq!(response.headers()[SEC_WEBSOCKET_PROTOCOL], SUBPROTOCOL);
        let others = with("sec-websocket-protocol", Some("soap, cursus.v2.json"));
        assert_eq!(handshake(&others).unwrap_err(), HandshakeError::Subprotocol);
    }

    #[test]
    fn what_is_not_a_handshake_is_refused_with_its_reason() {
        let cases = [
            ("upgrade", None, HandshakeError::NotUpgrade, 400),
            ("upgrade", Some("h2c"), HandshakeError::NotUpgrade, 400),
            ("connection", Some("close"), HandshakeError::NotUpgrade, 400),
            (
                "sec-websocket-version",
                Some("8"),
                HandshakeError::Version,
                426,
            ),
            ("sec-websocket-version", None, HandshakeError::Version, 426),
            ("sec-websocket-key", None, HandshakeError::Key, 400),
            (
                "sec-websocket-key",
                Some("c2hvcnQ="),
                HandshakeError::Key,
                400,
            ),
            (
                "sec-websocket-key",
                Some("dGhlIHNhbXBsZSBub25j!Q=="),
                HandshakeError::Key,
                400,
            ),
        ];
        for (name, value, error, status) in cases {
            assert_eq!(
                handshake(&with(name, value)).unwrap_err(),
                error,
                "{name}: {value:?}"
            );
            assert_eq!(error.status().as_u16(), status);
        }
    }

    #[test]
    fn a_post_is_refused_and_told_what_is_allowed() {
        let mut parts = with("x", None);
        parts.method = Method::POST;
        let error = handshake(&parts).unwrap_err();
        assert_eq!(
            (error, error.status().as_u16()),
            (HandshakeError::NotGet, 405)
        );
        assert_eq!(error.header().unwrap().1, "GET");
        assert_eq!(HandshakeError::Version.header().unwrap().1, "13");
    }
}
