//! A router over workers that the test plays: who is subscribed where, and what each worker says of how
//! far it has got.

use std::sync::Arc;

use futures_util::FutureExt;
use infra_ports::link::LinkGone;
use infra_ports::link::{Link, SubscriberId};
use infra_ports::memory::Halt;
use schemas::position::{Offset, Partition};

mod scene;

use self::scene::{Scene, home, user};
use super::Sharing;

const PARTITIONS: u32 = 16;
const SHARING: Sharing = Sharing::plain(PARTITIONS);

#[test]
fn users_are_subscribed_where_their_partition_is_and_nowhere_else() {
    let scene = Scene::new(&["a", "b"]);
    let (a, b) = (scene.workers.users("a"), scene.workers.users("b"));
    assert!(a > 10 && b > 10 && a + b == 100, "{a} and {b}");
    assert_eq!(scene.router.subscribers(), 100);
    let (at_a, at_b) = (scene.homes("a"), scene.homes("b"));
    assert!(at_a.iter().all(|partition| !at_b.contains(partition)));
    scene.router.unsubscribe(&user(1));
    assert_eq!(scene.workers.users("a") + scene.workers.users("b"), 99);
    assert!(scene.detached().is_empty());
}

#[test]
fn a_worker_that_comes_gets_its_share_and_the_old_one_is_left_once_it_has_told_what_came_before() {
    let mut scene = Scene::new(&["a"]);
    scene.know(&["a", "b"]);
    scene.settle();
    assert_eq!(scene.workers.users("b"), 0, "it is not reached yet");
    scene.workers.is_at("a", 5);
    scene.workers.is_at("b", 9);
    scene.workers.reach("b", true);
    scene.wait(200);
    let moved = scene.workers.users("b");
    assert!(moved > 10, "{moved}");
    assert_eq!(scene.workers.users("a"), 100, "a owes 5 to 8");
    // Somebody who goes meanwhile goes from both, and who comes is at the new one.
    let (gone, came) = (0..100).map(user).partition::<Vec<_>, _>(|user| {
        scene.homes("b").contains(&home(user)) && *user < self::user(5)
    });
    let (gone, came) = (gone.first().cloned(), came.len());
    assert!(came > 0);
    if let Some(gone) = &gone {
        scene.router.unsubscribe(gone);
    }
    scene.workers.is_at("a", 9);
    scene.settle();
    let left = 100 - usize::from(gone.is_some());
    assert_eq!(scene.workers.users("a") + scene.workers.users("b"), left);
    assert!(scene.detached().is_empty(), "nobody has to resume");
}

#[test]
fn who_comes_while_a_partition_moves_is_known_wherever_its_users_are() {
    let mut scene = Scene::new(&["a"]);
    scene.know(&["a", "b"]);
    scene.workers.is_at("a", 5);
    scene.workers.is_at("b", 9);
    scene.workers.reach("b", true);
    scene.wait(200);
    let moving = scene.homes("b");
    let late = (1_000..)
        .map(user)
        .find(|user| moving.contains(&home(user)));
    let late = late.unwrap();
    drop(scene.router.subscribe(&late, SubscriberId(1_000)));
    assert_eq!(scene.router.subscribers(), 101, "no link lacks anybody");
    let before = scene.workers.users("b");
    scene.workers.is_at("a", 9);
    scene.settle();
    assert_eq!(scene.workers.users("b"), before);
    assert_eq!(scene.workers.users("a") + before, 101, "a is left by all");
}

#[test]
fn the_old_worker_is_left_once_the_new_one_has_read_what_it_told() {
    let mut scene = Scene::new(&["a"]);
    scene.know(&["a", "b"]);
    // Its users are told from 5 on by both, and it has told 5 to 8 when b has read nothing yet.
    scene.workers.is_at("a", 9);
    scene.workers.is_at("b", 5);
    scene.workers.reach("b", true);
    scene.wait(2_000);
    let moving = scene.workers.users("b");
    assert!(moving > 10, "{moving}");
    assert_eq!(
        scene.workers.users("a"),
        100,
        "b would tell 9 only after that"
    );
    scene.workers.is_at("b", 9);
    scene.settle();
    assert_eq!(scene.workers.users("a"), 100 - moving);
    assert!(scene.detached().is_empty());
}

