//! The worker's end: takes gateways' connections and lets them have what concerns their subscribers.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use infra_ports::link::{Deliveries, Feed, GatewayId, Told};
use infra_ports::registry::NodeName;
use openssl::ssl::SslAcceptor;
use schemas::position::Partition;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::config::{Config, Secret};
use crate::connection::{End, serve};
use crate::frames::{Frame, encode_told};
use crate::hello::{self, Known, Refused};
use crate::outbox::Outbox;
use crate::thread::Thread;
use crate::wire::{self, Stream, Wire};

/// What every gateway meets.
struct Place {
    acceptor: SslAcceptor,
    feed: Arc<dyn Feed>,
    secret: Secret,
    config: Config,
}

/// Gateways are served while this is held.
pub struct LinkServer {
    address: SocketAddr,
    _thread: Thread,
}

/// What a gateway is told goes into its outbox; encoded once for all its subscribers.
struct Sending(Arc<Outbox>);

impl Deliveries for Sending {
    fn deliver(&self, batch: Vec<Told>) {
        self.0.put(|into| {
            for told in &batch {
                encode_told(&told.to, &told.record, into);
            }
        });
    }

    fn detached(&self, partitions: &[Partition]) {
        let frame = Frame::Detached(partitions.to_vec());
        self.0.put(|into| frame.encode(into));
    }

    fn ended(&self) {
        self.0.put(|into| Frame::Ended.encode(into));
    }
}

/// A gateway that is attached; leaves however its connection ends.
struct Attached {
    feed: Arc<dyn Feed>,
    gateway: GatewayId,
}

impl Drop for Attached {
    fn drop(&mut self) {
        self.feed.leave(self.gateway);
    }
}

impl LinkServer {
    /// Serves gateways that come to a socket.
    ///
    /// # Errors
    /// When the socket or a thread cannot be had, or OpenSSL is of no use.
    pub fn start(
        listener: TcpListener,
        feed: Arc<dyn Feed>,
        secret: Secret,
        config: Config,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let place = Arc::new(Place {
            acceptor: wire::acceptor()?,
            feed,
            secret,
            config,
        });
        let accept = move || accept(listener, place);
        let thread = Thread::start("link-worker", accept)?;
        Ok(Self {
            address,
            _thread: thread,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn accept(listener: TcpListener, place: Arc<Place>) {
    let listener = match tokio::net::TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => {
            tracing::error!(%error, "the link cannot listen");
            return;
        }
    };
    // Dropped with all in it when the server is.
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_ended) = connections.join_next(), if !connections.is_empty() => {}
            came = listener.accept() => match came {
                Ok((_, from)) if connections.len() >= place.config.connections => {
                    tracing::warn!(%from, "too many gateways, one is turned away");
                }
                Ok((socket, from)) => {
                    connections.spawn(welcome(socket, from, Arc::clone(&place)));
                }
                Err(error) => {
                    tracing::warn!(%error, "a gateway's connection cannot be taken");
                    tokio::time::sleep(place.config.first_pause).await;
                }
            },
        }
    }
}

impl Place {
    /// Who comes, and over what: a gateway that knows the secret.
    async fn meet(&self, socket: TcpStream) -> Result<(Stream, NodeName, u16), Refused> {
        socket.set_nodelay(true)?;
        let (mut stream, binding) = wire::accept(socket, &self.acceptor).await?;
        let known = Known {
            secret: &self.secret,
            versions: &self.config.versions,
            binding,
        };
        let (name, version) = hello::answer(&mut stream, &known).await?;
        Ok((stream, name, version))
    }
}

async fn welcome(socket: TcpStream, from: SocketAddr, place: Arc<Place>) {
    let config = &place.config;
    let answered = tokio::time::timeout(config.hello_within, place.meet(socket)).await;
    let (stream, name, version) = match answered.unwrap_or(Err(Refused::Late)) {
        Ok(known) => known,
        Err(error) => {
            tracing::warn!(%from, %error, "a gateway is refused");
            return;
        }
    };
    let wire = Arc::new(Wire::new(stream));
    let outbox = Arc::new(Outbox::new(Arc::clone(&wire), config.queue_bytes));
    let feed = Arc::clone(&place.feed);
    let gateway = feed.attach(Arc::new(Sending(Arc::clone(&outbox))));
    let attached = Attached { feed, gateway };
    tracing::info!(%from, %name, version, "a gateway is linked");
    let take = |frames| take(&attached, &outbox, frames);
    let end = serve(&wire, &outbox, config, take).await;
    tracing::warn!(%from, %name, %end, "a gateway's link ended");
}

/// Carries out what a gateway asks for, and answers all of it together.
fn take(attached: &Attached, outbox: &Outbox, frames: Vec<Frame>) -> Result<(), End> {
    let Attached { feed, gateway } = attached;
    let mut answers = Vec::new();
    for frame in frames {
        match frame {
            Frame::Subscribe(subscriber, user) => {
                answers.push(Frame::Subscribed(
                    feed.subscribe(*gateway, &user, subscriber),
                ));
            }
            Frame::Unsubscribe(user) => feed.unsubscribe(*gateway, &user),
            Frame::Ping => {}
            Frame::Subscribed(_) | Frame::Told(..) | Frame::Detached(_) | Frame::Ended => {
                return Err(End::Unexpected);
            }
        }
    }
    if !answers.is_empty() {
        outbox.put(|into| answers.iter().for_each(|answer| answer.encode(into)));
    }
    Ok(())
}
