//! The tables of a platform that serves are rebuilt on a real Cassandra, beside the live ones, and gone
//! back to, under load: nothing is lost, told twice or counted wrong, no socket closes, and who makes
//! the tables may be killed halfway.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use infra_servers::Servers;
use infra_testkit::cluster::Cluster;
use infra_testkit::torture::apart::{self, Hit, Plan, Stage};

const PROGRAM: &str = env!("CARGO_BIN_EXE_cursus-under-test");
const PROCESSES: [(&str, &str); 3] = [
    ("projectors-1", "projectors"),
    ("gateway-1", "gateway,worker,projectors"),
    ("gateway-2", "gateway,worker"),
];

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_rebuilt_and_gone_back_to_while_messages_flow() {
    let servers = Arc::new(Servers::start(&["kafka", "cassandra", "redis"]).unwrap());
    let program = Path::new(PROGRAM);
    let mut stage = Stage::set_up(servers, program, "rebuilt", &PROCESSES, &[]).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let plan = Plan::new(0, now.subsec_nanos().into());
    let begun = Instant::now();
    let hits = [Hit::HalfRebuilt, Hit::Rebuilt, Hit::RolledBack];
    let outcome = apart::rebuild(&mut stage, &plan, &hits, |round| println!("  {round}"));
    let outcome = outcome.await.unwrap();
    println!(
        "{} acknowledged, {} delivered, {:.0?}",
        outcome.acknowledged,
        outcome.delivered,
        begun.elapsed()
    );
    assert!(outcome.violations.is_empty(), "{:#?}", outcome.violations);
    assert!(outcome.unasked.is_empty(), "{:#?}", outcome.unasked);
    assert!(outcome.acknowledged > 200 && outcome.delivered > 200);
    tokio::task::block_in_place(|| {
        generations_are_refused_or_dropped(&stage.cluster);
        stage.end().unwrap();
    });
}

/// The first one is live again, the second one is kept.
fn generations_are_refused_or_dropped(cluster: &Cluster) {
    let tool = |arguments: &[&str]| cluster.run_tool(arguments).unwrap();
    for (generation, reason) in [
        ("1", "generation 1 is live"),
        ("3", "there is no generation 3; there are 1, 2"),
    ] {
        let (went_well, said) = tool(&["rebuild", "--discard", generation]);
        assert!(!went_well && said.contains(reason), "{said}");
    }
    let (went_well, said) = tool(&["rebuild", "--discard", "2"]);
    assert!(went_well, "{said}");
    let (went_well, said) = tool(&["rebuild", "--roll-back"]);
    assert!(
        !went_well && said.contains("no generation to go back to"),
        "{said}"
    );
}