#[test]
fn users_of_a_lost_worker_are_told_so_and_are_subscribed_at_another() {
    let mut scene = Scene::new(&["a", "b", "c"]);
    let lost = scene.homes("b");
    let others = [scene.homes("a"), scene.homes("c")].concat();
    scene.workers.reach("b", false);
    scene.settle();
    let detached = scene.detached();
    assert!(lost.iter().all(|partition| detached.contains(partition)));
    assert!(others.iter().all(|partition| !detached.contains(partition)));
    assert_eq!(scene.workers.users("a") + scene.workers.users("c"), 100);
    assert_eq!(scene.workers.users("b"), 0, "so that nobody waits there");
    scene.workers.reach("b", true);
    scene.settle();
    assert_eq!(scene.homes("b"), lost, "it has them again");
    assert_eq!(scene.detached(), detached);
}

#[test]
fn what_is_asked_while_no_worker_is_reached_is_asked_again_when_one_is() {
    let mut scene = Scene::new(&[]);
    assert_eq!(scene.router.subscribers(), 0);
    let waits = scene.router.subscribe(&user(7), SubscriberId(7));
    scene.know(&["a"]);
    scene.settle();
    scene.workers.is_at("a", 3);
    scene.workers.reach("a", true);
    assert_eq!(waits.now_or_never(), Some(Err(LinkGone)));
    let again = scene.router.subscribe(&user(7), SubscriberId(7));
    let answer = again.now_or_never().unwrap().unwrap();
    assert_eq!(answer.from, Offset(3));
    assert_eq!(scene.router.subscribers(), 100);
    scene.workers.reach("a", false);
    assert_eq!(scene.router.subscribers(), 0);
    assert_eq!(scene.detached().len(), 16, "all of them");
}

#[test]
fn a_worker_that_leaves_in_order_is_left_without_anybody_resuming() {
    let mut scene = Scene::new(&["a", "b"]);
    let moved = scene.homes("a");
    scene.know(&["b"]);
    scene.settle();
    assert_eq!(scene.workers.users("b"), 100);
    assert_eq!(scene.workers.users("a"), 0);
    assert!(scene.detached().is_empty());
    // What a told before it was left may still be under way.
    scene.know(&["b"]);
    assert_eq!(scene.router.reached(), 2);
    let [was_at_a, never] = [moved[0], Partition(999)];
    scene
        .workers
        .one("a")
        .deliveries
        .detached(&[was_at_a, never]);
    assert_eq!(scene.detached(), [was_at_a], "it tells of it for now");
    scene.know(&["b"]);
    assert_eq!(scene.router.reached(), 1, "its link is let go");
    scene.gateway.detached.lock().clear();
    scene.workers.one("a").deliveries.detached(&[was_at_a]);
    assert!(scene.detached().is_empty(), "it is b's alone now");
    // The last one has them for as long as it is there.
    scene.know(&[]);
    scene.settle();
    assert_eq!(scene.workers.users("b"), 100);
}

#[test]
fn a_new_worker_that_is_lost_in_mid_move_leaves_nobody_behind() {
    let mut scene = Scene::new(&["a"]);
    scene.know(&["a", "b"]);
    scene.workers.hold("b");
    scene.workers.reach("b", true);
    scene.wait(200);
    let moving = scene.workers.users("b");
    assert!(moving > 10 && scene.workers.users("a") == 100);
    scene.workers.reach("b", false);
    scene.workers.answer("b");
    scene.settle();
    assert_eq!(scene.workers.users("a"), 100);
    assert_eq!(scene.router.subscribers(), 100);
    assert!(!scene.detached().is_empty());
    scene.workers.reach("b", true);
    scene.settle();
    assert_eq!(scene.workers.users("b"), moving);
    assert_eq!(scene.workers.users("a"), 100 - moving);
}

#[test]
fn a_worker_that_has_ended_gets_no_partition_though_it_is_linked_to() {
    let mut scene = Scene::new(&["a"]);
    scene.know(&["a", "over"]);
    scene.settle();
    let both = [scene.workers.users("a"), scene.workers.users("over")];
    assert_eq!(both, [100, 0]);
    assert_eq!(scene.router.reached(), 1);
}

