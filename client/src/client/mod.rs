//! The handle of a running client: gives commands to its task, takes events from it.
//!
//! Everything here only passes on; decisions are the session's, sockets the shell's.

mod commands;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use schemas::errors::{Code, Refusal};
use schemas::frames::{Command, Frame};
use schemas::ids::{ChatId, ClientId};
use schemas::position::Seq;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot, watch};

pub use self::commands::Group;
use crate::hands::Hands;
use crate::shell::{self, Request};
use crate::{Config, Event, Pending, Progress, State};

/// Why the client could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// It is closed, or its token is refused for good.
    #[error("the client is closed")]
    Closed,
    /// The server's answer is no.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A client: one user's device, connected by itself again and again until closed.
///
/// Cheap to clone; all clones are the same client, which ends when the last one is dropped.
/// [`Client::next`] must be called all the time by somebody: while nobody takes events the socket
/// is not read, and verdicts do not come in either.
#[derive(Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

struct Inner {
    requests: mpsc::Sender<Request>,
    events: AsyncMutex<mpsc::Receiver<Event>>,
    hands: Arc<Hands>,
    state: watch::Receiver<State>,
    prefix: u64,
    next_id: AtomicU64,
}

impl Client {
    /// Starts a client on the current tokio runtime. Returns at once; [`Client::live`] waits.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn connect(config: Config) -> Self {
        let (requests, asked) = mpsc::channel(config.commands.max(1));
        let (told, events) = mpsc::channel(config.events.max(1));
        let (state_told, state) = watch::channel(State::Waiting);
        let hands = Arc::new(Hands::new(config.progress.clone()));
        let user = shell::User {
            events: told,
            state: state_told,
            hands: Arc::clone(&hands),
        };
        tokio::spawn(shell::run(config, asked, user));
        Self {
            inner: Arc::new(Inner {
                requests,
                events: AsyncMutex::new(events),
                hands,
                state,
                prefix: fastrand::u64(..),
                next_id: AtomicU64::new(0),
            }),
        }
    }

    /// The next event; none once the client is closed and everything was taken. Cancel safe.
    ///
    /// Whoever comes for more has done with what it was given what it wants to have done: those
    /// entries count as delivered to this device from now on, and a server never sends them again.
    /// So [`Client::progress`] is to be written down before this is called.
    pub async fn next(&self) -> Option<Event> {
        self.inner.hands.settle();
        let event = self.inner.events.lock().await.recv().await?;
        self.inner.hands.take(&event);
        Some(event)
    }

    /// How far [`Client::next`] has handed over every chat: give it back in [`Config::progress`]
    /// after a restart, and nothing comes twice.
    pub fn progress(&self) -> Progress {
        self.inner.hands.progress()
    }

    /// How far the connection has got.
    pub fn state(&self) -> State {
        *self.inner.state.borrow()
    }

    /// Waits until the client is live: what was missed is in the queue of events. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when that will never be.
    pub async fn live(&self) -> Result<(), ClientError> {
        let mut state = self.inner.state.clone();
        let reached = state
            .wait_for(|state| matches!(state, State::Live | State::Closed))
            .await
            .map_err(|_| ClientError::Closed)?;
        match *reached {
            State::Live => Ok(()),
            State::Waiting | State::Connecting | State::Resuming | State::Closed => {
                Err(ClientError::Closed)
            }
        }
    }

    /// A client id that no other command of this device has.
    #[expect(clippy::missing_panics_doc, reason = "the text is an id by its making")]
    pub fn fresh_id(&self) -> ClientId {
        let number = self.inner.next_id.fetch_add(1, Ordering::Relaxed);
        let text = format!("{:016x}-{number}", self.inner.prefix);
        ClientId::new(text).expect("hexadecimal digits and a dash are a client id")
    }

    /// Gives any command. One with a client id is settled by a verdict, everything else by its
    /// answer ([`Client::ask`]). Waits while too many commands wait. Commands given one after the
    /// other take effect in that order within a chat.
    ///
    /// # Errors
    /// `Closed`; `Refused` with `invalid_field` for a command without a client id.
    pub async fn command(&self, command: Command) -> Result<Pending, ClientError> {
        let Some((_, client_id)) = command.logged() else {
            let reason = "client_id: this command has none; ask for its answer";
            return Err(Refusal::new(Code::InvalidField, reason).into());
        };
        let (pending, promise) = Pending::new(client_id.clone());
        self.request(Request::Command { command, promise }).await?;
        Ok(pending)
    }

    /// Gives a command without a client id (a read, a mark, a setting) and waits for its answer,
    /// over as many connections as that takes.
    ///
    /// # Errors
    /// `Closed`; `Refused` when the server says no.
    pub async fn ask(&self, command: Command) -> Result<Frame, ClientError> {
        let (answer, answered) = oneshot::channel();
        self.request(Request::Ask { command, answer }).await?;
        let frame = answered.await.map_err(|_| ClientError::Closed)??;
        Ok(*frame)
    }

    /// The user has read the chat up to here. Sent soon, merged with others, again until settled.
    ///
    /// # Errors
    /// `Closed`.
    pub async fn mark_read(&self, chat: &ChatId, seq: Seq) -> Result<(), ClientError> {
        let chat = chat.clone();
        self.request(Request::MarkRead { chat, seq }).await
    }

    /// Writes the marks that wait, closes the socket and ends. Commands not yet settled stay
    /// unanswered: their [`Pending`] says `Closed`. Entries that were taken last, without coming for
    /// more, are not marked: the next start does that, when they come again and are in its progress.
    pub async fn close(&self) {
        let (done, ended) = oneshot::channel();
        if self.request(Request::Close { done }).await.is_ok() {
            // An error means that the task is gone, which is what was wanted.
            let _ = ended.await;
        }
    }

    async fn request(&self, request: Request) -> Result<(), ClientError> {
        let given = self.inner.requests.send(request).await;
        given.map_err(|_| ClientError::Closed)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
