//! The link within one process: a call.

use std::sync::Arc;

use schemas::ids::UserId;

use super::{Link, Subscribed, SubscriberId};
use crate::worker::Subscriptions;

/// Worker and gateway share the table of subscriptions.
pub(crate) struct LocalLink {
    subscriptions: Arc<Subscriptions>,
}

impl LocalLink {
    pub(crate) fn new(subscriptions: Arc<Subscriptions>) -> Self {
        Self { subscriptions }
    }
}

impl Link for LocalLink {
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribed {
        self.subscriptions.subscribe(user, subscriber)
    }

    fn subscribers(&self) -> usize {
        self.subscriptions.len()
    }

    fn unsubscribe(&self, user: &UserId) {
        self.subscriptions.unsubscribe(user);
    }
}
