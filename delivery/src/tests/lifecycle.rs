//! From coming to going: heartbeats, tokens, shutdown, watches, room.

use std::time::Duration;

use infra_ports::memory::transport::{Received, Socket};
use infra_ports::{Inbound, Runtime, TransportError};
use schemas::errors::{Code, close};
use schemas::events::{UserEvent, VerdictTold};
use schemas::frames::{Frame, decode_frame};
use schemas::ids::{ClientId, DeviceId};
use schemas::position::{Offset, Seq, Timestamp};

use crate::Config;
use crate::testing::*;

/// Tasks that run as long as delivery does: the worker, its look at ends, the answers, the alarms, the
/// desk of marks.
const STANDING: usize = 5;

#[test]
fn a_silent_client_is_pinged_and_then_closed() {
    let mut scene = Scene::new();
    let alive = scene.live("ada/phone");
    let dead = scene.live("ada/tablet");
    scene.wait(31_000);
    assert_eq!(
        alive.0.try_receive(),
        Some(Received::Ping(Default::default()))
    );
    let peer = alive.0.clone();
    scene.run(async move { peer.send_pong().await }).unwrap();
    scene.wait(15_000);
    assert_eq!(close_code(&scene.received(&dead)), Some(close::TIMEOUT));
    assert_eq!(alive.0.try_receive(), None, "its pong was heard");
    scene.tell(1, &message(&chat("d.ada.bob"), "bob", "1"), &["ada"]);
    assert_eq!(seqs(&scene.frames(&alive)), [1]);
}

#[test]
fn a_session_ends_with_its_token() {
    let mut scene = Scene::new();
    let now = scene.executor.runtime(NODE).now();
    *scene.commands.expires_at.lock() = Timestamp(now.0 + 5_000);
    let client = scene.live("ada/phone");
    scene.wait(4_000);
    assert_eq!(client.0.try_receive(), None);
    let received = scene.received(&client);
    assert_eq!(received, []);
    scene.wait(1_000);
    let received = scene.received(&client);
    assert_eq!(close_code(&received), Some(close::UNAUTHORIZED));
    let Received::Text(text) = &received[0] else {
        panic!("{received:?}")
    };
    let frame = decode_frame(text).unwrap().value;
    assert!(matches!(frame, Some(Frame::Error(refusal)) if refusal.code == Code::TokenExpired));
}

#[test]
fn shutdown_sends_everybody_away_with_1012_and_a_hint_in_bounded_time() {
    let mut scene = Scene::new();
    let polite = scene.live("ada/phone");
    let stuck = scene.socket(
        Some("eve/phone"),
        Socket {
            buffer_bytes: 1,
            ..Socket::default()
        },
    );
    scene.wait(100);
    let delivery = scene.delivery.clone();
    let began = scene.executor.elapsed();
    scene.run(async move { delivery.shutdown(Some("wss://b/v1/connect".into())).await });
    assert!(scene.executor.elapsed() - began < Duration::from_secs(5));
    assert!(!scene.delivery.gateway.may_accept());
    let received: Vec<_> = std::iter::from_fn(|| polite.0.try_receive()).collect();
    assert_eq!(close_code(&received), Some(close::RESTART));
    let Received::Text(text) = &received[0] else {
        panic!("{received:?}")
    };
    let Some(Frame::Closing(closing)) = decode_frame(text).unwrap().value else {
        panic!("{text:?}");
    };
    assert_eq!(closing.code, Code::ShuttingDown);
    assert_eq!(closing.reconnect_to.as_deref(), Some("wss://b/v1/connect"));
    assert!(closing.reconnect_after_ms >= 200);
    drop(stuck);
    let late = scene.socket(Some("ada/phone"), Socket::default());
    scene.wait(10);
    let received: Vec<_> = std::iter::from_fn(|| late.0.try_receive()).collect();
    assert_eq!(close_code(&received), Some(close::RESTART));
    scene.wait(5_000);
    assert_eq!(scene.executor.tasks(NODE), 0, "nothing is left running");
}

