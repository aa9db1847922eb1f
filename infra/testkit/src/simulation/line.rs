//! The line between a device and its gateway: a connection in memory, with a way up and a way down
//! that take their time. Keeps the order, as TCP does; may break or fall silent at any frame.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use cursus_client::Lost;
use infra_ports::memory::transport::{Peer, Received};
use infra_ports::memory::{Faults, SimFaults, SimRuntime};
use infra_ports::{Runtime, watch};
use parking_lot::Mutex;
use schemas::errors::close;
use tokio::sync::Notify;

/// Frames that wait for the app before the socket is not read.
const ARRIVED: usize = 16;

/// What comes out of a line.
pub(super) enum Step {
    /// A text frame.
    Text(Bytes),
    /// A ping or its answer.
    Alive,
    /// The connection is gone.
    Over(Lost),
}

struct Wire {
    peer: Peer,
    up: Mutex<VecDeque<Bytes>>,
    written: Notify,
    arrived: Mutex<VecDeque<Step>>,
    news: Notify,
    room: Notify,
    silent: AtomicBool,
    hello: Option<String>,
    /// Kept while it is silent: the other end must not hear that this one is gone.
    graveyard: Arc<Mutex<Vec<Line>>>,
}

/// A device's end of a connection. A clone is the same one.
#[derive(Clone)]
pub(super) struct Line {
    wire: Arc<Wire>,
    up: Arc<watch::Sender<bool>>,
}

impl Line {
    /// Begins to carry frames both ways, by tasks of the device.
    pub(super) fn new(
        peer: Peer,
        hello: Option<String>,
        runtime: &SimRuntime,
        faults: &SimFaults,
        graveyard: Arc<Mutex<Vec<Self>>>,
    ) -> Self {
        let wire = Arc::new(Wire {
            peer,
            up: Mutex::default(),
            written: Notify::new(),
            arrived: Mutex::default(),
            news: Notify::new(),
            room: Notify::new(),
            silent: AtomicBool::new(false),
            hello,
            graveyard,
        });
        let (up, ended) = watch::channel(false);
        let upward = carry_up(Arc::clone(&wire), faults.clone(), ended.clone());
        let downward = carry_down(Arc::clone(&wire), faults.clone(), ended);
        runtime.spawn("line-up", Box::pin(upward));
        runtime.spawn("line-down", Box::pin(downward));
        Self {
            wire,
            up: Arc::new(up),
        }
    }

    /// The token, where the first frame brings it.
    pub(super) fn hello(&self) -> Option<String> {
        self.wire.hello.clone()
    }

    /// Puts a text on its way up.
    pub(super) fn write(&self, text: Bytes) {
        self.wire.up.lock().push_back(text);
        self.wire.written.notify_one();
    }

    /// What comes next. Cancel safe.
    pub(super) async fn step(&self) -> Step {
        loop {
            let news = self.wire.news.notified();
            if let Some(step) = self.wire.arrived.lock().pop_front() {
                self.wire.room.notify_one();
                return step;
            }
            news.await;
        }
    }

    /// Breaks for both ends.
    pub(super) fn cut(&self) {
        self.wire.peer.cut();
    }

    /// Carries nothing from now on; neither end hears of it.
    pub(super) fn silence(&self) {
        self.wire.silent.store(true, Ordering::Relaxed);
        self.wire.graveyard.lock().push(self.clone());
    }

    /// The device lets go of it. What was written and is on its way already still arrives.
    pub(super) fn hang_up(&self) {
        self.up.send_replace(true);
    }
}

impl Wire {
    fn is_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }

    fn arrive(&self, step: Step) {
        self.arrived.lock().push_back(step);
        self.news.notify_one();
    }
}

async fn carry_up(wire: Arc<Wire>, faults: SimFaults, mut ended: watch::Receiver<bool>) {
    loop {
        let text = tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => return,
            text = next_up(&wire) => text,
        };
        faults.point("line.up").await;
        if wire.is_silent() {
            continue;
        }
        let again = faults.choose("line.up.twice", 2) == 1;
        for text in std::iter::once(text.clone()).chain(again.then_some(text)) {
            let sent = tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => return,
                sent = wire.peer.send_text(text) => sent,
            };
            if sent.is_err() {
                // The way down hears of it too.
                return;
            }
        }
    }
}

async fn next_up(wire: &Wire) -> Bytes {
    loop {
        if let Some(text) = wire.up.lock().pop_front() {
            return text;
        }
        wire.written.notified().await;
    }
}

async fn carry_down(wire: Arc<Wire>, faults: SimFaults, mut ended: watch::Receiver<bool>) {
    loop {
        let received = tokio::select! {
            biased;
            _ = ended.wait_for(|ended| *ended) => return,
            received = wire.peer.receive() => received,
        };
        faults.point("line.down").await;
        if wire.is_silent() {
            ended.wait_for(|ended| *ended).await.ok();
            return;
        }
        if faults.choose("line.cut", 2) == 1 {
            wire.peer.cut();
            return wire.arrive(Step::Over(Lost::Broken));
        }
        let step = match received {
            Received::Text(text) => {
                if faults.choose("line.down.twice", 2) == 1 {
                    wire.arrive(Step::Text(text.clone()));
                }
                Step::Text(text)
            }
            Received::Ping(_) => {
                // A socket that is gone shows on the way down.
                wire.peer.send_pong().await.ok();
                Step::Alive
            }
            Received::Pong(_) => Step::Alive,
            Received::Close { code, .. } => Step::Over(closed(code)),
            Received::Garbage(_) | Received::Ended => Step::Over(Lost::Broken),
        };
        let over = matches!(step, Step::Over(_));
        wire.arrive(step);
        if over {
            return;
        }
        while wire.arrived.lock().len() >= ARRIVED {
            tokio::select! {
                biased;
                _ = ended.wait_for(|ended| *ended) => return,
                () = wire.room.notified() => {}
            }
        }
    }
}

fn closed(code: u16) -> Lost {
    if code == close::UNAUTHORIZED {
        return Lost::Unauthorized;
    }
    Lost::Closed(code)
}
