//! Futures that a session has under way. Most sessions have none most of the time: an empty set is
//! one word here, where one of the library is three allocations.

use futures_util::Stream;
use futures_util::stream::StreamExt;

/// A set of futures which is there while something is in it.
pub(super) struct UnderWay<S>(Option<Box<Busy<S>>>);

/// A set with something in it.
struct Busy<S> {
    set: S,
    count: usize,
}

impl<S> Default for UnderWay<S> {
    fn default() -> Self {
        Self(None)
    }
}

impl<S: Stream + Default + Unpin> UnderWay<S> {
    /// Adds one; it begins when the next one that is ready is asked for.
    pub(super) fn push<F>(&mut self, future: F)
    where
        S: Extend<F>,
    {
        let empty = || {
            let set = S::default();
            Box::new(Busy { set, count: 0 })
        };
        let busy = self.0.get_or_insert_with(empty);
        busy.set.extend([future]);
        busy.count += 1;
    }

    /// How many are under way.
    pub(super) fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |busy| busy.count)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Waits for the next one that is ready; none at once when there is none. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<S::Item> {
        let busy = self.0.as_mut()?;
        let item = busy.set.next().await;
        busy.count -= 1;
        if busy.count == 0 {
            self.0 = None;
        }
        item
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::FutureExt;
    use futures_util::stream::FuturesOrdered;

    use super::*;

    #[test]
    fn nothing_is_held_once_everything_is_through() {
        let mut under_way = UnderWay::<FuturesOrdered<_>>::default();
        assert_eq!(under_way.next().now_or_never(), Some(None));
        for n in 0..3 {
            under_way.push(ready(n));
        }
        assert_eq!(under_way.len(), 3);
        let all = std::iter::from_fn(|| under_way.next().now_or_never().flatten());
        assert_eq!(all.collect::<Vec<_>>(), [0, 1, 2]);
        assert!(under_way.is_empty() && under_way.0.is_none());
    }
}
