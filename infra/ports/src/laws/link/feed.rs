//! A worker and a gateway as the laws play them: a feed whose records are numbered, and deliveries that
//! write down what they get.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::{MarkKind, MarkTold, UserEvent};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq};

use crate::link::{Deliveries, Feed, GatewayId, Subscribed, SubscriberId, Told};

struct Attached {
    deliveries: Arc<dyn Deliveries>,
    users: BTreeMap<UserId, SubscriberId>,
}

#[derive(Default)]
struct State {
    gateways: BTreeMap<GatewayId, Attached>,
    attached: u64,
    next: u64,
}

/// A worker with one partition, whose records are handed out when the law says so.
#[derive(Default)]
pub struct LawFeed {
    state: Mutex<State>,
}

/// The record of an offset, to one user.
fn told(user: &UserId, offset: u64) -> UserEvent {
    UserEvent::MarkTold(MarkTold {
        recipients: vec![user.clone()],
        chat: ChatId::new("d.ada.bob").unwrap(),
        device: DeviceId::new("phone").unwrap(),
        kind: MarkKind::Read,
        seq: Seq(offset),
        ordinal: Ordinal(0),
        origin: Offset(0),
    })
}

impl LawFeed {
    /// Hands out the next record, to this user, as a batch of its own.
    ///
    /// # Panics
    /// As [`tell_many`](Self::tell_many).
    pub fn tell(&self, user: &UserId) {
        self.tell_many(user, 1);
    }

    /// Hands out the next records, to this user, as one batch.
    ///
    /// # Panics
    /// When a record cannot be encoded, which is a defect.
    pub fn tell_many(&self, user: &UserId, count: u64) {
        let mut state = self.state.lock();
        let from = state.next;
        state.next += count;
        let events: Vec<(Arc<UserEvent>, Bytes)> = (from..state.next)
            .map(|offset| told(user, offset))
            .map(|event| (event.encode().unwrap(), event))
            .map(|(record, event)| (Arc::new(event), record))
            .collect();
        // Under the lock, as batches of a worker follow one another.
        for gateway in state.gateways.values() {
            let Some(subscriber) = gateway.users.get(user) else {
                continue;
            };
            let batch = events.iter().map(|(event, record)| Told {
                to: vec![*subscriber],
                event: Arc::clone(event),
                record: record.clone(),
            });
            gateway.deliveries.deliver(batch.collect());
        }
    }

    /// The offset of the next record.
    pub fn next(&self) -> Offset {
        Offset(self.state.lock().next)
    }

    /// Subscriptions of all gateways.
    pub fn subscriptions(&self) -> usize {
        let state = self.state.lock();
        state.gateways.values().map(|one| one.users.len()).sum()
    }

    /// Gateways that are attached.
    pub fn gateways(&self) -> usize {
        self.state.lock().gateways.len()
    }

    /// Does something with the deliveries of all gateways.
    pub fn each(&self, act: impl Fn(&dyn Deliveries)) {
        let state = self.state.lock();
        state
            .gateways
            .values()
            .for_each(|one| act(&*one.deliveries));
    }
}

impl Feed for LawFeed {
    fn attach(&self, deliveries: Arc<dyn Deliveries>) -> GatewayId {
        let mut state = self.state.lock();
        state.attached += 1;
        let (id, users) = (GatewayId(state.attached), BTreeMap::new());
        state.gateways.insert(id, Attached { deliveries, users });
        id
    }

    fn subscribe(&self, gateway: GatewayId, user: &UserId, subscriber: SubscriberId) -> Subscribed {
        let mut state = self.state.lock();
        if let Some(gateway) = state.gateways.get_mut(&gateway) {
            gateway.users.insert(user.clone(), subscriber);
        }
        Subscribed {
            partition: Partition(0),
            from: Offset(state.next),
        }
    }

    fn unsubscribe(&self, gateway: GatewayId, user: &UserId) {
        if let Some(gateway) = self.state.lock().gateways.get_mut(&gateway) {
            gateway.users.remove(user);
        }
    }

    fn subscribers(&self, gateway: GatewayId) -> usize {
        let state = self.state.lock();
        state
            .gateways
            .get(&gateway)
            .map_or(0, |one| one.users.len())
    }

    fn leave(&self, gateway: GatewayId) {
        self.state.lock().gateways.remove(&gateway);
    }
}

/// What a gateway got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Got {
    /// The record of an offset.
    Record(SubscriberId, Offset),
    /// The partitions begin anew.
    Detached,
    /// Nothing follows.
    Ended,
}

/// A gateway that writes down what it gets.
#[derive(Default)]
pub struct LawGateway {
    got: Mutex<Vec<Got>>,
}

impl LawGateway {
    /// All it got, in order.
    pub fn got(&self) -> Vec<Got> {
        self.got.lock().clone()
    }
}

impl Deliveries for LawGateway {
    fn deliver(&self, batch: Vec<Told>) {
        let mut got = self.got.lock();
        for told in batch {
            let UserEvent::MarkTold(event) = &*told.event else {
                panic!("not told by the law's feed");
            };
            let read = UserEvent::decode(&told.record).unwrap();
            assert_eq!(read, *told.event, "the record is the event's");
            let offset = Offset(event.seq.0);
            got.extend(told.to.iter().map(|to| Got::Record(*to, offset)));
        }
    }

    fn detached(&self, partitions: &[Partition]) {
        assert_eq!(partitions, [Partition(0)]);
        self.got.lock().push(Got::Detached);
    }

    fn ended(&self) {
        self.got.lock().push(Got::Ended);
    }
}
