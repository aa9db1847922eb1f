//! The laws of the link over TCP, and what follows from connections that break, overflow or are refused.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::laws::link::{Got, LawFeed, LawGateway, LinkPlace};
use infra_ports::link::{Deliveries, Feed, Link, SubscriberId, Told};
use infra_ports::registry::NodeName;
use parking_lot::Mutex;
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};
use tokio::io::{AsyncReadExt, copy_bidirectional};

use crate::hello::{self, Known};
use crate::{Config, LinkServer, Secret, State, TcpLink, wire};

const LONG: Duration = Duration::from_secs(60);

fn secret() -> Secret {
    Secret::new(b"known to workers and gateways").unwrap()
}

fn user(n: u64) -> UserId {
    UserId::new(format!("u{n}")).unwrap()
}

/// Times that a slow machine does not break, but for those that a test waits for.
fn patient() -> Config {
    Config {
        silent_for: LONG,
        hello_within: LONG,
        ..Config::default()
    }
}

fn serve_at(at: SocketAddr, feed: &Arc<LawFeed>, config: Config) -> LinkServer {
    let listener = TcpListener::bind(at).unwrap();
    LinkServer::start(listener, Arc::clone(feed) as _, secret(), config).unwrap()
}

fn serve(feed: &Arc<LawFeed>, config: Config) -> LinkServer {
    serve_at(SocketAddr::from(([127, 0, 0, 1], 0)), feed, config)
}

fn link(server: SocketAddr, deliveries: Arc<dyn Deliveries>, config: Config) -> TcpLink {
    let name = NodeName::new("g1").unwrap();
    TcpLink::start(&server.to_string(), name, secret(), config, deliveries).unwrap()
}

/// Waits for a condition, for a minute at most.
async fn until(what: &str, condition: impl Fn() -> bool) {
    let holds = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(LONG, holds).await.expect(what);
}

#[derive(Default)]
struct Place(Mutex<Option<LinkServer>>);