#[test]
fn a_gateway_takes_as_many_sockets_as_it_may() {
    let mut scene = Scene::with(Config {
        max_sessions: 2,
        ..Config::default()
    });
    assert!(scene.delivery.gateway.may_accept());
    let one = scene.live("ada/phone");
    let two = scene.live("eve/phone");
    assert!(!scene.delivery.gateway.may_accept());
    let three = scene.socket(Some("bob/phone"), Socket::default());
    assert_eq!(close_code(&scene.received(&three)), Some(close::TRY_LATER));
    drop((one, three));
    scene.wait(100);
    assert!(
        scene.delivery.gateway.may_accept(),
        "a peer that went left room"
    );
    drop(two);
}

#[test]
fn a_user_has_as_many_sessions_as_they_may_and_gets_their_places_back() {
    let mut scene = Scene::with(Config {
        sessions_per_user: 2,
        ..Config::default()
    });
    let one = scene.live("ada/phone");
    let two = scene.live("ada/tablet");
    let three = scene.socket(Some("ada/phone"), Socket::default());
    let received = scene.received(&three);
    assert_eq!(close_code(&received), Some(close::TRY_LATER));
    let _bob = scene.live("bob/phone");
    drop(one);
    scene.wait(100);
    let _again = scene.live("ada/phone");
    drop(two);
}

#[test]
fn what_a_stranger_costs_is_held_until_a_valid_hello_or_the_end() {
    let mut scene = Scene::new();
    let held = std::sync::Arc::new(());
    let socket = |scene: &mut Scene, token: Option<&str>| {
        let (reader, writer, peer) = infra_ports::memory::transport::pair(Socket::default());
        let (token, cost) = (token.map(str::to_owned), std::sync::Arc::clone(&held));
        let session = scene
            .delivery
            .gateway
            .serve(reader, writer, token, Some(cost));
        let runtime = scene.executor.runtime(NODE);
        runtime.spawn("session", Box::pin(session));
        scene.wait(100);
        Client(std::sync::Arc::new(peer))
    };
    let count = || std::sync::Arc::strong_count(&held) - 1;
    let _known = socket(&mut scene, Some("ada/phone"));
    assert_eq!(count(), 0, "the handshake said who it is");
    let stranger = socket(&mut scene, None);
    assert_eq!(count(), 1);
    scene.say(&stranger, r#"{"type":"ping"}"#);
    scene.wait(100);
    assert_eq!(count(), 1, "anything but a valid hello changes nothing");
    scene.say(
        &stranger,
        r#"{"type":"hello","data":{"token":"ada/phone"}}"#,
    );
    scene.wait(100);
    assert_eq!(count(), 0);
    let silent = socket(&mut scene, None);
    assert_eq!(count(), 1);
    drop(silent);
    scene.wait(100);
    assert_eq!(count(), 0, "it has left");
}

#[test]
fn a_peer_that_closes_is_answered_and_forgotten() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let peer = client.0.clone();
    scene
        .run(async move { peer.send_close(1000, "bye").await })
        .unwrap();
    let received = scene.received(&client);
    assert_eq!(
        received,
        [Received::Close {
            code: 1000,
            reason: "bye".into()
        }]
    );
    assert_eq!(scene.executor.tasks(NODE), STANDING, "no session's");
}

#[test]
fn a_watch_hears_the_entry_or_the_verdict_of_its_command_only() {
    let mut scene = Scene::new();
    let chat = chat("d.ada.bob");
    let device = DeviceId::new("phone").unwrap();
    let watch = |scene: &Scene, id: &str| {
        scene
            .delivery
            .gateway
            .watch(&user("ada"), &chat, &device, &ClientId::new(id).unwrap())
    };
    let within = Duration::from_secs(5);
    let (first, second, third) = (
        watch(&scene, "m-1"),
        watch(&scene, "m-2"),
        watch(&scene, "m-3"),
    );
    scene.tell(8, &message(&chat, "ada", "m-1"), &["ada", "bob"]);
    scene.append(vec![UserEvent::VerdictTold(VerdictTold {
        recipients: vec![user("ada")],
        chat: chat.clone(),
        device: device.clone(),
        client_id: ClientId::new("m-2").unwrap(),
        seq: None,
        code: Some("group_full".into()),
        origin: Offset(0),
    })]);
    let verdict = scene.run(first.settled(within)).unwrap();
    assert_eq!((verdict.seq, verdict.code), (Some(Seq(8)), None));
    let verdict = scene.run(second.settled(within)).unwrap();
    assert_eq!((verdict.seq, verdict.code), (None, Some(Code::GroupFull)));
    let began = scene.executor.elapsed();
    assert_eq!(scene.run(third.settled(within)), None);
    assert!(scene.executor.elapsed() - began >= within);
}

