//! Where a node is reached, by clients and by operators: bound before anything is started, opened
//! once everything is, closed together.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use ingest::Ingest;
use tokio::net::TcpListener;

use super::operators::limited;
use super::server::{Limits, Server, bind};
use super::with_fallbacks;
use crate::config::Config;

/// Doors that are bound and not open yet: who connects waits.
pub(crate) struct Doors {
    clients: TcpListener,
    /// Where operators have a door of their own.
    operators: Option<TcpListener>,
    limits: Limits,
}

impl Doors {
    /// Binds what the configuration names.
    ///
    /// # Errors
    /// When an address is taken or not ours.
    pub(crate) fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            clients: bind(config.listen)?,
            operators: config.operators_listen.map(bind).transpose()?,
            limits: Limits {
                connections: config.connections,
                per_address: config.connections_per_address,
                verdict_within: config.ingest.verdict_within,
            },
        })
    }

    /// How many connections a door takes.
    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    /// Where clients connect.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.clients.local_addr()?)
    }

    /// Serves clients and operators, both at one door where operators have none of their own.
    pub(crate) fn open(
        self,
        for_clients: Router,
        for_operators: Router,
        ingest: &Ingest,
    ) -> anyhow::Result<OpenDoors> {
        let (address, limits) = (self.address()?, self.limits);
        let mut opened = OpenDoors {
            address,
            operators_address: address,
            servers: Vec::new(),
        };
        let for_clients = match self.operators {
            Some(listener) => {
                opened.operators_address = listener.local_addr()?;
                let server = Server::start(listener, for_operators, limits);
                opened.servers.push(server);
                for_clients
            }
            None => for_clients.merge(limited(for_operators, ingest.clone())),
        };
        let routes = with_fallbacks(for_clients, ingest);
        let server = Server::start(self.clients, routes, limits);
        opened.servers.push(server);
        Ok(opened)
    }
}

/// Doors that are open.
pub(crate) struct OpenDoors {
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Where operators ask.
    pub(crate) operators_address: SocketAddr,
    servers: Vec<Server>,
}

impl OpenDoors {
    /// Closes all at once and waits until running requests are answered, or the time is over.
    pub(crate) async fn close(&self, within: Duration) {
        let stopping = self.servers.iter().map(|server| server.stop(within));
        futures_util::future::join_all(stopping).await;
    }
}
