//! Who is subscribed, which partitions are read for them, and up to where each was handed out: one lock
//! for all, so that a new subscriber's offset says exactly which records it will get.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::link::{Deliveries, Feed, GatewayId, Subscribed, SubscriberId, Told};
use parking_lot::Mutex;
use schemas::events::UserEvent;
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};
use schemas::topics::partition_of;
use tokio::sync::Notify;

use super::partitions::{Partitions, Turn};

/// Where a user is subscribed: as good as always at one gateway.
enum Places {
    One(GatewayId, SubscriberId),
    Many(Vec<(GatewayId, SubscriberId)>),
}

impl Places {
    fn all(&self) -> Vec<(GatewayId, SubscriberId)> {
        match self {
            Self::One(gateway, subscriber) => vec![(*gateway, *subscriber)],
            Self::Many(places) => places.clone(),
        }
    }

    /// Calls for each place.
    fn each(&self, mut act: impl FnMut(GatewayId, SubscriberId)) {
        match self {
            Self::One(gateway, subscriber) => act(*gateway, *subscriber),
            Self::Many(places) => places.iter().for_each(|(one, other)| act(*one, *other)),
        }
    }

    /// Those places; none when there is none.
    fn of(places: &[(GatewayId, SubscriberId)]) -> Option<Self> {
        match places {
            [] => None,
            [(gateway, subscriber)] => Some(Self::One(*gateway, *subscriber)),
            places => Some(Self::Many(places.to_vec())),
        }
    }
}

/// A gateway that is told.
struct Attached {
    deliveries: Arc<dyn Deliveries>,
    /// How many users it has subscribed.
    users: usize,
}

struct Table {
    /// Walked only to forget a gateway; its order is of no account.
    users: HashMap<UserId, Places, ahash::RandomState>,
    gateways: BTreeMap<GatewayId, Attached>,
    attached: u64,
    /// Those that are read, and how far.
    read: Partitions,
    /// Nothing is handed out any more.
    ended: bool,
}

/// The worker's subscriptions.
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
    partitions: u32,
    /// Rings when the tail is to turn.
    turns: Notify,
}

impl Subscriptions {
    /// Nobody is subscribed yet; partitions end there.
    pub(crate) fn new(ends: Vec<Offset>) -> Self {
        let partitions = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let table = Table {
            users: HashMap::default(),
            gateways: BTreeMap::new(),
            attached: 0,
            read: Partitions::new(ends),
            ended: false,
        };
        Self {
            table: Mutex::new(table),
            partitions,
            turns: Notify::new(),
        }
    }

    /// All gateways, to be told something that concerns each.
    pub(crate) fn gateways(&self) -> Vec<Arc<dyn Deliveries>> {
        let table = self.table.lock();
        let each = table.gateways.values();
        each.map(|gateway| Arc::clone(&gateway.deliveries))
            .collect()
    }

    /// Nothing is delivered any more: all gateways hear so and are let go.
    pub(crate) fn end(&self) {
        let gateways = {
            let mut table = self.table.lock();
            table.users.clear();
            table.ended = true;
            std::mem::take(&mut table.gateways)
        };
        gateways.values().for_each(|one| one.deliveries.ended());
    }

