//! Named scenarios of the whole-node simulation, after failures that systems of this kind are known
//! for; the sweep of every single fault; and flaws planted on purpose, each found and shrunk.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests may fail loudly")]

use std::collections::BTreeMap;

use infra_ports::memory::runtime::{ChoiceKey, Choices, Kind, Node};
use infra_testkit::flaws::{ClientFlaw, Flaw};
use infra_testkit::simulation::{
    Act, Composition, Deed, Event, Failure, Keep, Outcome, Plan, Shape, run, shrink, sweep,
};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};

const ADA: usize = 0;
const BOB: usize = 1;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn ada_and_bob() -> ChatId {
    ChatId::direct(&user("ada"), &user("bob")).unwrap()
}

/// The group that ada's phone makes with this action.
fn group(action: usize) -> ChatId {
    let client = ClientId::new(format!("a{action}")).unwrap();
    ChatId::group(&user("ada"), &DeviceId::new("phone").unwrap(), &client)
}

fn holds(plan: &Plan, choices: BTreeMap<ChoiceKey, u32>) -> Outcome {
    let outcome = run(plan, Choices::replayed(plan.seed, choices), Keep::default());
    assert_eq!(outcome.failure, None);
    outcome
}

fn fault(kind: Kind, site: &'static str, node: u8, nth: u32) -> ChoiceKey {
    ChoiceKey {
        kind,
        site,
        node: Node(node),
        nth,
    }
}

#[test]
fn a_resend_across_a_failover_makes_no_second_message() {
    let mut plan = Plan::calm(1);
    plan.shape.composition = Composition::Apart { edges: 2 };
    plan.then(500, Deed::Person(ADA, Act::Send(ada_and_bob())));
    plan.then(3_000, Deed::Rest);
    // Whichever gateway takes it has it in the log, and dies before it can say so.
    let crash = |node| (fault(Kind::Crash, "log.append.after", node, 0), 1);
    let outcome = holds(&plan, BTreeMap::from([crash(2), crash(3)]));
    assert!(outcome.crashes >= 1);
    // Once on each of ada's two devices and on bob's.
    assert_eq!((outcome.acknowledged, outcome.delivered), (1, 3));
}

#[test]
fn a_store_that_is_down_right_after_the_acknowledgement_loses_nothing() {
    for down_at in [500, 502, 510, 530] {
        let mut plan = Plan::calm(2);
        plan.then(100, Deed::Person(BOB, Act::Send(ada_and_bob())));
        plan.then(500, Deed::Person(ADA, Act::Send(ada_and_bob())));
        plan.then(down_at, Deed::World(Event::StoreDown(true)));
        plan.then(700, Deed::World(Event::Kill(0)));
        plan.then(20_000, Deed::World(Event::StoreDown(false)));
        assert_eq!(holds(&plan, BTreeMap::new()).delivered, 6);
    }
}

#[test]
fn a_node_whose_log_takes_nothing_any_more_does_not_stay_so() {
    let mut plan = Plan::calm(3);
    plan.then(500, Deed::Person(ADA, Act::Send(ada_and_bob())));
    plan.then(600, Deed::World(Event::FsyncFails));
    plan.then(700, Deed::Person(BOB, Act::Send(ada_and_bob())));
    assert_eq!(holds(&plan, BTreeMap::new()).delivered, 6);
}

/// Found at first as seed 409019.
#[test]
fn what_a_failed_fsync_left_behind_is_folded_when_the_log_is_opened_again() {
    for nth in 0..6 {
        let mut plan = Plan::calm(3);
        plan.then(500, Deed::Person(ADA, Act::Send(ada_and_bob())));
        plan.then(900, Deed::Person(BOB, Act::Hide(ada_and_bob(), 0)));
        plan.then(910, Deed::World(Event::FsyncFails));
        // Whoever wanted it does not ask again.
        plan.then(911, Deed::Person(BOB, Act::Relaunch));
        let slow = fault(Kind::Delay, "log.append.written", 1, nth);
        holds(&plan, BTreeMap::from([(slow, 20)]));
    }
}

/// Found at first as seed 400934.
#[test]
fn an_app_that_kept_nothing_finds_its_chats_though_nobody_folds_the_inbox_for_a_while() {
    for victim in [0, 1] {
        let mut plan = Plan::calm(9);
        plan.shape.composition = Composition::Shared { whole: 1, folds: 1 };
        plan.shape.partitions = 6;
        plan.shape.writes_late = true;
        let pairs = [("ada", "bob"), ("ada", "cy"), ("bob", "cy")];
        plan.then(500, Deed::World(Event::Kill(victim)));
        for (n, (one, other)) in (0..).zip(pairs) {
            let chat = ChatId::direct(&user(one), &user(other)).unwrap();
            plan.then(600 + n, Deed::Person(BOB, Act::Send(chat.clone())));
            plan.then(610 + n, Deed::Person(ADA, Act::Send(chat)));
        }
        for device in 0..4 {
            plan.then(1_100, Deed::Person(device, Act::Relaunch));
        }
        holds(&plan, BTreeMap::new());
    }
}

