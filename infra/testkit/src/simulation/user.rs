//! The user of a device's client: takes what was handed over from a bounded queue, handles it, writes
//! it down with the progress in one step, and comes for more.
//!
//! ```text
//!  session ──▶ queue ──▶ [fault point] ──▶ in hand ──▶ disk        what dies here was not received:
//!     ▲                                       │                    only what is on disk was
//!     └──────────── taken ◀── comes for more ─┘
//! ```
//!
//! Some users come for more before they write down: what the server then counts as delivered dies with
//! the app, and its next life must find it all the same.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use cursus_client::{Event, Output};
use infra_ports::Runtime;
use infra_ports::memory::{Faults, SimFaults, SimRuntime};
use parking_lot::Mutex;
use schemas::frames::Entry;
use schemas::ids::ChatId;
use schemas::position::Seq;
use tokio::sync::Notify;

use super::device::Device;

/// Entries that wait before the socket is not read any more.
const QUEUE: usize = 8;
/// A user that writes down late does so when nothing more came for so long.
const LATE: Duration = Duration::from_millis(700);

/// Between a session and its user, for one life of the app.
#[derive(Default)]
pub(super) struct Hands {
    held: Mutex<Held>,
    more: Notify,
}

#[derive(Default)]
struct Held {
    queue: VecDeque<Entry>,
    /// Taken from the queue, and not on disk.
    in_hand: Vec<Entry>,
    taken: Vec<(ChatId, Seq)>,
}

impl Hands {
    /// The session hands an entry over.
    pub(super) fn put(&self, entry: Entry) {
        self.held.lock().queue.push_back(entry);
        self.more.notify_one();
    }

    /// What was taken since the last time.
    pub(super) fn taken(&self) -> Vec<(ChatId, Seq)> {
        std::mem::take(&mut self.held.lock().taken)
    }

    /// False while the socket is not to be read.
    pub(super) fn has_room(&self) -> bool {
        self.held.lock().queue.len() < QUEUE
    }

    /// True when everything is on disk, and the session knows.
    pub(super) fn is_empty(&self) -> bool {
        let held = self.held.lock();
        held.queue.is_empty() && held.in_hand.is_empty() && held.taken.is_empty()
    }
}

/// The user of a device while its app runs.
pub(super) struct User {
    pub(super) device: Arc<Device>,
    pub(super) hands: Arc<Hands>,
    pub(super) faults: SimFaults,
    pub(super) runtime: SimRuntime,
    /// It comes for more before it writes down.
    pub(super) writes_late: bool,
}

impl User {
    pub(super) async fn run(self) {
        loop {
            self.device.dozed(&self.runtime).await;
            match self.next().await {
                Some(entry) => self.handle(entry).await,
                None => self.write_down(),
            }
        }
    }

    /// The next entry; none when it is time to write down.
    async fn next(&self) -> Option<Entry> {
        loop {
            let late = {
                let mut held = self.hands.held.lock();
                if let Some(entry) = held.queue.pop_front() {
                    held.in_hand.push(entry.clone());
                    return Some(entry);
                }
                !held.in_hand.is_empty()
            };
            tokio::select! {
                biased;
                () = self.hands.more.notified() => {}
                () = self.runtime.sleep(LATE), if late => return None,
            }
        }
    }

    async fn handle(&self, entry: Entry) {
        self.faults.point("app.handle").await;
        if !self.writes_late {
            self.write_down();
        }
        let taken = (entry.chat, entry.seq);
        self.hands.held.lock().taken.push(taken);
        self.device.ring();
    }

    /// In one step: what was handled, and how far.
    fn write_down(&self) {
        let written: Vec<Entry> = std::mem::take(&mut self.hands.held.lock().in_hand);
        let (device, at) = (&self.device, self.runtime.elapsed());
        for entry in written {
            device.written(&entry.chat, entry.seq);
            let output = Output::Event(Event::Entry(Box::new(entry)));
            let (who, recorder) = (&device.endpoint, &device.recorder);
            device.witness.observe(at, who, recorder, &output);
        }
        device.ring();
    }
}
