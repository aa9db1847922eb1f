//! `docs/errors.md` shows exactly the codes that the code has. Run with `CURSUS_WRITE_DOCS=1` to
//! write the page anew after a code was added.

#![allow(clippy::unwrap_used, reason = "tests may fail loudly")]

use std::fmt::Write as _;
use std::path::Path;

use schemas::errors::{Code, close};

const HEAD: &str = "\
# Error codes

Every refusal carries one of these codes: as `error` over a socket, as `{\"error\": {\"code\", \"message\"}}`
with the HTTP status over HTTP, as `code` of a `verdict` when the log decided. A code never changes its
meaning and is never used again for another; the `message` beside it is for people and may change. Clients
must take a code they do not know as `internal`.

*Retry*: the same command, unchanged and with the same `client_id`, may succeed later; `retry_after_ms`
(over HTTP also the header `Retry-After`) says when, where it is known. A refusal with another code will be
the same each time until something else changes.

This page is made from `schemas/src/errors.rs`; a test keeps the two equal.

| code | HTTP | retry | meaning |
|---|---|---|---|
";

const CLOSES: &[(u16, &str, &str)] = &[
    (close::NORMAL, "normal", ""),
    (close::PROTOCOL, "not the protocol", ""),
    (
        close::TOO_LARGE,
        "a frame over the limit",
        "`frame_too_large`",
    ),
    (
        close::INTERNAL,
        "a defect of the server ended the session: reconnect and resume",
        "`internal`",
    ),
    (
        close::RESTART,
        "the server restarts: reconnect",
        "`shutting_down`",
    ),
    (
        close::TRY_LATER,
        "no room for another session, in all or of this user",
        "`too_many_sessions`",
    ),
    (
        close::UNAUTHORIZED,
        "the token is not, or no longer, valid",
        "`unauthorized`, `token_expired`",
    ),
    (close::TIMEOUT, "no `hello` in time, or no sign of life", ""),
    (
        close::SLOW_CONSUMER,
        "the session read too slowly: reconnect and resume",
        "`slow_consumer`",
    ),
];

fn page() -> String {
    let mut page = HEAD.to_owned();
    for code in Code::ALL {
        let retry = if code.is_retryable() { "yes" } else { "" };
        let (status, meaning) = (code.status(), code.meaning());
        writeln!(page, "| `{code}` | {status} | {retry} | {meaning} |").unwrap();
    }
    page.push_str("\n## Close codes of sockets\n\n| code | meaning | after |\n|---|---|---|\n");
    for (code, meaning, after) in CLOSES {
        writeln!(page, "| {code} | {meaning} | {after} |").unwrap();
    }
    page
}

#[test]
fn page_of_error_codes_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.md");
    if std::env::var_os("CURSUS_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page(),
        "docs/errors.md is stale: run this test with CURSUS_WRITE_DOCS=1"
    );
}

#[test]
fn every_status_is_one_that_says_error() {
    for code in Code::ALL {
        assert!((400..600).contains(&code.status()), "{code}");
        assert_eq!(code.status() == 401, is_about_the_token(*code), "{code}");
    }
}

fn is_about_the_token(code: Code) -> bool {
    matches!(
        code,
        Code::HelloRequired | Code::Unauthorized | Code::TokenExpired
    )
}
