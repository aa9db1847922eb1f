//! Sockets that have not said who they are, from all addresses together: each costs a socket and a
//! session's beginnings for as long as a hello may take, and whoever has many addresses could take
//! every session with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::addresses::Place;
use crate::metrics;

/// All of them. A clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Strangers {
    limit: u32,
    count: Arc<AtomicU32>,
}

impl Strangers {
    /// Nobody is here yet; at most so many.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            count: Arc::default(),
        }
    }

    /// Lets one more in; none when there are as many as there may be.
    pub(crate) fn enter(&self) -> Option<Stranger> {
        let one_more = |count: u32| (count < self.limit).then_some(count + 1);
        let (set, fetch) = (Ordering::AcqRel, Ordering::Acquire);
        if self.count.fetch_update(set, fetch, one_more).is_err() {
            metrics::strangers_full();
            return None;
        }
        metrics::stranger(true);
        Some(Stranger {
            count: Arc::clone(&self.count),
        })
    }
}

/// One of them, until it is dropped: it has said who it is, or is gone.
#[derive(Debug)]
pub(crate) struct Stranger {
    count: Arc<AtomicU32>,
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        metrics::stranger(false);
    }
}

/// What a socket holds until it has said who it is: the place of its address, and its own among all
/// strangers unless it brought its token in the handshake.
pub(crate) struct UntilKnown {
    _place: Arc<Place>,
    _stranger: Option<Stranger>,
}

impl UntilKnown {
    pub(crate) fn new(place: Arc<Place>, stranger: Option<Stranger>) -> Self {
        Self {
            _place: place,
            _stranger: stranger,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_never_more_than_there_may_be_and_who_goes_makes_room() {
        let strangers = Strangers::new(2);
        let (first, second) = (strangers.enter(), strangers.clone().enter());
        assert!(first.is_some() && second.is_some());
        assert!(strangers.enter().is_none());
        drop(first);
        let third = strangers.enter();
        assert!(third.is_some() && strangers.enter().is_none());
        drop((second, third));
        assert_eq!(strangers.count.load(Ordering::Acquire), 0);
    }
}
