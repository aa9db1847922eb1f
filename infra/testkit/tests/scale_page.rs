//! `docs/scale.md` quotes what the simulation says, to the letter. `make scale` prints it anew.

#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::path::Path;

#[test]
fn page_quotes_the_simulation() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/scale.md");
    let page = std::fs::read_to_string(page).unwrap();
    let said = infra_testkit::scale::report().unwrap();
    assert!(
        page.contains(&said),
        "docs/scale.md does not quote:\n{said}"
    );
}
