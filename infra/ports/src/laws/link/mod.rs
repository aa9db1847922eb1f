//! The laws of the link: what everything keeps that carries it.
//!
//! They hold while nothing breaks; what follows from a broken connection is tested where there is one.
#![expect(clippy::unwrap_used, reason = "a law that is broken fails loudly")]

mod feed;

pub use feed::{Got, LawFeed, LawGateway};

use std::sync::Arc;

use async_trait::async_trait;
use schemas::ids::UserId;
use schemas::position::Offset;

use crate::link::{Deliveries, Feed, Link, SubscriberId};

/// A place where gateways can be linked to a worker.
#[async_trait]
pub trait LinkPlace: Send + Sync {
    /// Links a gateway to a worker; all calls of a place name the same one.
    async fn connect(&self, feed: Arc<dyn Feed>, deliveries: Arc<dyn Deliveries>) -> Arc<dyn Link>;

    /// Lets others get on.
    async fn pause(&self);
}

/// Runs all laws, each on a fresh place.
///
/// # Panics
/// When a law is broken.
pub async fn run<P: LinkPlace>(fresh: impl AsyncFn() -> P) {
    a_subscriber_gets_every_record_from_its_offset_on_in_order(&fresh().await).await;
    who_has_unsubscribed_gets_nothing_that_comes_later(&fresh().await).await;
    each_gateway_gets_what_is_its_own(&fresh().await).await;
    ten_thousand_subscribe_at_once(&fresh().await).await;
    what_a_worker_says_of_its_partitions_arrives(&fresh().await).await;
}

fn user(n: u64) -> UserId {
    UserId::new(format!("u{n}")).unwrap()
}

fn scene() -> (Arc<LawFeed>, Arc<LawGateway>) {
    (Arc::default(), Arc::default())
}

async fn until(place: &impl LinkPlace, condition: impl Fn() -> bool) {
    while !condition() {
        place.pause().await;
    }
}

async fn a_subscriber_gets_every_record_from_its_offset_on_in_order(place: &impl LinkPlace) {
    let (feed, gateway) = scene();
    let link = place.connect(feed.clone(), gateway.clone()).await;
    let (ada, id) = (user(1), SubscriberId(7));
    feed.tell(&ada);
    let subscribed = link.subscribe(&ada, id).await.unwrap();
    assert_eq!(subscribed.from, Offset(1));
    for count in [1, 3, 500, 1] {
        feed.tell_many(&ada, count);
        let again = link.subscribe(&ada, id).await.unwrap();
        assert_eq!(again.from, feed.next(), "from where it is now");
    }
    let last = feed.next().0;
    until(place, || gateway.got().len() as u64 == last - 1).await;
    let expected: Vec<_> = (1..last).map(|n| Got::Record(id, Offset(n))).collect();
    assert_eq!(gateway.got(), expected, "each once and in order");
}

async fn who_has_unsubscribed_gets_nothing_that_comes_later(place: &impl LinkPlace) {
    let (feed, gateway) = scene();
    let link = place.connect(feed.clone(), gateway.clone()).await;
    let (ada, bob) = (user(1), user(2));
    link.subscribe(&ada, SubscriberId(1)).await.unwrap();
    link.unsubscribe(&ada);
    // Its answer says that what was asked for before has taken effect too.
    link.subscribe(&bob, SubscriberId(2)).await.unwrap();
    assert_eq!(link.subscribers(), 1);
    feed.tell(&ada);
    feed.tell(&bob);
    until(place, || !gateway.got().is_empty()).await;
    assert_eq!(gateway.got(), [Got::Record(SubscriberId(2), Offset(1))]);
}

async fn each_gateway_gets_what_is_its_own(place: &impl LinkPlace) {
    let (feed, one) = scene();
    let other = Arc::new(LawGateway::default());
    let first = place.connect(feed.clone(), one.clone()).await;
    let second = place.connect(feed.clone(), other.clone()).await;
    let (ada, bob) = (user(1), user(2));
    first.subscribe(&ada, SubscriberId(1)).await.unwrap();
    second.subscribe(&ada, SubscriberId(5)).await.unwrap();
    second.subscribe(&bob, SubscriberId(6)).await.unwrap();
    feed.tell(&ada);
    feed.tell(&bob);
    until(place, || one.got().len() == 1 && other.got().len() == 2).await;
    assert_eq!(one.got(), [Got::Record(SubscriberId(1), Offset(0))]);
    let expected = [(5, 0), (6, 1)].map(|(id, at)| Got::Record(SubscriberId(id), Offset(at)));
    assert_eq!(other.got(), expected);
    drop(first);
    until(place, || feed.gateways() == 1).await;
    assert_eq!(
        feed.subscriptions(),
        2,
        "a gateway that is gone leaves nothing behind"
    );
}

async fn ten_thousand_subscribe_at_once(place: &impl LinkPlace) {
    let (feed, gateway) = scene();
    let link = place.connect(feed.clone(), gateway.clone()).await;
    let asked: Vec<_> = (0..10_000)
        .map(|n| link.subscribe(&user(n), SubscriberId(n)))
        .collect();
    for answer in asked {
        answer.await.unwrap();
    }
    assert_eq!((link.subscribers(), feed.subscriptions()), (10_000, 10_000));
    for n in 0..10_000 {
        feed.tell(&user(n));
    }
    until(place, || gateway.got().len() == 10_000).await;
    let expected: Vec<_> = (0..10_000)
        .map(|n| Got::Record(SubscriberId(n), Offset(n)))
        .collect();
    assert_eq!(gateway.got(), expected);
    (0..10_000).for_each(|n| link.unsubscribe(&user(n)));
    until(place, || feed.subscriptions() == 0).await;
}

async fn what_a_worker_says_of_its_partitions_arrives(place: &impl LinkPlace) {
    let (feed, gateway) = scene();
    let link = place.connect(feed.clone(), gateway.clone()).await;
    let (ada, id) = (user(1), SubscriberId(1));
    let subscribed = link.subscribe(&ada, id).await.unwrap();
    feed.tell(&ada);
    feed.each(|gateway| gateway.detached(&[subscribed.partition]));
    feed.tell(&ada);
    feed.each(Deliveries::ended);
    until(place, || gateway.got().len() == 4).await;
    let record = |n| Got::Record(id, Offset(n));
    assert_eq!(
        gateway.got(),
        [record(0), Got::Detached, record(1), Got::Ended]
    );
}
