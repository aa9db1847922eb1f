//! A router over workers that the test plays: who is subscribed where, and what each worker says of how
//! far it has got.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use infra_ports::link::{Deliveries, Link, Subscribed, SubscriberId, Subscribing, Told};
use infra_ports::memory::{Chances, Executor, Halt, Node};
use infra_ports::registry::{Fence, Lease, NodeName};
use infra_ports::{Runtime, link::LinkGone};
use parking_lot::Mutex;
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};
use schemas::topics::partition_of;
use tokio::sync::oneshot;

use super::{Dial, Reached, Router, Sharing};

const PARTITIONS: u32 = 16;
const SHARING: Sharing = Sharing::plain(PARTITIONS);

#[derive(Default)]
struct State {
    users: BTreeMap<UserId, SubscriberId>,
    next: u64,
    /// Questions are not answered while it is held.
    held: Option<Vec<(Subscribed, oneshot::Sender<Subscribed>)>>,
}

/// A worker as its link shows it.
struct Worker {
    state: Mutex<State>,
    deliveries: Arc<dyn Deliveries>,
    reached: Reached,
}

impl Link for Worker {
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribing {
        let mut state = self.state.lock();
        state.users.insert(user.clone(), subscriber);
        let subscribed = Subscribed {
            partition: home(user),
            from: Offset(state.next),
        };
        let Some(held) = &mut state.held else {
            return Subscribing::done(subscribed);
        };
        let (tell, told) = oneshot::channel();
        held.push((subscribed, tell));
        Subscribing::later(told)
    }

    fn unsubscribe(&self, user: &UserId) {
        self.state.lock().users.remove(user);
    }

    fn subscribers(&self) -> usize {
        self.state.lock().users.len()
    }
}

/// Their workers, by name. One whose name begins with `over` has ended, and says so when it is linked to.
#[derive(Clone, Default)]
struct Workers(Arc<Mutex<BTreeMap<String, Arc<Worker>>>>);

impl Dial for Workers {
    fn dial(
        &self,
        worker: &Lease,
        deliveries: Arc<dyn Deliveries>,
        reached: Reached,
    ) -> Option<Arc<dyn Link>> {
        let link = Arc::new(Worker {
            state: Mutex::default(),
            deliveries,
            reached,
        });
        let name = worker.name.to_string();
        if name.starts_with("over") {
            (link.reached)(true);
            link.deliveries.ended();
        }
        self.0.lock().insert(name, Arc::clone(&link));
        Some(link)
    }
}

impl Workers {
    fn one(&self, name: &str) -> Arc<Worker> {
        Arc::clone(&self.0.lock()[name])
    }

    fn reach(&self, name: &str, up: bool) {
        (self.one(name).reached)(up);
    }

    fn hold(&self, name: &str) {
        self.one(name).state.lock().held = Some(Vec::new());
    }

    fn answer(&self, name: &str) {
        let held = self.one(name).state.lock().held.take();
        for (subscribed, tell) in held.unwrap_or_default() {
            tell.send(subscribed).ok();
        }
    }

    fn users(&self, name: &str) -> usize {
        self.one(name).subscribers()
    }

    fn is_at(&self, name: &str, next: u64) {
        self.one(name).state.lock().next = next;
    }
}

/// A gateway that notes what is detached.
#[derive(Default)]
struct Gateway {
    detached: Mutex<Vec<Partition>>,
    ended: Mutex<bool>,
}

impl Deliveries for Gateway {
    fn deliver(&self, _batch: Vec<Told>) {}

    fn detached(&self, partitions: &[Partition]) {
        self.detached.lock().extend(partitions);
    }

    fn ended(&self) {
        *self.ended.lock() = true;
    }
}

struct Scene {
    executor: Executor,
    workers: Workers,
    gateway: Arc<Gateway>,
    router: Router,
}

fn home(user: &UserId) -> Partition {
    partition_of(user.as_str().as_bytes(), PARTITIONS)
}

fn user(n: u64) -> UserId {
    UserId::new(format!("u{n}")).unwrap()
}

fn lease(name: &str) -> Lease {
    Lease {
        name: NodeName::new(name).unwrap(),
        fence: Fence(1),
        detail: "here".to_owned(),
    }
}

impl Scene {
    /// A router with these workers reached and a hundred users.
    fn new(names: &[&str]) -> Self {
        let executor = Executor::seeded(1, Chances::CALM);
        let runtime: Arc<dyn Runtime> = Arc::new(executor.runtime(Node(1)));
        let (workers, gateway) = (Workers::default(), Arc::new(Gateway::default()));
        let dial = Box::new(workers.clone());
        let deliveries: Arc<dyn Deliveries> = gateway.clone();
        let router = Router::new(SHARING, Arc::clone(&runtime), dial, &deliveries);
        drop(deliveries);
        runtime.spawn("router", Box::pin(router.clone().run()));
        let mut scene = Self {
            executor,
            workers,
            gateway,
            router,
        };
        scene.know(names);
        names
            .iter()
            .for_each(|name| scene.workers.reach(name, true));
        for n in 0..100 {
            drop(scene.router.subscribe(&user(n), SubscriberId(n)));
        }
        scene.settle();
        // What moved at the start has been left long since.
        (0..2).for_each(|_| scene.know(names));
        scene
    }

    fn know(&mut self, names: &[&str]) {
        let members: Vec<_> = names.iter().map(|name| lease(name)).collect();
        self.router.workers(&members);
    }

    fn settle(&mut self) {
        assert_eq!(self.executor.run_until(|| false), Halt::Idle);
    }

    /// Lets so many milliseconds pass.
    fn wait(&mut self, ms: u64) {
        let halt = self.executor.run_for(Duration::from_millis(ms));
        assert_eq!(halt, Halt::Done);
    }

    fn detached(&self) -> Vec<Partition> {
        let mut detached = self.gateway.detached.lock().clone();
        detached.sort_unstable();
        detached.dedup();
        detached
    }

    fn homes(&self, name: &str) -> Vec<Partition> {
        let worker = self.workers.one(name);
        let mut homes: Vec<_> = worker.state.lock().users.keys().map(home).collect();
        homes.sort_unstable();
        homes.dedup();
        homes
    }
}

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
