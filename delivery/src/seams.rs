//! What delivery needs of others in the domain, as traits that the node implements: somebody who
//! takes commands, and somebody who knows how far the tables are.

use std::net::IpAddr;
use std::time::Duration;

use async_trait::async_trait;
use infra_ports::BoxFuture;
use schemas::errors::Refusal;
use schemas::events::MarkKind;
use schemas::frames::{Command, Receipt, Settled};
use schemas::ids::{ChatId, Identity, UserId};
use schemas::position::{Offset, Ordinal, Partition, Seq};

/// A mark with everything that the server adds to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedMark {
    /// The chat.
    pub chat: ChatId,
    /// Delivered or read; read implies delivered.
    pub kind: MarkKind,
    /// Up to this event.
    pub seq: Seq,
    /// The countable messages up to `seq`.
    pub ordinal: Ordinal,
    /// The user's join that the mark belongs to; 0 in a direct chat.
    pub since: Seq,
    /// The newest authors, at most 16, of messages that the mark newly covers.
    pub authors: Vec<UserId>,
}

/// Takes what clients want, and says how much they may ask for. Implemented over `ingest`.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// Says who a token speaks for.
    ///
    /// # Errors
    /// `token_expired` or `unauthorized`.
    fn authenticate(&self, token: &str) -> Result<Identity, Refusal>;

    /// Says whether this address may ask for something now. To be asked before a token is looked
    /// at, once a request.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which it may.
    fn admit(&self, address: IpAddr) -> Result<(), Refusal>;

    /// Says whether a device may read something now, and counts it as done.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which it may.
    fn may_read(&self, identity: &Identity) -> Result<(), Refusal>;

    /// Takes a command that is appended to the log: checks it now, and appends it when the future is
    /// first polled. Durable when it answers `Ok`. Many of these futures wait at once, so they are
    /// to be small.
    ///
    /// Ordering: two commands of one chat are in the log in the order in which these futures were
    /// first polled.
    ///
    /// # Errors
    /// The refusal for the client.
    fn accept(
        &self,
        identity: &Identity,
        command: Command,
    ) -> BoxFuture<'static, Result<Receipt, Refusal>>;

    /// Takes marks together. Answers each, in their order; one is durable when its answer is `Ok`.
    async fn mark_all(&self, marks: Vec<(Identity, StampedMark)>) -> Vec<Result<Settled, Refusal>>;
}

/// How far the tables are. Implemented over the projectors' own status.
#[async_trait]
pub trait Applied: Send + Sync + 'static {
    /// Every record of the projection's topic below this offset has its rows in the tables.
    fn applied(&self, projection: &'static str, partition: Partition) -> Offset;

    /// Waits until everything below `offset` is in the tables; false when time is over before.
    async fn wait_applied(
        &self,
        projection: &'static str,
        partition: Partition,
        offset: Offset,
        timeout: Duration,
    ) -> bool;
}

/// The projection that makes timelines, chats and members.
pub(crate) const CHATS: &str = "chats";
/// The projection that makes inboxes.
pub(crate) const INBOX: &str = "inbox";
