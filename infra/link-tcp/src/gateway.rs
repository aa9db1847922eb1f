//! The gateway's end: keeps a connection to one worker, and hands on what it tells.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use infra_ports::link::{Deliveries, Link, SubscriberId, Subscribing, Told};
use infra_ports::registry::NodeName;
use openssl::ssl::SslContext;
use parking_lot::Mutex;
use schemas::avro::LogEvent;
use schemas::events::UserEvent;
use schemas::ids::UserId;
use tokio::net::TcpStream;

use crate::config::{Config, Secret};
use crate::connection::{End, serve};
use crate::frames::Frame;
use crate::hello::{self, Known, Refused};
use crate::outbox::Outbox;
use crate::subscribers::Subscribers;
use crate::thread::Thread;
use crate::wire::{self, Stream, Wire};

/// How a gateway stands with its worker.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum State {
    /// There is no connection; why there is none.
    Apart(String),
    /// Subscriptions and records flow, in this version of the protocol.
    Linked(u16),
    /// The two ends will not talk until one of them is changed; it is tried again all the same.
    Refused(String),
}

/// The link to one worker, as long as it is held.
pub struct TcpLink {
    shared: Arc<Shared>,
    _thread: Thread,
}

struct Shared {
    worker: String,
    name: NodeName,
    secret: Secret,
    connector: SslContext,
    config: Config,
    deliveries: Arc<dyn Deliveries>,
    subscribers: Mutex<Subscribers>,
    state: Mutex<State>,
    reached: Box<dyn Fn(bool) + Send + Sync>,
}

impl TcpLink {
    /// Keeps a connection to the worker at `worker` (`host:port`) for the gateway of this name.
    /// Connects in the background, for ever again.
    ///
    /// # Errors
    /// When a thread cannot be had, or OpenSSL is of no use.
    pub fn start(
        worker: &str,
        name: NodeName,
        secret: Secret,
        config: Config,
        deliveries: Arc<dyn Deliveries>,
    ) -> io::Result<Self> {
        Self::start_watched(worker, name, secret, config, deliveries, |_| {})
    }

    /// The same; `reached` is told of each connection when it stands, and when it has ended: before its
    /// partitions are told as detached.
    ///
    /// # Errors
    /// When a thread cannot be had, or OpenSSL is of no use.
    pub fn start_watched(
        worker: &str,
        name: NodeName,
        secret: Secret,
        config: Config,
        deliveries: Arc<dyn Deliveries>,
        reached: impl Fn(bool) + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            worker: worker.to_owned(),
            name,
            secret,
            connector: wire::connector()?,
            config,
            deliveries,
            subscribers: Mutex::default(),
            state: Mutex::new(State::Apart("not connected yet".to_owned())),
            reached: Box::new(reached),
        });
        let run = {
            let shared = Arc::clone(&shared);
            move || async move { shared.keep_connected().await }
        };
        Ok(Self {
            shared,
            _thread: Thread::start("link-gateway", run)?,
        })
    }

    /// How it stands now.
    #[must_use]
    pub fn state(&self) -> State {
        self.shared.state.lock().clone()
    }
}

impl Link for TcpLink {
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribing {
        let mut subscribers = self.shared.subscribers.lock();
        subscribers.subscribe(user, subscriber)
    }

    fn unsubscribe(&self, user: &UserId) {
        self.shared.subscribers.lock().unsubscribe(user);
    }

    fn subscribers(&self) -> usize {
        self.shared.subscribers.lock().known()
    }
}

impl Shared {
    async fn keep_connected(&self) {
        let Config {
            first_pause,
            longest_pause,
            ..
        } = self.config;
        let mut pause = first_pause;
        loop {
            match self.connect().await {
                Ok((stream, version)) => {
                    self.linked(stream, version).await;
                    pause = first_pause;
                }
                Err(refused) => {
                    let why = refused.to_string();
                    tracing::warn!(worker = self.worker, error = why, "a worker is not reached");
                    *self.state.lock() = match refused {
                        Refused::Lost(_) | Refused::Late => State::Apart(why),
                        Refused::Stranger | Refused::Version(..) | Refused::Secret => {
                            State::Refused(why)
                        }
                    };
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest_pause);
        }
    }

    async fn connect(&self) -> Result<(Stream, u16), Refused> {
        let connected = async {
            let socket = TcpStream::connect(&self.worker).await?;
            socket.set_nodelay(true)?;
            let (mut stream, binding) = wire::connect(socket, &self.connector).await?;
            let known = Known {
                secret: &self.secret,
                versions: &self.config.versions,
                binding,
            };
            let version = hello::greet(&mut stream, &known, &self.name).await?;
            Ok((stream, version))
        };
        let connected = tokio::time::timeout(self.config.hello_within, connected);
        connected.await.unwrap_or(Err(Refused::Late))
    }

    /// Serves one connection to its end.
    async fn linked(&self, stream: Stream, version: u16) {
        let wire = Arc::new(Wire::new(stream));
        let outbox = Arc::new(Outbox::new(Arc::clone(&wire), self.config.queue_bytes));
        self.subscribers.lock().connected(&outbox);
        *self.state.lock() = State::Linked(version);
        tracing::info!(worker = self.worker, version, "linked to a worker");
        (self.reached)(true);
        let serves = serve(&wire, &outbox, &self.config, |frames| self.take(frames));
        // A defect behind it costs this connection: nobody would be told that its worker is gone.
        let served = AssertUnwindSafe(serves).catch_unwind().await;
        let end = served.map_or_else(|_| "a defect".to_owned(), |end| end.to_string());
        tracing::warn!(worker = self.worker, end, "the link to a worker ended");
        *self.state.lock() = State::Apart(end);
        let partitions = self.subscribers.lock().broken();
        (self.reached)(false);
        if !partitions.is_empty() {
            self.deliveries.detached(&partitions);
        }
    }

    /// Hands on what came: as much of it together as stands together.
    fn take(&self, frames: Vec<Frame>) -> Result<(), End> {
        let mut batch = Vec::new();
        for frame in frames {
            match frame {
                Frame::Told(to, record) => batch.extend(told(to, record)),
                Frame::Subscribed(subscribed) => {
                    if !self.subscribers.lock().answered(subscribed) {
                        return Err(End::Unexpected);
                    }
                }
                Frame::Detached(partitions) => {
                    self.deliver(&mut batch);
                    self.deliveries.detached(&partitions);
                }
                Frame::Ended => {
                    self.deliver(&mut batch);
                    self.deliveries.ended();
                }
                Frame::Ping => {}
                Frame::Subscribe(..) | Frame::Unsubscribe(_) => return Err(End::Unexpected),
            }
        }
        self.deliver(&mut batch);
        Ok(())
    }

    fn deliver(&self, batch: &mut Vec<Told>) {
        if !batch.is_empty() {
            self.deliveries.deliver(std::mem::take(batch));
        }
    }
}

/// What a worker told; nothing when this build cannot read it.
fn told(to: Vec<SubscriberId>, record: bytes::Bytes) -> Option<Told> {
    match UserEvent::decode(&record) {
        Ok(event) => Some(Told {
            to,
            event: Arc::new(event),
            record,
        }),
        Err(error) => {
            tracing::error!(%error, "a record of users cannot be read and is passed over");
            None
        }
    }
}
