//! A command under way, in the hands of the one who gave it.

use std::future::{Future, IntoFuture};
use std::pin::Pin;

use schemas::ids::ClientId;
use tokio::sync::oneshot;

use crate::{ClientError, Outcome, Sent};

/// A logged command under way. Await it for its [`Outcome`]; [`Pending::sent`] for the moment at
/// which it is durable. Dropping it does not stop the command.
#[derive(Debug)]
#[must_use = "await it to learn whether the command counts"]
pub struct Pending {
    pub(crate) client_id: ClientId,
    pub(crate) sent: oneshot::Receiver<Sent>,
    pub(crate) outcome: oneshot::Receiver<Outcome>,
}

/// The shell's ends of a [`Pending`].
#[derive(Debug)]
pub(crate) struct Promise {
    pub(crate) sent: Option<oneshot::Sender<Sent>>,
    pub(crate) outcome: oneshot::Sender<Outcome>,
}

impl Pending {
    pub(crate) fn new(client_id: ClientId) -> (Self, Promise) {
        let (sent, told_sent) = oneshot::channel();
        let (outcome, told_outcome) = oneshot::channel();
        let pending = Self {
            client_id,
            sent: told_sent,
            outcome: told_outcome,
        };
        let sent = Some(sent);
        (pending, Promise { sent, outcome })
    }

    /// The id under which the command travels.
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }

    /// Waits until the server said that the log has the command: `Some`. `None` when it was settled
    /// without that being heard (the answer was lost with its socket, or the command was refused at
    /// once), or after a first call. Cancel safe.
    pub async fn sent(&mut self) -> Option<Sent> {
        (&mut self.sent).await.ok()
    }

    /// Waits for the outcome without giving up the handle. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the client was closed before, and after a first answer.
    pub async fn settled(&mut self) -> Result<Outcome, ClientError> {
        (&mut self.outcome).await.map_err(|_| ClientError::Closed)
    }

    /// Waits for the outcome. Cancel safe in that the command goes on.
    ///
    /// # Errors
    /// [`ClientError::Closed`] when the client was closed before.
    pub async fn outcome(self) -> Result<Outcome, ClientError> {
        self.outcome.await.map_err(|_| ClientError::Closed)
    }
}

impl IntoFuture for Pending {
    type Output = Result<Outcome, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.outcome())
    }
}
