//! The gateway as the node sees it: started once, given sockets, asked for routes, taken down.

use std::sync::Arc;

use axum::Router;
use infra_ports::link::{Deliveries, Link};
use infra_ports::{EventLog, FrameReader, FrameWriter, Runtime, TableStore, watch};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};

use crate::config::Config;
use crate::gateway::session;
use crate::gateway::{Gateway, Parts};
use crate::generation::LiveGeneration;
use crate::http;
use crate::reads::Reads;
use crate::seams::{Applied, Commands};
use crate::watch::VerdictWatch;
use crate::worker::Farewell;

/// What a gateway works with.
pub struct GatewayPorts {
    /// Its settings.
    pub config: Config,
    /// Positions of topics, and what an inbox that lags lacks.
    pub log: Arc<dyn EventLog>,
    /// The tables.
    pub store: Arc<dyn TableStore>,
    /// Tasks, time and chance.
    pub runtime: Arc<dyn Runtime>,
    /// Who takes what clients want.
    pub commands: Arc<dyn Commands>,
    /// Who knows how far the tables are.
    pub applied: Arc<dyn Applied>,
    /// Which build of the tables is read.
    pub live: LiveGeneration,
}

/// A gateway: sessions, watches and reads. A clone is the same one.
#[derive(Clone)]
pub struct GatewayRole {
    gateway: Arc<Gateway>,
    stop: Arc<watch::Sender<bool>>,
}

impl GatewayRole {
    /// Starts a gateway without sockets; `link` makes its link to the workers.
    pub fn start(
        ports: GatewayPorts,
        link: impl FnOnce(Arc<dyn Deliveries>) -> Arc<dyn Link>,
    ) -> Self {
        let runtime = Arc::clone(&ports.runtime);
        let gateway = Arc::new(Gateway::new(Parts {
            config: ports.config,
            runtime: ports.runtime,
            log: ports.log,
            commands: ports.commands,
            applied: ports.applied,
            reads: Reads::new(ports.store, ports.live),
        }));
        gateway.link_to(link(Arc::clone(&gateway) as _));
        let (stop, stopped) = watch::channel(false);
        let alarms = ring(Arc::clone(&gateway), stopped.clone());
        runtime.spawn("delivery-alarms", Box::pin(alarms));
        let answers = answer(Arc::clone(&gateway), stopped.clone());
        runtime.spawn_dedicated("delivery-answers", Box::pin(answers));
        let marks = gather_marks(Arc::clone(&gateway), stopped);
        runtime.spawn("delivery-marks", Box::pin(marks));
        Self {
            gateway,
            stop: Arc::new(stop),
        }
    }

    /// True while another socket may be taken. To be asked before a handshake is answered.
    #[must_use]
    pub fn may_accept(&self) -> bool {
        self.gateway.may_accept()
    }

    /// False once nothing is delivered any more: after a shutdown, or when its only worker ended.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        !self.gateway.is_stopping()
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

    /// Tells all clients to go, and where to if that is known, and closes them with 1012. Takes at most
    /// twice the time a close may take.
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
