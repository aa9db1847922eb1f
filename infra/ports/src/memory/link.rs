//! The link within one process: a call.

use std::sync::Arc;

use schemas::ids::UserId;

use crate::link::{Deliveries, Feed, GatewayId, Link, SubscriberId, Subscribing};

/// Worker and gateway in one process.
pub struct LocalLink {
    feed: Arc<dyn Feed>,
    gateway: GatewayId,
}

impl LocalLink {
    /// Attaches a gateway to a worker.
    #[must_use]
    pub fn new(feed: Arc<dyn Feed>, deliveries: Arc<dyn Deliveries>) -> Self {
        let gateway = feed.attach(deliveries);
        Self { feed, gateway }
    }
}

impl Link for LocalLink {
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribing {
        Subscribing::done(self.feed.subscribe(self.gateway, user, subscriber))
    }

    fn unsubscribe(&self, user: &UserId) {
        self.feed.unsubscribe(self.gateway, user);
    }

    fn subscribers(&self) -> usize {
        self.feed.subscribers(self.gateway)
    }
}

impl Drop for LocalLink {
    fn drop(&mut self) {
        self.feed.leave(self.gateway);
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;
    use crate::laws::link::LinkPlace;

    struct Place;

    #[async_trait]
    impl LinkPlace for Place {
        async fn connect(
            &self,
            feed: Arc<dyn Feed>,
            deliveries: Arc<dyn Deliveries>,
        ) -> Arc<dyn Link> {
            Arc::new(LocalLink::new(feed, deliveries))
        }

        async fn pause(&self) {}
    }

    #[test]
    fn the_link_within_a_process_keeps_the_laws() {
        let laws = crate::laws::link::run(async || Place);
        assert_eq!(futures_util::FutureExt::now_or_never(laws), Some(()));
    }
}
