//! Delivery as the node sees it: started once, given sockets, asked for routes, taken down.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use infra_ports::link::Deliveries;
use infra_ports::memory::LocalLink;
use infra_ports::{EventLog, FrameReader, FrameWriter, LogError, Runtime, TableStore, watch};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::Offset;

use crate::config::Config;
use crate::gateway::session;
use crate::gateway::{Gateway, Parts};
use crate::generation::LiveGeneration;
use crate::http;
use crate::reads::Reads;
use crate::seams::{Applied, Commands};
use crate::watch::VerdictWatch;
use crate::worker::{Farewell, Pulse, Subscriptions, Worker, ends};

/// Why delivery did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The log does not say where `users` ends.
    #[error("the log does not say where users ends: {0}")]
    Log(#[from] LogError),
}

/// Worker, link and gateway of one process. A clone is the same one.
#[derive(Clone)]
pub struct Delivery {
    gateway: Arc<Gateway>,
    subscriptions: Arc<Subscriptions>,
    pulse: Arc<Pulse>,
    stop: Arc<watch::Sender<bool>>,
}

impl Delivery {
    /// Starts a worker over all partitions of `users` and a gateway without sockets. The topics
    /// must exist.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn start(
        config: Config,
        log: Arc<dyn EventLog>,
        store: Arc<dyn TableStore>,
        runtime: Arc<dyn Runtime>,
        commands: Arc<dyn Commands>,
        applied: Arc<dyn Applied>,
        live: LiveGeneration,
    ) -> Result<Self, StartError> {
        let subscriptions = Arc::new(Subscriptions::new(ends(&*log).await?));
        let batch = config.worker_batch;
        let gateway = Arc::new(Gateway::new(Parts {
            config,
            runtime: Arc::clone(&runtime),
            log: Arc::clone(&log),
            commands,
            applied,
            reads: Reads::new(store, live),
        }));
        let link = LocalLink::new(Arc::clone(&subscriptions) as _, Arc::clone(&gateway) as _);
        gateway.link_to(Arc::new(link));
        let pulse = Arc::new(Pulse::default());
        let (stop, stopped) = watch::channel(false);
        let tasks = Arc::clone(&runtime);
        let worker = Worker::new(
            log,
            runtime,
            Arc::clone(&subscriptions),
            Arc::clone(&pulse),
            batch,
            stopped.clone(),
        );
        tasks.spawn_dedicated("delivery-worker", Box::pin(worker.run()));
        let alarms = ring(Arc::clone(&gateway), stopped.clone());
        tasks.spawn("delivery-alarms", Box::pin(alarms));
        let answers = answer(Arc::clone(&gateway), stopped.clone());
        tasks.spawn_dedicated("delivery-answers", Box::pin(answers));
        let marks = gather_marks(Arc::clone(&gateway), stopped);
        tasks.spawn("delivery-marks", Box::pin(marks));
        Ok(Self {
            gateway,
            subscriptions,
            pulse,
            stop: Arc::new(stop),
        })
    }

    /// True while another socket may be taken. To be asked before a handshake is answered.
    #[must_use]
    pub fn may_accept(&self) -> bool {
        self.gateway.may_accept()
    }

    /// False once nothing is delivered any more: after a shutdown, or when the log failed for good.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        !self.gateway.is_stopping()
    }

    /// The next offset of `users` that the worker will hand out, by partition.
    #[must_use]
    pub fn handed_out(&self) -> Vec<Offset> {
        let next = self.subscriptions.next();
        next.into_iter().map(|(_, offset)| offset).collect()
    }

    /// How long the worker has been handing out the batch at hand; zero between batches. A batch
    /// takes milliseconds: one that takes seconds hangs.
    #[must_use]
    pub fn handing_out_for(&self) -> Duration {
        let now = self.gateway.runtime.elapsed();
        self.pulse.handing_out_for(now)
    }

    /// False when worker and gateway do not agree on who is connected: somebody is told nothing.
    #[must_use]
    pub fn link_is_whole(&self) -> bool {
        self.gateway.link_is_whole()
    }

    /// Looks at what waits in outboxes, for the metrics. To be called every few seconds; costs a
    /// look at each session.
    pub fn take_stock(&self) {
        self.gateway.take_stock();
    }

    /// Serves one session until its connection ends. With a token from the handshake the session is
    /// authenticated at once, else it says hello first. `until_known` is dropped when the session has
    /// said who it is with a valid token, or has ended: what a socket costs that may be anybody's.
    ///
    /// Cancel safety: dropping the future closes the connection.
    pub fn serve(
        &self,
        reader: Box<dyn FrameReader>,
        writer: Arc<dyn FrameWriter>,
        token: Option<String>,
        until_known: Option<Arc<dyn Send + Sync>>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let gateway = Arc::clone(&self.gateway);
        let session = gateway.open(writer, token.is_some());
        session::run(gateway, session, reader, token, until_known)
    }

    /// The routes of reads. Has no fallbacks, so that it can be merged with the routes of commands.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.gateway))
    }

    /// Begins to watch for the entry or verdict of a command; effective when it returns, if the worker is
    /// in this process.
    pub fn watch(
        &self,
        user: &UserId,
        chat: &ChatId,
        device: &DeviceId,
        client_id: &ClientId,
    ) -> VerdictWatch {
        VerdictWatch::new(&self.gateway, user, chat, device, client_id)
    }

    /// Every read, without a socket.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.gateway.reads
    }

    /// Tells all clients to go, and where to if that is known, closes them with 1012, and ends the
    /// worker. Takes at most twice the time a close may take.
    pub async fn shutdown(&self, reconnect_to: Option<String>) {
        self.gateway.shutdown(reconnect_to.as_deref()).await;
        self.stop.send_replace(true);
    }

    #[cfg(test)]
    pub(crate) fn gateway_for_tests(&self) -> Arc<Gateway> {
        Arc::clone(&self.gateway)
    }
}