#[async_trait]
impl LinkPlace for Place {
    async fn connect(&self, feed: Arc<dyn Feed>, deliveries: Arc<dyn Deliveries>) -> Arc<dyn Link> {
        let address = {
            let mut server = self.0.lock();
            let server = server.get_or_insert_with(|| {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                LinkServer::start(listener, feed, secret(), patient()).unwrap()
            });
            server.address()
        };
        Arc::new(link(address, deliveries, patient()))
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_link_over_tcp_keeps_the_laws() {
    let laws = infra_ports::laws::link::run(async || Place::default());
    tokio::time::timeout(LONG, laws).await.expect("they end");
}

/// Records in order, each once, but that those may be left out which came around a detachment.
fn assert_nothing_is_lost_without_a_word(got: &[Got], from: u64, to: u64) {
    let mut next = from;
    let mut detached = false;
    for one in got {
        match one {
            Got::Record(_, Offset(at)) => {
                assert!(*at == next || (detached && *at > next), "{at} after {next}");
                (next, detached) = (at + 1, false);
            }
            Got::Detached => detached = true,
            Got::Ended => panic!("the worker did not end"),
        }
    }
    assert_eq!(next, to);
}

#[tokio::test]
async fn a_worker_that_is_lost_detaches_its_partitions_and_gets_all_subscriptions_again() {
    let (feed, gateway) = (
        Arc::new(LawFeed::default()),
        Arc::new(LawGateway::default()),
    );
    let server = serve(&feed, patient());
    let address = server.address();
    let link = link(address, gateway.clone(), patient());
    for n in 0..10_000 {
        drop(link.subscribe(&user(n), SubscriberId(n)));
    }
    until("subscribed", || feed.subscriptions() == 10_000).await;
    link.subscribe(&user(0), SubscriberId(0)).await.unwrap();
    (0..100).for_each(|n| feed.tell(&user(n)));
    until("told", || gateway.got().len() == 100).await;

    drop(server);
    until("detached", || gateway.got().len() == 101).await;
    until("left", || feed.gateways() == 0).await;
    assert_eq!(link.subscribers(), 0);
    assert!(matches!(link.state(), State::Apart(_)));
    // Told while nobody is reached: that is what those who are detached resume for.
    feed.tell(&user(7));
    link.unsubscribe(&user(8));
    let waits = link.subscribe(&user(7), SubscriberId(7));
    let waits_too = link.subscribe(&user(10_000), SubscriberId(10_000));

    let _server = serve_at(address, &feed, patient());
    assert_eq!(waits.await.unwrap().from, Offset(101));
    assert_eq!(waits_too.await.unwrap().from, Offset(101));
    // All but one, and a new one.
    until("subscribed again", || feed.subscriptions() == 10_000).await;
    assert_eq!(link.subscribers(), 10_000);
    feed.tell(&user(8));
    (9_990..=10_000).for_each(|n| feed.tell(&user(n)));
    until("told", || gateway.got().len() == 112).await;
    let got = gateway.got();
    let detached = got.iter().filter(|one| **one == Got::Detached).count();
    assert_eq!(detached, 1);
    assert_nothing_is_lost_without_a_word(&got, 0, 113);
}

#[tokio::test]
async fn a_gateway_that_is_lost_leaves_its_worker_and_comes_back_as_a_new_one() {
    let feed = Arc::new(LawFeed::default());
    let server = serve(&feed, patient());
    for n in 0..3 {
        let gateway = Arc::new(LawGateway::default());
        let link = link(server.address(), gateway.clone(), patient());
        link.subscribe(&user(1), SubscriberId(n)).await.unwrap();
        feed.tell(&user(1));
        until("told", || !gateway.got().is_empty()).await;
        assert_eq!(gateway.got(), [Got::Record(SubscriberId(n), Offset(n))]);
        drop(link);
        until("left", || feed.gateways() == 0).await;
    }
}

/// A gateway that takes nothing while a test holds its gate.
#[derive(Default)]
struct Slow {
    gateway: LawGateway,
    gate: Mutex<()>,
}

impl Deliveries for Slow {
    fn deliver(&self, batch: Vec<Told>) {
        drop(self.gate.lock());
        self.gateway.deliver(batch);
    }

    fn detached(&self, partitions: &[Partition]) {
        self.gateway.detached(partitions);
    }

    fn ended(&self) {
        self.gateway.ended();
    }
}

#[tokio::test]
async fn a_slow_gateway_is_cut_and_resumes_while_the_others_go_on() {
    let feed = Arc::new(LawFeed::default());
    let config = Config {
        queue_bytes: 256 << 10,
        ..patient()
    };
    let server = serve(&feed, config);
    let (slow, other) = (Arc::new(Slow::default()), Arc::new(LawGateway::default()));
    let slow_link = link(server.address(), slow.clone(), patient());
    let link = link(server.address(), other.clone(), patient());
    let ada = user(1);
    slow_link.subscribe(&ada, SubscriberId(1)).await.unwrap();
    link.subscribe(&ada, SubscriberId(2)).await.unwrap();

    {
        // Only as long as no await: the other gateway takes all it is told, batch by batch.
        let held = slow.gate.lock();
        while feed.gateways() == 2 {
            feed.tell_many(&ada, 1_000);
            let next = feed.next().0;
            while (other.got().len() as u64) < next {
                std::thread::yield_now();
            }
        }
        drop(held);
    }
    until("it comes back", || feed.gateways() == 2).await;
    until("it is detached", || {
        slow.gateway.got().contains(&Got::Detached)
    })
    .await;
    let from = slow_link
        .subscribe(&ada, SubscriberId(1))
        .await
        .unwrap()
        .from;
    feed.tell(&ada);
    let last = Got::Record(SubscriberId(1), from);
    until("it is told again", || {
        slow.gateway.got().last() == Some(&last)
    })
    .await;
    assert_nothing_is_lost_without_a_word(&slow.gateway.got(), 0, from.0 + 1);

    let expected: Vec<_> = (0..=from.0)
        .map(|n| Got::Record(SubscriberId(2), Offset(n)))
        .collect();
    until("all is told", || other.got().len() == expected.len()).await;
    assert_eq!(
        other.got(),
        expected,
        "the other got all, in order, and was not cut"
    );
}

/// A gateway that panics over the first thing that it is told.
#[derive(Default)]
struct Clumsy {
    gateway: LawGateway,
    fell: AtomicBool,
}

impl Deliveries for Clumsy {
    fn deliver(&self, batch: Vec<Told>) {
        assert!(self.fell.swap(true, Ordering::Relaxed), "a test: a defect");
        self.gateway.deliver(batch);
    }

    fn detached(&self, partitions: &[Partition]) {
        self.gateway.detached(partitions);
    }

    fn ended(&self) {
        self.gateway.ended();
    }
}

#[tokio::test]
async fn a_defect_behind_a_link_ends_the_connection_and_its_users_are_told_so() {
    let (feed, clumsy) = (Arc::new(LawFeed::default()), Arc::new(Clumsy::default()));
    let server = serve(&feed, patient());
    let link = link(server.address(), clumsy.clone(), patient());
    let ada = user(1);
    link.subscribe(&ada, SubscriberId(1)).await.unwrap();
    feed.tell(&ada);
    until("detached", || clumsy.gateway.got() == [Got::Detached]).await;
    let from = link.subscribe(&ada, SubscriberId(1)).await.unwrap().from;
    feed.tell(&ada);
    let told = [Got::Detached, Got::Record(SubscriberId(1), from)];
    until("told", || clumsy.gateway.got() == told).await;
}

#[tokio::test]
async fn an_end_that_falls_silent_is_given_up_and_one_with_nothing_to_say_pings() {
    // A worker that says hello and nothing more: the socket stays open.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let silent = async {
        let (socket, _) = listener.accept().await.unwrap();
        let acceptor = wire::acceptor().unwrap();
        let (mut socket, binding) = wire::accept(socket, &acceptor).await.unwrap();
        let known = Known {
            secret: &secret(),
            versions: &(1..=1),
            binding,
        };
        hello::answer(&mut socket, &known).await.unwrap();
        let mut ping = [0; 5];
        socket.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, [1, 0, 0, 0, 3]);
        // Held until the other end gives up and comes again.
        let again = listener.accept().await.unwrap();
        drop((socket, again));
    };
    let config = Config {
        ping_every: Duration::from_millis(20),
        silent_for: Duration::from_millis(60),
        ..patient()
    };
    let _link = link(address, Arc::new(LawGateway::default()), config);
    tokio::time::timeout(LONG, silent)
        .await
        .expect("it is given up");
}