/// It tells once more what was told, and is gone before that is durable. Found at first as seed 508156.
#[test]
fn what_a_second_instance_told_and_did_not_live_to_make_durable_is_folded() {
    for (nth, synced) in (0..4).flat_map(|nth| (0..3).map(move |synced| (nth, synced))) {
        let mut plan = Plan::calm(10);
        plan.then(100, Deed::World(Event::Zombie));
        plan.then(500, Deed::Person(ADA, Act::Send(ada_and_bob())));
        plan.then(3_500, Deed::World(Event::ZombieEnds));
        let late = (fault(Kind::Delay, "log.tail.after", 9, nth), 2_000);
        let later = (fault(Kind::Delay, "log.sync.before", 9, synced), 3_000);
        holds(&plan, BTreeMap::from([late, later]));
    }
}

#[test]
fn a_reader_whose_connection_fell_silent_is_not_forgotten() {
    for tail_breaks in [false, true] {
        let mut plan = Plan::calm(4);
        plan.then(500, Deed::Person(BOB, Act::Silence));
        plan.then(600, Deed::Person(ADA, Act::Send(ada_and_bob())));
        plan.then(700, Deed::World(Event::LogDown(tail_breaks)));
        plan.then(9_000, Deed::World(Event::LogDown(false)));
        assert_eq!(holds(&plan, BTreeMap::new()).delivered, 3);
    }
}

#[test]
fn unread_stays_exact_after_a_delete_for_everyone() {
    let mut plan = Plan::calm(5);
    let chat = ada_and_bob();
    for n in 0..4 {
        plan.then(500 + n * 50, Deed::Person(BOB, Act::Send(chat.clone())));
    }
    plan.then(900, Deed::Person(ADA, Act::Read(chat.clone())));
    plan.then(1_000, Deed::Person(BOB, Act::Send(chat.clone())));
    // Read and unread ones: the third, then the last.
    plan.then(1_100, Deed::Person(BOB, Act::Delete(chat.clone(), 2)));
    plan.then(1_150, Deed::Person(BOB, Act::Delete(chat.clone(), 4)));
    plan.then(1_200, Deed::Rest);
    plan.then(200_000, Deed::Person(ADA, Act::Read(chat)));
    assert_eq!(holds(&plan, BTreeMap::new()).acknowledged, 7);
}

#[test]
fn a_member_removed_and_added_again_between_two_deliveries_gets_both_stays() {
    for away in [Act::Doze(20_000), Act::Silence, Act::Cut] {
        let mut plan = Plan::calm(6);
        let made = plan.then(
            300,
            Deed::Person(ADA, Act::Create(vec![user("bob"), user("cy")])),
        );
        let (chat, bob) = (group(made), user("bob"));
        plan.then(500, Deed::Person(BOB, away));
        let acts = [
            Act::Send(chat.clone()),
            Act::Remove(chat.clone(), bob.clone()),
            Act::Send(chat.clone()),
            Act::Add(chat.clone(), bob),
            Act::Send(chat.clone()),
        ];
        for (n, act) in (0..).zip(acts) {
            plan.then(600 + n * 30, Deed::Person(ADA, act));
        }
        // Six entries on three devices; bob does not see the one while he was out.
        assert_eq!(holds(&plan, BTreeMap::new()).delivered, 6 * 4 - 1);
    }
}

#[test]
fn no_single_fault_breaks_a_promise() {
    let mut plan = Plan::calm(7);
    plan.then(300, Deed::Person(ADA, Act::Send(ada_and_bob())));
    plan.then(310, Deed::Person(BOB, Act::Read(ada_and_bob())));
    plan.then(330, Deed::Person(BOB, Act::Send(ada_and_bob())));
    plan.then(2_000, Deed::Rest);
    let (runs, found) = sweep(&plan, 7);
    assert!(found.is_empty(), "{found:#?}");
    assert!(runs > 100, "only {runs} runs: this tests nothing");
}

