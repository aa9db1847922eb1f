//! The demo, as `make demo` runs it: it ends well and shows what it is there to show.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::process::{Command, Stdio};

#[test]
fn demo_ends_well_and_shows_the_kill_the_counters_and_the_proof() {
    let demo = Command::new(env!("CARGO_BIN_EXE_cursus-demo"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let shown = String::from_utf8(demo.stdout).unwrap();
    let errors = String::from_utf8_lossy(&demo.stderr);
    assert!(demo.status.success(), "{shown}\n{errors}");
    for wanted in [
        "is gone in mid conversation",
        "is back",
        "all 180 are settled",
        "184 entries each, one order, no hole, nothing twice",
        "delivered to 2 of 2, read by 1 (bob)",
        "harbour: 0 unread",
        "ended in order",
        "the tables are what the log says, bit for bit",
        "0 lost, 0 twice, 0 out of order, 0 counted wrongly",
    ] {
        assert!(shown.contains(wanted), "not shown: {wanted}\n{shown}");
    }
    for unwanted in ["BROKEN", "DIFFERENT", "\x1b"] {
        assert!(!shown.contains(unwanted), "shown: {unwanted}\n{shown}");
    }
    let chat_list = |name: &str| {
        let has_both = |line: &&str| line.contains(name) && line.contains("chat list");
        shown.lines().find(has_both).unwrap().to_owned()
    };
    assert!(chat_list("ada").contains("d.ada.bob: 0 unread"), "{shown}");
    assert!(
        !chat_list("cy").contains("harbour: 0 unread"),
        "cy has read nothing\n{shown}"
    );
}