#[test]
fn an_idle_session_is_small() {
    let scene = Scene::new();
    let (reader, writer, _peer) = infra_ports::memory::transport::pair(Socket::default());
    let gateway = scene.delivery.gateway.gateway_for_tests();
    let session = gateway.open(writer, true);
    let size = size_of_val(&*session);
    let run = crate::gateway::session::run(gateway, session, reader, None, None);
    let size = size + size_of_val(&run);
    assert!(size < 2_048, "a session and its task take {size} bytes");
}

/// A peer that breaks the protocol and, from the moment on at which it should be gone, always has
/// something to say.
struct Flood {
    runtime: std::sync::Arc<dyn Runtime>,
    until: Duration,
    said: u32,
}

#[async_trait::async_trait]
impl infra_ports::FrameReader for Flood {
    async fn next(&mut self) -> Result<Inbound, TransportError> {
        self.said += 1;
        assert!(self.said < 10_000, "it is listened to for ever");
        if self.said == 1 {
            self.until = self.runtime.elapsed() + Config::default().close_within;
            return Err(TransportError::Malformed("flood".into()));
        }
        let quiet = self.until.saturating_sub(self.runtime.elapsed());
        if !quiet.is_zero() {
            self.runtime.sleep(quiet).await;
        }
        Ok(Inbound::Alive)
    }
}

#[test]
fn a_peer_that_never_stops_talking_is_left_when_its_close_took_too_long() {
    let mut scene = Scene::new();
    let (_, writer, peer) = infra_ports::memory::transport::pair(Socket::default());
    let runtime = std::sync::Arc::new(scene.executor.runtime(NODE));
    let flood = Flood {
        runtime: std::sync::Arc::clone(&runtime) as _,
        until: Duration::ZERO,
        said: 0,
    };
    let session = scene
        .delivery
        .gateway
        .serve(Box::new(flood), writer, None, None);
    runtime.spawn("session", Box::pin(session));
    scene.wait(3_000);
    let received: Vec<_> = std::iter::from_fn(|| peer.try_receive()).collect();
    assert_eq!(close_code(&received), Some(close::PROTOCOL));
    assert!(scene.executor.panics().is_empty());
    assert_eq!(scene.executor.tasks(NODE), STANDING, "no session's");
}

#[test]
fn when_the_log_ends_clients_are_sent_away() {
    let mut scene = Scene::new();
    let client = scene.live("ada/phone");
    let log = scene.log.clone();
    log.crash();
    assert_eq!(close_code(&scene.received(&client)), Some(close::RESTART));
    assert!(!scene.delivery.gateway.may_accept());
}

/// A peer whose first word breaks whoever reads it.
struct Breaks;

#[async_trait::async_trait]
impl infra_ports::FrameReader for Breaks {
    async fn next(&mut self) -> Result<Inbound, TransportError> {
        panic!("by choice");
    }
}

#[test]
fn a_session_that_a_defect_ends_is_closed_with_1011_and_others_go_on() {
    let mut scene = Scene::new();
    let other = scene.live("bob/phone");
    let (_, writer, peer) = infra_ports::memory::transport::pair(Socket::default());
    let gateway = &scene.delivery.gateway;
    let session = gateway.serve(Box::new(Breaks), writer, Some("ada/phone".into()), None);
    let runtime = scene.executor.runtime(NODE);
    runtime.spawn("session", Box::pin(session));
    scene.wait(100);
    let received: Vec<_> = std::iter::from_fn(|| peer.try_receive()).collect();
    assert_eq!(close_code(&received), Some(close::INTERNAL));
    assert_eq!(scene.executor.panics().len(), 1);
    assert_eq!(scene.executor.tasks(NODE), STANDING + 1, "only the other's");
    scene.tell(1, &message(&chat("d.ada.bob"), "ada", "1"), &["bob"]);
    assert_eq!(seqs(&scene.frames(&other)), [1]);
}