/// Three people write to each other for a while in a world whose processes share partitions.
fn busy_and_shared(seed: u64, folds: usize) -> Plan {
    let mut plan = Plan::calm(seed);
    plan.shape.composition = Composition::Shared { whole: 1, folds };
    plan.shape.partitions = 6;
    let [with_cy, without_ada] = ["ada", "bob"].map(|name| {
        let chat = ChatId::direct(&user(name), &user("cy"));
        chat.unwrap()
    });
    for n in 0..24 {
        let (writer, chat) = match n % 3 {
            0 => (ADA, ada_and_bob()),
            1 => (ADA, with_cy.clone()),
            _ => (BOB, without_ada.clone()),
        };
        plan.then(500 + n * 120, Deed::Person(writer, Act::Send(chat)));
    }
    plan
}

/// What becomes of it when all goes well: ada has two devices.
const WRITTEN_AND_HAD: (usize, usize) = (24, 8 * 3 + 8 * 3 + 8 * 2);

/// The plan with these things befalling it 400 ms apart.
fn befallen(mut plan: Plan, events: impl IntoIterator<Item = Event>) -> Plan {
    for (n, event) in (0..).zip(events) {
        plan.then(550 + n * 400, Deed::World(event));
    }
    plan.actions.sort_by_key(|action| action.at);
    plan
}

#[test]
fn partitions_that_move_while_people_write_lose_and_double_nothing() {
    let (comes, is_deaf) = (Event::Joins(true), Event::Joins(false));
    let histories = [
        vec![
            comes,
            Event::Leaves,
            comes,
            Event::Leaves,
            comes,
            Event::Leaves,
        ],
        vec![comes, Event::Restart(2), Event::Leaves, Event::Restart(0)],
        vec![
            is_deaf,
            Event::GivenUp,
            Event::ZombieEnds,
            is_deaf,
            Event::GivenUp,
        ],
        vec![Event::GivenUp, comes, Event::GivenUp, Event::GivenUp],
    ];
    for (seed, events) in (20..).zip(histories) {
        let plan = befallen(busy_and_shared(seed, 2), events);
        let outcome = holds(&plan, BTreeMap::new());
        assert_eq!(
            (outcome.acknowledged, outcome.delivered),
            WRITTEN_AND_HAD,
            "{seed}"
        );
    }
}

#[test]
fn what_a_member_had_that_died_without_a_word_is_folded_by_others() {
    for place in 0..3 {
        let plan = befallen(busy_and_shared(30, 2), [Event::Kill(place)]);
        // It does not come back before the others were given what it had.
        let down = BTreeMap::from([(fault(Kind::Effect, "server.down", 0, 0), 4)]);
        let outcome = holds(&plan, down);
        assert_eq!((outcome.acknowledged, outcome.delivered), WRITTEN_AND_HAD);
    }
}

#[test]
fn no_single_fault_breaks_a_promise_where_partitions_are_shared() {
    let mut plan = Plan::calm(8);
    plan.shape.composition = Composition::Shared { whole: 1, folds: 1 };
    plan.then(300, Deed::Person(ADA, Act::Send(ada_and_bob())));
    plan.then(310, Deed::World(Event::Joins(true)));
    plan.then(330, Deed::Person(BOB, Act::Send(ada_and_bob())));
    plan.then(350, Deed::World(Event::Leaves));
    plan.then(2_000, Deed::Rest);
    let (runs, found) = sweep(&plan, 17);
    assert!(found.is_empty(), "{found:#?}");
    assert!(runs > 60, "only {runs} runs: this tests nothing");
}

/// True when something broken says one of these.
fn says(failure: Option<&Failure>, marks: &[&str]) -> bool {
    let Some(Failure::Broken(broken)) = failure else {
        return false;
    };
    let is_one = |what: &String| marks.iter().any(|mark| what.contains(mark));
    broken.iter().any(is_one)
}

/// The seeds that a flaw may take until its own marks show, and the choices and actions that are left
/// of what finds it.
fn finds(flaw: Flaw, seeds: u64, left: usize, marks: &[&str]) {
    let plant = |shape: &mut Shape| shape.flaw = Some(flaw);
    finds_planted(&format!("{flaw:?}"), plant, seeds, left, marks);
}

fn finds_planted(flaw: &str, plant: impl Fn(&mut Shape), seeds: u64, left: usize, marks: &[&str]) {
    let plans = (0..seeds).map(Plan::of);
    finds_in(flaw, plans, plant, left, marks);
}

