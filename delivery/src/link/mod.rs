//! The link between worker and gateway: subscriptions one way, what was told the other.
//!
//! Messages are owned values, so that the same trait can be carried by a network. A gateway names
//! its subscribers by numbers of its own; a worker answers with the `users` offset from which on it
//! delivers. When a worker cannot promise that any longer (its tail broke, a partition moved, the
//! link broke) it says `detached`, and the gateway resumes those users as if they had just come:
//! silence is never taken for health.

mod local;

pub(crate) use local::LocalLink;

use std::sync::Arc;

use schemas::events::UserEvent;
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};

/// A gateway's own number for a user with at least one session or watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SubscriberId(pub(crate) u64);

/// From where on a worker delivers what a user is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscribed {
    /// The user's partition of `users`.
    pub(crate) partition: Partition,
    /// Records from this offset on are delivered; what is below is in the inbox, or will be.
    pub(crate) from: Offset,
}

/// One record of `users` for the subscribers of one gateway.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Whom it concerns, in the record's order.
    pub(crate) to: Vec<SubscriberId>,
    /// What they are told.
    pub(crate) event: Arc<UserEvent>,
}

/// The worker's side, as a gateway sees it.
pub(crate) trait Link: Send + Sync + 'static {
    /// Subscribes a user under a number. Takes effect before it returns. Subscribing again gives
    /// the offset from which on records are delivered after this call.
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribed;

    /// How many of this gateway's users the worker knows.
    fn subscribers(&self) -> usize;

    /// Ends a subscription; records under way may still come.
    fn unsubscribe(&self, user: &UserId);
}

/// The gateway's side, as a worker sees it. Called on the worker's own thread.
pub(crate) trait Deliveries: Send + Sync + 'static {
    /// Takes a batch in log order, a partition's records never twice. Must not block.
    fn deliver(&self, batch: Vec<Told>);

    /// Records of these partitions may have been left out: their users must resume.
    fn detached(&self, partitions: &[Partition]);

    /// Nothing will be delivered any more.
    fn ended(&self);
}