    /// True once nothing is delivered any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.table.lock().ended
    }

    /// How many users are subscribed.
    pub(crate) fn users(&self) -> usize {
        self.table.lock().users.len()
    }

    /// Picks out what concerns subscribers, by gateway, and notes how far each partition has come.
    /// Events are in log order within a partition.
    pub(crate) fn pick(
        &self,
        events: Vec<(Arc<UserEvent>, Bytes)>,
        next: &[(Partition, Offset)],
    ) -> Vec<(Arc<dyn Deliveries>, Vec<Told>)> {
        let mut table = self.table.lock();
        let mut told: BTreeMap<GatewayId, Vec<Told>> = BTreeMap::new();
        for (event, record) in &events {
            for user in event.recipients() {
                let Some(places) = table.users.get(user) else {
                    continue;
                };
                places.each(|gateway, subscriber| {
                    let told = told.entry(gateway).or_default();
                    match told.last_mut() {
                        Some(last) if Arc::ptr_eq(&last.event, event) => last.to.push(subscriber),
                        _ => told.push(Told {
                            to: vec![subscriber],
                            event: Arc::clone(event),
                            record: record.clone(),
                        }),
                    }
                });
            }
        }
        for (partition, offset) in next {
            table.read.reached(*partition, *offset);
        }
        let told = told.into_iter().filter_map(|(gateway, told)| {
            let gateway = table.gateways.get(&gateway)?;
            Some((Arc::clone(&gateway.deliveries), told))
        });
        told.collect()
    }

    /// The next offset of each partition, in partition order; none where nothing is read.
    pub(crate) fn read(&self) -> Vec<Option<Offset>> {
        self.table.lock().read.read()
    }

    /// Skips what can no longer be had of a partition.
    pub(crate) fn skip(&self, partition: Partition, to: Offset) {
        self.table.lock().read.reached(partition, to);
    }

    /// Where a tail is to begin.
    pub(super) fn begin(&self) -> Vec<(Partition, Offset)> {
        self.table.lock().read.begin()
    }

    /// Waits until the tail is to turn.
    pub(super) async fn turns(&self) {
        self.turns.notified().await;
    }

    /// What the tail is to gain and to lose.
    pub(super) fn turn(&self) -> Turn {
        self.table.lock().read.turn()
    }

    /// Looks which partitions nobody needs any more, and says whose ends are to be looked at.
    pub(super) fn look(&self) -> Vec<Partition> {
        let mut table = self.table.lock();
        if table.read.look() {
            self.turns.notify_one();
        }
        table.read.away()
    }

    /// Partitions ended there when they were asked.
    pub(super) fn ended_at(&self, ends: &[(Partition, Offset)]) {
        let mut table = self.table.lock();
        for (partition, end) in ends {
            table.read.ended(*partition, *end);
        }
    }

    fn partition_of(&self, user: &UserId) -> Partition {
        partition_of(user.as_str().as_bytes(), self.partitions)
    }
}

impl Table {
    /// Changes where a user of a partition is subscribed at a gateway: under this number, or not at
    /// all. True when the tail is to turn for it.
    fn put(
        &mut self,
        gateway: GatewayId,
        partition: Partition,
        user: &UserId,
        subscriber: Option<SubscriberId>,
    ) -> bool {
        let Some(attached) = self.gateways.get_mut(&gateway) else {
            // It is gone: what it still asks for is too.
            return false;
        };
        let mut places = self.users.get(user).map(Places::all).unwrap_or_default();
        let before = places.len();
        places.retain(|(other, _)| *other != gateway);
        attached.users -= before - places.len();
        if let Some(subscriber) = subscriber {
            places.push((gateway, subscriber));
            attached.users += 1;
        }
        let Some(places) = Places::of(&places) else {
            if self.users.remove(user).is_some() {
                self.read.went(partition);
            }
            return false;
        };
        match self.users.insert(user.clone(), places) {
            None => self.read.came(partition),
            Some(_) => false,
        }
    }
}

impl Feed for Subscriptions {
    fn attach(&self, deliveries: Arc<dyn Deliveries>) -> GatewayId {
        let mut table = self.table.lock();
        table.attached += 1;
        let id = GatewayId(table.attached);
        if table.ended {
            drop(table);
            // The others heard of it when it happened.
            deliveries.ended();
            return id;
        }
        let users = 0;
        table.gateways.insert(id, Attached { deliveries, users });
        id
    }

    fn subscribe(&self, gateway: GatewayId, user: &UserId, subscriber: SubscriberId) -> Subscribed {
        let partition = self.partition_of(user);
        let mut table = self.table.lock();
        if table.put(gateway, partition, user, Some(subscriber)) {
            self.turns.notify_one();
        }
        let from = table.read.next(partition);
        Subscribed { partition, from }
    }

    fn unsubscribe(&self, gateway: GatewayId, user: &UserId) {
        let partition = self.partition_of(user);
        self.table.lock().put(gateway, partition, user, None);
    }

    fn subscribers(&self, gateway: GatewayId) -> usize {
        let table = self.table.lock();
        table.gateways.get(&gateway).map_or(0, |one| one.users)
    }