async fn ring(gateway: Arc<Gateway>, stopped: watch::Receiver<bool>) {
    // Without alarms nothing is pushed again and nobody silent is found out.
    until_stopped(&gateway, stopped, gateway.ring_alarms()).await;
}

async fn answer(gateway: Arc<Gateway>, stopped: watch::Receiver<bool>) {
    // Without answers nobody knows what was sent.
    until_stopped(&gateway, stopped, gateway.serve_answers()).await;
}

async fn gather_marks(gateway: Arc<Gateway>, stopped: watch::Receiver<bool>) {
    // Without the desk no mark is answered.
    until_stopped(&gateway, stopped, gateway.serve_desk()).await;
}

/// Runs what the gateway cannot do without: whatever ends it, clients are sent elsewhere.
async fn until_stopped(
    gateway: &Arc<Gateway>,
    mut stopped: watch::Receiver<bool>,
    task: impl Future<Output = ()>,
) {
    let _farewell = Farewell(|| gateway.ended());
    tokio::select! {
        biased;
        // The sender is gone when the delivery is: that is a stop too.
        _ = stopped.wait_for(|stopped| *stopped) => {}
        () = task => {}
    }
}

#[cfg(test)]
mod tests {
    use infra_ports::link::{Feed, GatewayId};
    use schemas::ids::UserId;

    use crate::testing::*;

    #[test]
    fn a_worker_that_forgot_a_user_and_a_batch_that_hangs_show() {
        let mut scene = Scene::new();
        let _ada = scene.live("ada/phone");
        let delivery = scene.delivery.clone();
        assert!(delivery.link_is_whole());
        assert_eq!(delivery.handing_out_for(), std::time::Duration::ZERO);
        let ada = UserId::new("ada").unwrap();
        delivery.subscriptions.unsubscribe(GatewayId(1), &ada);
        assert!(!delivery.link_is_whole(), "ada would be told nothing");
        let _bob = scene.live("bob/phone");
        assert!(!delivery.link_is_whole());
        delivery.pulse.begin(delivery.gateway.runtime.elapsed());
        scene.wait(7_000);
        assert_eq!(delivery.handing_out_for().as_secs(), 7);
        delivery.pulse.end();
        assert_eq!(delivery.handing_out_for(), std::time::Duration::ZERO);
    }
}