#[test]
fn a_worker_that_never_answers_holds_up_no_move_and_is_linked_to_anew() {
    let mut scene = Scene::new(&["a"]);
    scene.know(&["a", "b", "c"]);
    scene.workers.hold("b");
    let dumb = scene.workers.one("b");
    scene.workers.reach("b", true);
    scene.wait(200);
    // Comes in the middle of the move that ends with nothing.
    scene.workers.reach("c", true);
    scene.wait(1_000);
    assert_eq!(
        scene.workers.users("a"),
        100,
        "b has not said from where on"
    );
    scene.settle();
    assert_eq!(dumb.subscribers(), 0);
    let [a, c] = ["a", "c"].map(|name| scene.workers.users(name));
    assert!(a > 10 && c > 10 && a + c == 100, "{a} and {c}");
    assert_eq!(scene.router.reached(), 2);
    assert!(!scene.detached().is_empty(), "what b had resumes");
    (dumb.reached)(true);
    assert_eq!(scene.router.reached(), 2, "that link is gone");
    scene.know(&["a", "b", "c"]);
    scene.workers.reach("b", true);
    scene.settle();
    let all = ["a", "b", "c"].map(|name| scene.workers.users(name));
    assert!(all.iter().all(|users| *users > 10), "{all:?}");
    assert_eq!(all.iter().sum::<usize>(), 100);
    // The one that is left may fall silent as well.
    scene.gateway.detached.lock().clear();
    let silent = scene.homes("c");
    scene.workers.hold("c");
    scene.know(&["a", "b"]);
    scene.settle();
    let detached = scene.detached();
    assert!(silent.iter().all(|partition| detached.contains(partition)));
    assert_eq!(scene.workers.users("a") + scene.workers.users("b"), 100);
}

#[test]
fn what_a_worker_may_not_have_sent_yet_when_it_was_left_is_detached_when_it_is_lost() {
    let mut scene = Scene::new(&["a", "b"]);
    let at_a = scene.homes("a");
    scene.know(&["b"]);
    scene.settle();
    scene.know(&["b"]);
    assert!(scene.detached().is_empty());
    scene.workers.reach("a", false);
    assert_eq!(scene.detached(), at_a);
    assert_eq!(scene.workers.users("b"), 100);
}

#[test]
fn what_a_link_does_not_hold_that_it_should_is_missing_from_the_count() {
    let mut scene = Scene::new(&["a", "b"]);
    let at_b = (0..100)
        .map(user)
        .find(|user| scene.homes("b").contains(&home(user)));
    scene.workers.one("b").unsubscribe(&at_b.unwrap());
    assert_eq!(scene.router.subscribers(), 99);
    // In the middle of a move both are to hold the users; one of them does not make up for the other.
    scene.workers.hold("a");
    scene.know(&["a"]);
    scene.wait(200);
    assert_eq!(scene.router.subscribers(), 99);
    scene.workers.answer("a");
    scene.settle();
    assert_eq!(scene.workers.users("a"), 100);
    assert_eq!(scene.router.subscribers(), 100);
}

#[test]
fn a_router_that_is_closed_lets_everything_go() {
    let mut scene = Scene::new(&["a", "b"]);
    scene.workers.hold("b");
    scene.know(&["b"]);
    scene.wait(200);
    scene.router.close();
    scene.know(&["a", "b"]);
    scene.workers.reach("a", true);
    scene.wait(200);
    assert_eq!(scene.router.reached(), 0);
    let Scene {
        mut executor,
        workers,
        gateway,
        router,
    } = scene;
    let links: Vec<_> = ["a", "b"].map(|name| workers.one(name)).into();
    workers.0.lock().clear();
    assert!(links.iter().all(|link| Arc::strong_count(link) == 1));
    assert_eq!(Arc::strong_count(&gateway), 1);
    let shared = Arc::downgrade(&router.0);
    drop(router);
    assert_eq!(executor.run_until(|| false), Halt::Idle);
    assert_eq!(shared.strong_count(), 0, "its task has ended");
}

#[test]
fn a_worker_that_stalls_costs_nobody_a_resume_where_another_stands_by() {
    let hot = Sharing {
        hot_standby: true,
        ..SHARING
    };
    let mut scene = Scene::with(hot, &["a", "b"]);
    scene.wait(10_000);
    (0..2).for_each(|_| scene.know(&["a", "b"]));
    scene.wait(10_000);
    scene.workers.hold("a");
    // Its lease lapses first, its link falls silent later.
    scene.know(&["b"]);
    scene.wait(1_000);
    scene.workers.reach("a", false);
    scene.wait(1_000);
    assert!(scene.detached().is_empty(), "b has told them everything");
    assert_eq!(scene.workers.users("b"), 100);
}

#[test]
fn one_worker_that_ends_is_not_the_end_of_all() {
    let mut scene = Scene::new(&["a", "b"]);
    scene.workers.one("a").deliveries.ended();
    scene.settle();
    assert!(!*scene.gateway.ended.lock());
    assert_eq!(scene.workers.users("b"), 100);
    let [mine, other] = [scene.homes("b")[0], Partition(999)];
    scene.gateway.detached.lock().clear();
    scene.workers.one("a").deliveries.detached(&[mine]);
    assert!(
        scene.detached().is_empty(),
        "it has nothing to say of those"
    );
    scene.workers.one("b").deliveries.detached(&[mine, other]);
    assert_eq!(scene.detached(), [mine]);
}
