//! Watching for the verdict on one command, for those who have no session: HTTP.

use std::sync::Arc;
use std::time::Duration;

use schemas::frames::Verdict;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use tokio::sync::oneshot;

use crate::gateway::{Gateway, Hub};

/// A watch for the entry or verdict of one command. Dropping it ends it.
pub struct VerdictWatch {
    gateway: Arc<Gateway>,
    hub: Arc<Hub>,
    number: u64,
    told: oneshot::Receiver<Verdict>,
}

impl VerdictWatch {
    pub(crate) fn new(
        gateway: &Arc<Gateway>,
        user: &UserId,
        chat: &ChatId,
        device: &DeviceId,
        client_id: &ClientId,
    ) -> Self {
        let (tell, told) = oneshot::channel();
        let mut number = 0;
        // Whoever is on another host may have it a moment later than the command is in the log: then its
        // verdict is not seen here, and the one who waits is answered as when it is late.
        let (hub, _subscribing) = gateway.listen(user, |hub| {
            number = hub.watch(chat, device, client_id, tell);
        });
        Self {
            gateway: Arc::clone(gateway),
            hub,
            number,
            told,
        }
    }

    /// Waits for the verdict; `None` when it did not come in time. An entry counts as a verdict with
    /// the entry's seq.
    pub async fn settled(mut self, within: Duration) -> Option<Verdict> {
        let bell = self.gateway.runtime.sleep(within);
        tokio::select! {
            biased;
            told = &mut self.told => told.ok(),
            () = bell => None,
        }
    }
}

impl Drop for VerdictWatch {
    fn drop(&mut self) {
        self.gateway
            .unlisten(&self.hub, |hub| hub.unwatch(self.number));
    }
}