#[tokio::test]
async fn wrong_secrets_and_versions_are_refused_clearly_and_cost_the_others_nothing() {
    let (feed, gateway) = (
        Arc::new(LawFeed::default()),
        Arc::new(LawGateway::default()),
    );
    let server = serve(&feed, patient());
    let good = link(server.address(), gateway.clone(), patient());
    good.subscribe(&user(1), SubscriberId(1)).await.unwrap();

    let newer = Config {
        versions: 2..=3,
        ..patient()
    };
    let newer = link(server.address(), Arc::new(LawGateway::default()), newer);
    until("refused", || matches!(newer.state(), State::Refused(_))).await;
    let State::Refused(why) = newer.state() else {
        unreachable!("it was refused");
    };
    assert!(why.contains("versions 1 to 1"), "{why}");

    let other = Secret::new(b"known to some other platform").unwrap();
    let name = NodeName::new("g2").unwrap();
    let address = server.address().to_string();
    let told = Arc::new(LawGateway::default());
    let stranger = TcpLink::start(&address, name, other, patient(), told).unwrap();
    until("refused", || matches!(stranger.state(), State::Refused(_))).await;

    let mut socket = std::net::TcpStream::connect(server.address()).unwrap();
    std::io::Write::write_all(&mut socket, &[0xFF; 4_096]).unwrap();
    assert_eq!(feed.gateways(), 1, "none of them was let in");
    feed.tell(&user(1));
    until("told", || gateway.got().len() == 1).await;
    assert_eq!(good.state(), State::Linked(1));
}

/// Takes connections as a worker does, and passes on what is said to the real one as a gateway does.
async fn between(server: SocketAddr) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (acceptor, connector) = (wire::acceptor().unwrap(), wire::connector().unwrap());
    tokio::spawn(async move {
        loop {
            let (taken, _) = listener.accept().await.unwrap();
            let onward = tokio::net::TcpStream::connect(server).await.unwrap();
            let met = tokio::join!(
                wire::accept(taken, &acceptor),
                wire::connect(onward, &connector)
            );
            if let (Ok((mut one, _)), Ok((mut other, _))) = met {
                // Until either hangs up.
                copy_bidirectional(&mut one, &mut other).await.ok();
            }
        }
    });
    address
}

#[tokio::test]
async fn who_stands_between_the_ends_and_passes_everything_on_is_let_in_by_neither() {
    let feed = Arc::new(LawFeed::default());
    let server = serve(&feed, patient());
    let between = between(server.address()).await;
    let gateway = link(between, Arc::new(LawGateway::default()), patient());
    until("refused", || matches!(gateway.state(), State::Refused(_))).await;
    assert_eq!(feed.gateways(), 0);
}
