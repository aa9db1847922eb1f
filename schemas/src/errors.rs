//! The stable codes of everything that can be refused, in one list. A code is never reused.
//!
//! `docs/errors.md` shows the same list to client developers; a test keeps the two equal.

use serde::{Deserialize, Serialize, Serializer};

macro_rules! codes {
    ($($(#[$m:meta])* $name:ident $code:literal $status:literal $text:literal),+ $(,)?) => {
        /// A stable error code, as it stands on the wire.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each is described by `Code::meaning`")]
        #[non_exhaustive]
        pub enum Code { $($(#[$m])* $name),+ }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name),+];

            /// The code as it stands on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $code),+ }
            }

            /// The HTTP status that carries it.
            pub const fn status(self) -> u16 {
                match self { $(Code::$name => $status),+ }
            }

            /// What it means, for the documentation.
            pub const fn meaning(self) -> &'static str {
                match self { $(Code::$name => $text),+ }
            }
        }
    };
}

codes! {
    // The frame or request itself.
    MalformedFrame "malformed_frame" 400 "not a JSON object with a type, or not JSON at all",
    UnknownType "unknown_type" 400 "no command has this type",
    InvalidField "invalid_field" 400 "a field is missing, of the wrong shape, or not canonical; the message names it",
    TooLong "too_long" 400 "a text or list is over its limit; the message names the field and the limit",
    FrameTooLarge "frame_too_large" 413 "the frame or request is over the size limit; a socket is closed with 1009",
    BodyTooLarge "body_too_large" 413 "the message body is over 64 KiB",
    TooManyMembers "too_many_members" 400 "more members than a group may have (1,024)",
    UnsupportedProtocol "unsupported_protocol" 400 "the subprotocols offered do not contain cursus.v1.json, or it is no WebSocket handshake",
    UnsupportedMedia "unsupported_media" 415 "the request's content type is not application/json",
    RouteNotFound "route_not_found" 404 "no such route",
    MethodNotAllowed "method_not_allowed" 405 "the route exists, the method does not",
    // Who is asking.
    HelloRequired "hello_required" 401 "a command came before the session was authenticated",
    HelloTwice "hello_twice" 400 "the session is authenticated already",
    Unauthorized "unauthorized" 401 "no token, or one that is not valid here; a socket is closed with 4001",
    TokenExpired "token_expired" 401 "the token's time is over; a socket is closed with 4001",
    // How much.
    RateLimited "rate_limited" 429 "too many commands, reads or requests; retry_after_ms says when to try again",
    TooManyUnsettled "too_many_unsettled" 429 "256 commands of this device in this chat wait for their verdict; wait for one",
    TooManySessions "too_many_sessions" 503 "the gateway holds as many sockets as it may, in all or of this user; try again later or elsewhere",
    SlowConsumer "slow_consumer" 503 "the session read too slowly and was closed with 4003; reconnect and resume",
    // What may be marked and read.
    MarkAhead "mark_ahead" 409 "the mark is beyond what was sent to this device",
    NotMember "not_member" 403 "the author is no member of the chat at this place of the log",
    ChatNotFound "chat_not_found" 404 "the chat does not exist",
    ChatExists "chat_exists" 409 "the chat was created before",
    NotAllowed "not_allowed" 403 "the author's role does not allow it",
    GroupFull "group_full" 409 "the group has as many members as it may",
    AlreadyMember "already_member" 409 "the user is a member already",
    UserNotMember "user_not_member" 404 "the user named is no member of the chat",
    MessageNotFound "message_not_found" 404 "the place named is no message of the chat that this can be done to",
    NotAGroup "not_a_group" 409 "a direct chat has no title, roles or membership changes",
    // The server's own trouble.
    LogFull "log_full" 507 "the log has no room; nothing was stored, try again later",
    Unavailable "unavailable" 503 "the log or store did not answer; resend with the same client id",
    ShuttingDown "shutting_down" 503 "the server is going down; reconnect, elsewhere if a hint says so",
    Internal "internal" 500 "a defect of the server; the message carries no details, the server's log does",
}

impl Code {
    /// The code of a wire text, if it is known.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.as_str() == text)
    }

    /// True when the same command may succeed later without being changed.
    pub const fn is_retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::TooManyUnsettled
                | Self::TooManySessions
                | Self::SlowConsumer
                | Self::LogFull
                | Self::Unavailable
                | Self::ShuttingDown
        )
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Code {
    /// A code of a later server reads as `internal`.
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(d)?;
        Ok(Self::parse(&text).unwrap_or(Self::Internal))
    }
}

