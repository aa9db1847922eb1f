//! The whole stack over real sockets, killed with `kill -9` under load; and the same with one rule
//! broken on purpose, which the checker must see.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::wildcard_enum_match_arm,
    reason = "a test may fail loudly"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use infra_testkit::checker::Violation;
use infra_testkit::process::NodeProcess;
use infra_testkit::torture::{self, Outcome, Plan};

/// Runs share the machine's two or more cores with nobody: a starved node proves nothing.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const KILLS: u32 = 20;
/// Moments of a first start at which a node is killed.
const FIRST_STARTS: u32 = 20;
/// Kills of a run with a flaw, and how many runs it may take until chance shows the flaw.
const KILLS_WITH_FLAW: u32 = 6;
const ATTEMPTS: u64 = 6;
/// What is wrong with a flaw stays wrong: so long it is given to become right.
const LAG_WITH_FLAW: Duration = Duration::from_secs(8);

fn plan(kills: u32) -> Plan {
    Plan::of_chance(Path::new(env!("CARGO_BIN_EXE_cursus-under-test")), kills)
}

async fn run(plan: &Plan) -> anyhow::Result<Outcome> {
    println!(
        "seed {}, {} kills, {:?}",
        plan.seed, plan.rounds, plan.environment
    );
    let outcome = torture::run(plan, |_| {}).await?;
    println!(
        "{} acknowledged, {} delivered, longest start {:?}, {} violations",
        outcome.acknowledged,
        outcome.delivered,
        outcome.longest_start,
        outcome.violations.len()
    );
    Ok(outcome)
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_under_load_break_no_promise() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let outcome = run(&plan(KILLS)).await.unwrap();
    let shown: Vec<String> = outcome
        .violations
        .iter()
        .take(20)
        .map(ToString::to_string)
        .collect();
    assert!(
        shown.is_empty(),
        "{} violations: {shown:#?}",
        outcome.violations.len()
    );
    assert_eq!(outcome.rounds, KILLS);
    assert!(
        outcome.acknowledged > 500,
        "hardly anything was said: {}",
        outcome.acknowledged
    );
    assert!(
        outcome.delivered > 500,
        "hardly anything was heard: {}",
        outcome.delivered
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_at_any_moment_of_its_first_start_starts_again() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_cursus-under-test"));
    let begun = Instant::now();
    NodeProcess::new(program, &folder.path().join("whole"), &[])
        .and_then(|node| node.start())
        .unwrap();
    let whole = begun.elapsed();
    for number in 0..FIRST_STARTS {
        let data = folder.path().join(number.to_string());
        let node = NodeProcess::new(program, &data, &[]).unwrap();
        // The second kill meets what the first one left.
        for at in [number, FIRST_STARTS - number] {
            node.kill_at_start(whole * at / FIRST_STARTS).unwrap();
        }
        let again = node.start().unwrap_or_else(|error| {
            panic!("killed {number}/{FIRST_STARTS} of {whole:?} after its start: {error:#}")
        });
        let (_, in_order) = again.terminate().unwrap();
        assert!(in_order, "{number}");
    }
}

/// Runs with the flaw until the checker sees the violation that is that flaw's mark.
async fn flaw_is_seen(name: &str, is_its_mark: fn(&Violation) -> bool) {
    flaw_is_seen_in(ATTEMPTS, KILLS_WITH_FLAW, name, is_its_mark).await;
}

/// The same of a flaw that does not wait for a kill: nearly always it shows in the first short run, but
/// what people do is chance.
async fn flaw_is_seen_soon(name: &str, is_its_mark: fn(&Violation) -> bool) {
    flaw_is_seen_in(ATTEMPTS, 1, name, is_its_mark).await;
}

async fn flaw_is_seen_in(
    attempts: u64,
    kills: u32,
    name: &str,
    is_its_mark: fn(&Violation) -> bool,
) {
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut seen = Vec::new();
    for attempt in 0..attempts {
        let mut plan = plan(kills);
        plan.seed = plan.seed.wrapping_add(attempt);
        plan.environment
            .push(("CURSUS_FLAW".to_owned(), name.to_owned()));
        plan.lag = LAG_WITH_FLAW;
        match run(&plan).await {
            Ok(outcome) if outcome.violations.iter().any(is_its_mark) => return,
            Ok(outcome) => seen.extend(outcome.violations.iter().take(3).map(ToString::to_string)),
            Err(error) => seen.push(format!("{error:#}")),
        }
    }
    panic!("{name} was not seen in {attempts} runs; what was: {seen:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledging_before_the_log_has_it_is_seen_as_loss() {
    let lost = |v: &Violation| matches!(v, Violation::LostCommand { .. });
    flaw_is_seen("early-acknowledgement", lost).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn forgetting_verdicts_is_seen_as_duplicates() {
    let doubled = |v: &Violation| matches!(v, Violation::DuplicatedCommand { .. });
    flaw_is_seen("no-dedupe", doubled).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_before_rows_is_seen_as_loss_or_another_history() {
    let wrong = |v: &Violation| {
        matches!(
            v,
            Violation::LostCommand { .. } | Violation::Diverged { .. }
        )
    };
    flaw_is_seen("early-checkpoint", wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_mark_is_seen_as_a_mark_that_went_back() {
    let went_back = |v: &Violation| matches!(v, Violation::MarkWentBack { .. });
    flaw_is_seen("dropped-mark", went_back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_out_a_member_who_was_asked_for_is_seen_whatever_the_node_says_of_its_members() {
    let left_out =
        |v: &Violation| matches!(v, Violation::NotListed { user, .. } if user.as_str() == "fay");
    flaw_is_seen_soon("forgotten-member", left_out).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn losing_counters_is_seen_as_wrong_statuses() {
    let wrong = |v: &Violation| matches!(v, Violation::WrongStatus { .. });
    flaw_is_seen_soon("uncounted", wrong).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dropping_a_setting_is_seen_as_settings_that_nobody_chose() {
    let wrong = |v: &Violation| matches!(v, Violation::WrongSettings { .. });
    flaw_is_seen_soon("dropped-setting", wrong).await;
}
