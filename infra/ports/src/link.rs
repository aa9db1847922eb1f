//! The link between workers and gateways: subscriptions one way, what was told the other.
//!
//! A gateway names its subscribers by numbers of its own; a worker answers with the `users` offset
//! from which on it delivers. When a worker, or what carries the link, cannot promise that any longer
//! (a tail broke, a partition moved, a connection broke or overflowed), the gateway is told
//! `detached`, and resumes those users as if they had just come: silence is never taken for health.
//!
//! ```text
//!  worker: Feed ◀── subscribe, unsubscribe ── Link :gateway
//!               ─── deliver, detached, ended ──▶ Deliveries
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use schemas::events::UserEvent;
use schemas::ids::UserId;
use schemas::position::{Offset, Partition};
use tokio::sync::oneshot;

/// A gateway's own number for a user with at least one session or watch; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubscriberId(pub u64);

/// A worker's own number for a gateway's attachment; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId(pub u64);

/// From where on a worker delivers what a user is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribed {
    /// The user's partition of `users`.
    pub partition: Partition,
    /// Records from this offset on are delivered; what is below is in the inbox, or will be.
    pub from: Offset,
}

/// One record of `users` for the subscribers of one gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    /// Whom it concerns, in the record's order.
    pub to: Vec<SubscriberId>,
    /// What they are told.
    pub event: Arc<UserEvent>,
    /// The same as it stands in the log.
    pub record: Bytes,
}

/// What carried a subscription was lost before it was answered: whoever still wants it asks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the link was lost before it answered")]
pub struct LinkGone;

/// A subscription that was asked for; ends when it has taken effect. Dropping it changes nothing.
#[derive(Debug)]
pub struct Subscribing(Answer);

#[derive(Debug)]
enum Answer {
    Now(Subscribed),
    Later(oneshot::Receiver<Subscribed>),
    Both(Box<Both>),
}

/// The answers of two workers.
#[derive(Debug)]
struct Both {
    one: Subscribing,
    told: Option<Subscribed>,
    /// None once it was answered, or is gone.
    other: Option<Subscribing>,
    /// From where on the other one tells.
    from: Offset,
}

impl Subscribing {
    /// One that has taken effect already.
    #[must_use]
    pub fn done(subscribed: Subscribed) -> Self {
        Self(Answer::Now(subscribed))
    }

    /// One that will be answered.
    #[must_use]
    pub fn later(answer: oneshot::Receiver<Subscribed>) -> Self {
        Self(Answer::Later(answer))
    }

    /// Answered when both are, with the later offset: from there on both workers tell. When the other one
    /// is gone, the answer is that of the one alone.
    #[must_use]
    pub fn both(one: Self, other: Self) -> Self {
        let mut both = Both {
            one,
            told: None,
            other: Some(other),
            from: Offset(0),
        };
        // What is there is not waited for.
        match both.look(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(subscribed)) => Self::done(subscribed),
            Poll::Ready(Err(LinkGone)) => Self::later(oneshot::channel().1),
            Poll::Pending => Self(Answer::Both(Box::new(both))),
        }
    }

    /// True when the answer is there without waiting.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.0, Answer::Now(_))
    }
}

impl Future for Subscribing {
    type Output = Result<Subscribed, LinkGone>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Answer::Now(subscribed) => Poll::Ready(Ok(*subscribed)),
            Answer::Later(answer) => Pin::new(answer).poll(context).map_err(|_| LinkGone),
            Answer::Both(both) => both.look(context),
        }
    }
}

impl Both {
    fn look(&mut self, context: &mut Context<'_>) -> Poll<Result<Subscribed, LinkGone>> {
        if self.told.is_none()
            && let Poll::Ready(told) = Pin::new(&mut self.one).poll(context)
        {
            match told {
                Ok(told) => self.told = Some(told),
                Err(gone) => return Poll::Ready(Err(gone)),
            }
        }
        if let Some(other) = &mut self.other
            && let Poll::Ready(told) = Pin::new(other).poll(context)
        {
            self.from = told.map_or(self.from, |told| told.from);
            self.other = None;
        }
        match (self.told, &self.other) {
            (Some(told), None) => Poll::Ready(Ok(Subscribed {
                from: told.from.max(self.from),
                ..told
            })),
            (Some(_) | None, _) => Poll::Pending,
        }
    }
}