/// A refusal: a stable code, a sentence for a person, and when to try again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The stable code.
    pub code: Code,
    /// What was wrong, naming the field and the limit. Not stable.
    pub message: String,
    /// When to try again, where that helps.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub retry_after_ms: Option<u64>,
}

impl Refusal {
    /// A refusal with its reason.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            retry_after_ms: None,
        }
    }

    /// A refusal with the code's own meaning as its reason.
    pub fn plain(code: Code) -> Self {
        Self::new(code, code.meaning())
    }

    /// The same, saying when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, ms: u64) -> Self {
        self.retry_after_ms = Some(ms);
        self
    }
}

/// A refusal as an answer over HTTP, whatever serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRefusal {
    /// The status of its code.
    pub status: u16,
    /// Its headers, by their names in lower case.
    pub headers: Vec<(&'static str, String)>,
    /// Its body: `{"error": …}`.
    pub body: Vec<u8>,
}

impl From<&Refusal> for HttpRefusal {
    fn from(refusal: &Refusal) -> Self {
        #[derive(Serialize)]
        struct Envelope<'a> {
            error: &'a Refusal,
        }
        let status = refusal.code.status();
        let mut headers = vec![("content-type", "application/json".to_owned())];
        if status == 401 {
            // RFC 6750, 3.
            headers.push(("www-authenticate", "Bearer realm=\"cursus\"".to_owned()));
        }
        if let Some(ms) = refusal.retry_after_ms {
            // Whole seconds (RFC 9110, 10.2.3), never too early.
            headers.push(("retry-after", ms.div_ceil(1_000).to_string()));
        }
        let body = serde_json::to_vec(&Envelope { error: refusal });
        Self {
            status,
            headers,
            body: body.expect("a code, a text and a number have a JSON form"),
        }
    }
}

/// Codes with which the server closes a socket, beside those of RFC 6455.
pub mod close {
    /// Normal.
    pub const NORMAL: u16 = 1000;
    /// Not the protocol.
    pub const PROTOCOL: u16 = 1002;
    /// A frame over the limit.
    pub const TOO_LARGE: u16 = 1009;
    /// A defect of the server ended the session: reconnect and resume.
    pub const INTERNAL: u16 = 1011;
    /// The server restarts: reconnect (elsewhere, if the `closing` frame before says so).
    pub const RESTART: u16 = 1012;
    /// No room for another session, in all or of this user: try again later.
    pub const TRY_LATER: u16 = 1013;
    /// The token is not, or no longer, valid.
    pub const UNAUTHORIZED: u16 = 4001;
    /// No `hello` in time, or no sign of life.
    pub const TIMEOUT: u16 = 4002;
    /// The session read too slowly: reconnect and resume.
    pub const SLOW_CONSUMER: u16 = 4003;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_read_back() {
        let mut seen = std::collections::BTreeSet::new();
        for code in Code::ALL {
            assert!(seen.insert(code.as_str()), "{code} stands twice");
            assert_eq!(Code::parse(code.as_str()), Some(*code));
        }
    }

    #[test]
    fn over_http_a_refusal_says_how_to_come_back() {
        let header = |refusal: Refusal, wanted: &str| {
            let HttpRefusal { headers, .. } = HttpRefusal::from(&refusal);
            let mut found = headers.into_iter().filter(|(name, _)| *name == wanted);
            (found.next().map(|(_, value)| value), found.count())
        };
        let soon = Refusal::plain(Code::RateLimited).retry_after_ms(1_001);
        let told = HttpRefusal::from(&soon);
        assert_eq!(told.status, 429);
        let body: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(body["error"]["code"], "rate_limited");
        assert_eq!(body["error"]["retry_after_ms"], 1_001);
        assert_eq!(header(soon.clone(), "retry-after"), (Some("2".into()), 0));
        assert_eq!(header(soon.clone(), "www-authenticate"), (None, 0));
        assert_eq!(
            header(soon, "content-type"),
            (Some("application/json".into()), 0)
        );
        let unknown = Refusal::plain(Code::Unauthorized);
        assert_eq!(header(unknown.clone(), "retry-after"), (None, 0));
        let challenge = Some("Bearer realm=\"cursus\"".to_owned());
        assert_eq!(header(unknown, "www-authenticate"), (challenge, 0));
    }
}
