//! Accepts connections and serves HTTP/1.1 on each, until told to stop.
//!
//! A connection that has not sent its request within [`HEADER_TIMEOUT`] is closed. Above the limit
//! of connections a new one is closed at once, so that the process never runs out of files.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::ConnectInfo;
use hyper::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};

use super::addresses::{Addresses, Place};
use crate::metrics;

/// How long a connection may take to send its request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a connection serves requests: a peer that does not read its answers, or does not send
/// its body, must not keep a place for ever. Sessions have left by then.
const CONNECTION_FOR: Duration = Duration::from_secs(60);
/// How long the last request of a connection may take beside its wait for a verdict.
const LAST_REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// Connections that wait to be accepted: as many as a storm of reconnects brings.
const BACKLOG: u32 = 4096;
/// After a failed accept (no more files): wait before the next.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Binds the listening socket.
///
/// # Errors
/// When the address is taken or not ours.
pub(crate) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()
    } else {
        TcpSocket::new_v6()
    }?;
    socket.set_reuseaddr(true)?;
    socket
        .bind(address)
        .with_context(|| format!("cannot listen on {address}"))?;
    Ok(socket.listen(BACKLOG)?)
}

/// Serves a router on a listener.
#[derive(Debug)]
pub(crate) struct Server {
    stop: watch::Sender<bool>,
    connections: Arc<Semaphore>,
    limit: u32,
}

/// How many connections are served at once, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long a command over HTTP may wait for its verdict.
    pub(crate) verdict_within: Duration,
    /// In all.
    pub(crate) connections: u32,
    /// From one address, sockets included that have not said yet who they are.
    pub(crate) per_address: u32,
}

impl Server {
    /// Starts to accept. Sessions are not counted: they leave HTTP after their handshake and have a
    /// limit of their own.
    pub(crate) fn start(listener: TcpListener, routes: Router, limits: Limits) -> Self {
        let limit = limits.connections;
        let last_within = LAST_REQUEST_WITHIN.saturating_add(limits.verdict_within);
        let (stop, mut stopped) = watch::channel(false);
        let connections = Arc::new(Semaphore::new(limit as usize));
        let permits = Arc::clone(&connections);
        let addresses = Addresses::new(limits.per_address);
        tokio::spawn(async move {
            loop {
                let accepted = tokio::select! {
                    biased;
                    _ = stopped.changed() => return,
                    accepted = listener.accept() => accepted,
                };
                let Ok((stream, peer)) = accepted else {
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                };
                let Ok(permit) = Arc::clone(&permits).try_acquire_owned() else {
                    metrics::full();
                    continue;
                };
                let Some(place) = addresses.enter(peer.ip()) else {
                    metrics::address_full();
                    continue;
                };
                let (routes, stopped) = (routes.clone(), stopped.clone());
                tokio::spawn(async move {
                    metrics::connected(true);
                    let peer = Peer {
                        address: peer,
                        place,
                    };
                    serve_connection(stream, peer, routes, stopped, last_within).await;
                    metrics::connected(false);
                    drop(permit);
                });
            }
        });
        Self {
            stop,
            connections,
            limit,
        }
    }

    /// Stops accepting and waits until running requests are answered, or the time is over.
    pub(crate) async fn stop(&self, within: Duration) {
        self.stop.send_replace(true);
        let all = self.connections.acquire_many(self.limit);
        if tokio::time::timeout(within, all).await.is_err() {
            tracing::warn!("requests were still running when the time for shutdown was over");
        }
    }
}

/// Who is at the other end, and the place they hold at the door.
struct Peer {
    address: SocketAddr,
    place: Arc<Place>,
}

async fn serve_connection(
    stream: TcpStream,
    peer: Peer,
    routes: Router,
    mut stopped: watch::Receiver<bool>,
    last_within: Duration,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        let extensions = request.extensions_mut();
        extensions.insert(ConnectInfo(peer.address));
        // Whoever leaves HTTP for a session takes it along.
        extensions.insert(Arc::clone(&peer.place));
        // A router is always ready.
        tower::Service::call(&mut routes.clone(), request)
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let told_to_stop = async move { drop(stopped.wait_for(|stop| *stop).await) };
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => Ok(ended),
        () = told_to_stop => Err(()),
        () = tokio::time::sleep(CONNECTION_FOR) => Err(()),
    };
    let ended = match ended {
        Ok(ended) => ended,
        Err(()) => {
            connection.as_mut().graceful_shutdown();
            // Who does not take the last answer by then is left.
            let last = tokio::time::timeout(last_within, connection).await;
            last.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended");
    }
}