fn finds_in(
    flaw: &str,
    plans: impl Iterator<Item = Plan>,
    plant: impl Fn(&mut Shape),
    left: usize,
    marks: &[&str],
) {
    let (mut others, mut seeds) = (Vec::new(), 0);
    for mut plan in plans {
        let seed = plan.seed;
        seeds += 1;
        plant(&mut plan.shape);
        let choices = Choices::seeded(seed, plan.shape.chances);
        let outcome = run(&plan, choices, Keep::default());
        if !says(outcome.failure.as_ref(), marks) {
            others.extend(outcome.failure);
            continue;
        }
        let shrunk = shrink(&plan, outcome.made);
        assert!(shrunk.outcome.failure.is_some(), "{flaw}: {shrunk}");
        let size = shrunk.plan.actions.len() + shrunk.choices.len();
        assert!(size <= left, "{flaw}: {size} of {left} are left\n{shrunk}");
        return;
    }
    panic!("{flaw} is not found in {seeds} seeds; what was: {others:#?}");
}

#[test]
fn an_acknowledgement_before_the_log_has_it_is_found() {
    let told = ["the log does not have it", "lost: "];
    finds(Flaw::EarlyAcknowledgement, 3, 3, &told);
}

#[test]
fn a_checkpoint_before_its_rows_is_found() {
    let wrong = ["lost: ", "diverged: ", "is not the fold of the log"];
    finds(Flaw::EarlyCheckpoint, 40, 12, &wrong);
}

#[test]
fn a_mark_that_is_answered_and_not_appended_is_found() {
    finds(Flaw::DroppedMark, 40, 6, &["mark went back"]);
}

#[test]
fn verdicts_that_are_not_remembered_are_found() {
    finds(Flaw::NoDedupe, 60, 12, &["duplicated: "]);
}

#[test]
fn a_client_that_marks_what_its_app_has_not_taken_is_found() {
    let plant = |shape: &mut Shape| shape.client_flaw = Some(ClientFlaw::MarksTooEarly);
    finds_planted("marks too early", plant, 40, 6, &["lost: "]);
}

/// What finds the flaw above is the early mark and not the trust in it: who writes down before they
/// come for more loses nothing by trusting marks.
#[test]
fn a_client_that_trusts_its_marks_loses_nothing_when_they_are_made_in_time() {
    for seed in 0..40 {
        let mut plan = Plan::of(seed);
        plan.shape.client_flaw = Some(ClientFlaw::TrustsMarks);
        plan.shape.writes_late = false;
        let choices = Choices::seeded(seed, plan.shape.chances);
        assert_eq!(
            run(&plan, choices, Keep::default()).failure,
            None,
            "seed {seed}"
        );
    }
}

#[test]
fn a_reader_that_is_never_woken_is_found() {
    finds(
        Flaw::NeverWoken,
        3,
        3,
        &["has not applied all", "settled: false"],
    );
}

#[test]
fn counters_that_are_not_written_are_found() {
    finds(Flaw::Uncounted, 3, 3, &["wrong status: "]);
}

/// True when it fails as it must under the flaw: nobody dies, a process comes and leaves again and
/// again, and all is well without the flaw.
fn finds_when_partitions_come_and_go(flaw: Flaw) {
    let moves = [Event::Joins(true), Event::Leaves];
    let mut plan = befallen(busy_and_shared(40, 0), moves.into_iter().cycle().take(6));
    holds(&plan, BTreeMap::new());
    plan.shape.flaw = Some(flaw);
    let choices = Choices::replayed(plan.seed, BTreeMap::new());
    let outcome = run(&plan, choices, Keep::default());
    let failure = outcome.failure;
    let wrong = [
        "lost: ",
        "duplicated: ",
        "diverged: ",
        "is not the fold of the log",
    ];
    assert!(says(failure.as_ref(), &wrong), "{failure:?}");
    let shrunk = shrink(&plan, outcome.made);
    let left = shrunk.plan.actions.len();
    assert!(shrunk.outcome.failure.is_some() && left <= 8, "{shrunk}");
}

/// What a rebalance must drop: whoever has a partition back goes on from what others made of it.
#[test]
fn states_that_are_kept_while_others_have_the_partition_are_found() {
    finds_when_partitions_come_and_go(Flaw::StatesKept);
}

/// What a rebalance must wait for: who is given a partition finds its checkpoint ahead of its rows.
#[test]
fn a_partition_that_is_let_go_before_its_rows_are_written_is_found() {
    finds_when_partitions_come_and_go(Flaw::EarlyCheckpoint);
}

/// Chance finds it as well.
#[test]
fn states_that_are_kept_are_found_in_worlds_of_chance() {
    let shared = (0..400).map(Plan::of).filter(|plan| plan.shape.is_shared());
    let plant = |shape: &mut Shape| shape.flaw = Some(Flaw::StatesKept);
    let wrong = [
        "lost: ",
        "duplicated: ",
        "diverged: ",
        "is not the fold of the log",
    ];
    finds_in("states kept", shared, plant, 20, &wrong);
}
