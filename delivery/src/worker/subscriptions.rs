//! Who is subscribed, and up to where each partition was handed out: one lock for both, so that a
//! new subscriber's offset says exactly which records it will get.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use schemas::events::UserEvent;
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};
use schemas::topics::partition_of;

use crate::link::{Subscribed, SubscriberId, Told};

struct Table {
    /// Looked up only, never walked: its order is of no account.
    users: HashMap<UserId, SubscriberId, ahash::RandomState>,
    /// The next offset to hand out, by partition.
    next: Vec<Offset>,
}

/// The worker's subscriptions.
pub(crate) struct Subscriptions {
    table: Mutex<Table>,
    partitions: u32,
}

impl Subscriptions {
    /// Nobody is subscribed yet; partitions are handed out from these offsets on.
    pub(crate) fn new(next: Vec<Offset>) -> Self {
        let partitions = u32::try_from(next.len()).unwrap_or(u32::MAX);
        let table = Table {
            users: HashMap::default(),
            next,
        };
        Self {
            table: Mutex::new(table),
            partitions,
        }
    }

    pub(crate) fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribed {
        let partition = partition_of(user.as_str().as_bytes(), self.partitions);
        let mut table = self.table.lock();
        table.users.insert(user.clone(), subscriber);
        let from = table
            .next
            .get(index(partition))
            .copied()
            .unwrap_or_default();
        Subscribed { partition, from }
    }

    pub(crate) fn unsubscribe(&self, user: &UserId) {
        self.table.lock().users.remove(user);
    }

    /// How many users are subscribed.
    pub(crate) fn len(&self) -> usize {
        self.table.lock().users.len()
    }

    /// Picks out what concerns subscribers, and notes how far each partition has come. Events are
    /// in log order within a partition.
    pub(crate) fn pick(
        &self,
        events: Vec<Arc<UserEvent>>,
        next: &[(Partition, Offset)],
    ) -> Vec<Told> {
        let mut table = self.table.lock();
        let told = events.into_iter().filter_map(|event| {
            let to: Vec<_> = event
                .recipients()
                .iter()
                .filter_map(|user| table.users.get(user).copied())
                .collect();
            (!to.is_empty()).then_some(Told { to, event })
        });
        let told = told.collect();
        for (partition, offset) in next {
            if let Some(place) = table.next.get_mut(index(*partition)) {
                *place = *offset;
            }
        }
        told
    }

    /// The next offset of each partition, in partition order.
    pub(crate) fn next(&self) -> Vec<(Partition, Offset)> {
        let table = self.table.lock();
        (0..)
            .map(Partition)
            .zip(table.next.iter().copied())
            .collect()
    }

    /// Skips what can no longer be had of a partition.
    pub(crate) fn skip(&self, partition: Partition, to: Offset) {
        if let Some(place) = self.table.lock().next.get_mut(index(partition)) {
            *place = to;
        }
    }
}

fn index(partition: Partition) -> usize {
    usize::try_from(partition.0).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use schemas::events::{MarkKind, MarkTold};
    use schemas::ids::{ChatId, DeviceId};
    use schemas::position::{Ordinal, Seq};

    use super::*;

    fn told(user: &UserId) -> Arc<UserEvent> {
        Arc::new(UserEvent::MarkTold(MarkTold {
            recipients: vec![user.clone()],
            chat: ChatId::new("d.a.b").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            kind: MarkKind::Read,
            seq: Seq(1),
            ordinal: Ordinal(1),
            origin: Offset(0),
        }))
    }

    #[test]
    fn a_subscriber_gets_exactly_what_comes_from_its_offset_on() {
        let user = UserId::new("a").unwrap();
        let subscriptions = Subscriptions::new(vec![Offset(7)]);
        let next = [(Partition(0), Offset(8))];
        assert!(subscriptions.pick(vec![told(&user)], &next).is_empty());
        let subscribed = subscriptions.subscribe(&user, SubscriberId(3));
        assert_eq!(
            subscribed,
            Subscribed {
                partition: Partition(0),
                from: Offset(8)
            }
        );
        let picked = subscriptions.pick(vec![told(&user)], &[(Partition(0), Offset(9))]);
        assert_eq!(picked[0].to, [SubscriberId(3)]);
        subscriptions.unsubscribe(&user);
        assert!(subscriptions.pick(vec![told(&user)], &[]).is_empty());
        assert_eq!(subscriptions.next(), [(Partition(0), Offset(9))]);
    }
}