/// The workers, as a gateway sees them.
pub trait Link: Send + Sync + 'static {
    /// Subscribes a user under a number. Calls take effect in the order in which they are made, each
    /// before its answer; the answer waits for as long as the worker cannot be reached. Subscribing
    /// again gives the offset from which on records are delivered after this call.
    fn subscribe(&self, user: &UserId, subscriber: SubscriberId) -> Subscribing;

    /// Ends a subscription; records under way may still come.
    fn unsubscribe(&self, user: &UserId);

    /// How many of this gateway's users the workers know now.
    fn subscribers(&self) -> usize;
}

/// A gateway, as a worker sees it. Called on the worker's or the link's own thread.
pub trait Deliveries: Send + Sync + 'static {
    /// Takes a batch in log order, a partition's records never twice but after `detached`. Must not
    /// block.
    fn deliver(&self, batch: Vec<Told>);

    /// Records of these partitions may have been left out: their users must resume.
    fn detached(&self, partitions: &[Partition]);

    /// Nothing will be delivered any more.
    fn ended(&self);
}

/// A worker, as what carries the link sees it.
pub trait Feed: Send + Sync + 'static {
    /// A gateway that is to be told what concerns its subscribers, of which it has none yet. A worker
    /// that has ended tells it so before this returns.
    fn attach(&self, deliveries: Arc<dyn Deliveries>) -> GatewayId;

    /// Subscribes a user for a gateway. Takes effect before it returns. Subscribing again gives the
    /// offset from which on records are delivered after this call.
    fn subscribe(&self, gateway: GatewayId, user: &UserId, subscriber: SubscriberId) -> Subscribed;

    /// Ends a subscription; a batch under way may still come.
    fn unsubscribe(&self, gateway: GatewayId, user: &UserId);

    /// How many users a gateway has subscribed.
    fn subscribers(&self, gateway: GatewayId) -> usize;

    /// A gateway is gone with all its subscriptions.
    fn leave(&self, gateway: GatewayId);
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn told(from: u64) -> Subscribed {
        Subscribed {
            partition: Partition(3),
            from: Offset(from),
        }
    }

    #[test]
    fn two_workers_have_answered_when_both_have_and_the_later_offset_counts() {
        let at_once = Subscribing::both(Subscribing::done(told(7)), Subscribing::done(told(9)));
        assert!(at_once.is_done());
        assert_eq!(at_once.now_or_never(), Some(Ok(told(9))));
        let ((tell, one), (tell_other, other)) = (oneshot::channel(), oneshot::channel());
        let mut both = Subscribing::both(Subscribing::later(one), Subscribing::later(other));
        tell_other.send(told(5)).unwrap();
        assert_eq!((&mut both).now_or_never(), None);
        tell.send(told(7)).unwrap();
        assert_eq!((&mut both).now_or_never(), Some(Ok(told(7))));
    }

    #[test]
    fn the_second_of_two_workers_may_be_lost_and_the_first_may_not() {
        let gone = || Subscribing::later(oneshot::channel().1);
        let first = Subscribing::both(Subscribing::done(told(7)), gone());
        assert_eq!(first.now_or_never(), Some(Ok(told(7))));
        let second = Subscribing::both(gone(), Subscribing::done(told(9)));
        assert_eq!(second.now_or_never(), Some(Err(LinkGone)));
        let (tell, one) = oneshot::channel();
        let mut both = Subscribing::both(Subscribing::later(one), Subscribing::done(told(9)));
        assert_eq!((&mut both).now_or_never(), None);
        drop(tell);
        assert_eq!((&mut both).now_or_never(), Some(Err(LinkGone)));
    }
}