    fn leave(&self, gateway: GatewayId) {
        let mut table = self.table.lock();
        table.gateways.remove(&gateway);
        let Table { users, read, .. } = &mut *table;
        users.retain(|user, places| {
            let mut left = places.all();
            left.retain(|(other, _)| *other != gateway);
            match Places::of(&left) {
                Some(left) => {
                    *places = left;
                    true
                }
                None => {
                    read.went(self.partition_of(user));
                    false
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use infra_ports::laws::link::{Got, LawGateway};
    use schemas::avro::LogEvent;
    use schemas::events::{MarkKind, MarkTold};
    use schemas::ids::{ChatId, DeviceId};
    use schemas::position::{Ordinal, Seq};

    use super::*;

    fn told(users: &[&UserId]) -> (Arc<UserEvent>, Bytes) {
        let event = UserEvent::MarkTold(MarkTold {
            recipients: users.iter().map(|user| (*user).clone()).collect(),
            chat: ChatId::new("d.a.b").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            kind: MarkKind::Read,
            seq: Seq(1),
            ordinal: Ordinal(1),
            origin: Offset(0),
        });
        let record = event.encode().unwrap();
        (Arc::new(event), record)
    }

    fn attached(subscriptions: &Subscriptions) -> GatewayId {
        subscriptions.attach(Arc::new(LawGateway::default()))
    }

    fn picked(subscriptions: &Subscriptions, users: &[&UserId]) -> Vec<Vec<u64>> {
        let picked = subscriptions.pick(vec![told(users)], &[]);
        let to = |(_, told): &(_, Vec<Told>)| told[0].to.iter().map(|id| id.0).collect();
        picked.iter().map(to).collect()
    }

    #[test]
    fn a_subscriber_gets_exactly_what_comes_from_its_offset_on() {
        let user = UserId::new("a").unwrap();
        let subscriptions = Subscriptions::new(vec![Offset(7)]);
        let gateway = attached(&subscriptions);
        let next = [(Partition(0), Offset(8))];
        assert!(subscriptions.pick(vec![told(&[&user])], &next).is_empty());
        let subscribed = subscriptions.subscribe(gateway, &user, SubscriberId(3));
        assert_eq!(
            subscribed,
            Subscribed {
                partition: Partition(0),
                from: Offset(8)
            }
        );
        let picked = subscriptions.pick(vec![told(&[&user])], &[(Partition(0), Offset(9))]);
        assert_eq!(picked[0].1[0].to, [SubscriberId(3)]);
        subscriptions.unsubscribe(gateway, &user);
        assert!(subscriptions.pick(vec![told(&[&user])], &[]).is_empty());
        assert_eq!(subscriptions.begin(), [(Partition(0), Offset(9))]);
    }

    #[test]
    fn a_record_is_told_once_to_each_gateway_with_all_whom_it_concerns_there() {
        let [a, b, c] = ["a", "b", "c"].map(|name| UserId::new(name).unwrap());
        let subscriptions = Subscriptions::new(vec![Offset(0)]);
        let (one, other) = (attached(&subscriptions), attached(&subscriptions));
        for (gateway, user, id) in [(one, &a, 1), (one, &b, 2), (other, &b, 1), (one, &a, 3)] {
            subscriptions.subscribe(gateway, user, SubscriberId(id));
        }
        assert_eq!(picked(&subscriptions, &[&a, &b, &c]), [vec![3, 2], vec![1]]);
        assert_eq!(subscriptions.subscribers(one), 2);
        assert_eq!(subscriptions.subscribers(other), 1);
        subscriptions.unsubscribe(other, &a);
        assert_eq!(picked(&subscriptions, &[&a]), [vec![3]], "not its own");
        subscriptions.leave(one);
        assert_eq!(picked(&subscriptions, &[&a, &b]), [vec![1]]);
        subscriptions.subscribe(one, &a, SubscriberId(9));
        assert!(picked(&subscriptions, &[&a]).is_empty(), "it is gone");
        subscriptions.end();
        assert!(picked(&subscriptions, &[&b]).is_empty());
    }

    #[test]
    fn a_gateway_that_comes_after_the_end_hears_of_it_as_those_did_that_were_there() {
        let subscriptions = Subscriptions::new(vec![Offset(0)]);
        let [before, after] = [(); 2].map(|()| Arc::new(LawGateway::default()));
        subscriptions.attach(before.clone());
        assert!(before.got().is_empty());
        subscriptions.end();
        let late = subscriptions.attach(after.clone());
        assert_eq!([before.got(), after.got()], [[Got::Ended], [Got::Ended]]);
        let user = UserId::new("a").unwrap();
        subscriptions.subscribe(late, &user, SubscriberId(1));
        assert_eq!(
            (subscriptions.users(), subscriptions.subscribers(late)),
            (0, 0)
        );
    }
}
