//! A value that many wait for: set by one, seen by all, the newest only.
//!
//! What `tokio::sync::watch` is, but that those who wait are woken in the order in which they began
//! to: tokio wakes them in an order of chance of its own, and a run with a seed must be the same
//! each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

#[derive(Debug)]
struct Shared<T> {
    value: Mutex<T>,
    over: AtomicBool,
    news: Notify,
}

/// Sets the value. When it is dropped, those who still wait are told so.
#[derive(Debug)]
pub struct Sender<T>(Arc<Shared<T>>);

/// Waits for the value. A clone waits apart.
#[derive(Debug)]
pub struct Receiver<T>(Arc<Shared<T>>);

impl<T> Clone for Receiver<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// The sender is gone: the value will not change any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the sender is gone")]
pub struct Over;

/// A sender and a receiver of a value that begins as `value`.
pub fn channel<T>(value: T) -> (Sender<T>, Receiver<T>) {
    let sender = Sender::new(value);
    let receiver = sender.subscribe();
    (sender, receiver)
}

impl<T> Sender<T> {
    /// A sender of a value that begins as `value`.
    pub fn new(value: T) -> Self {
        Self(Arc::new(Shared {
            value: Mutex::new(value),
            over: AtomicBool::new(false),
            news: Notify::new(),
        }))
    }

    /// Somebody who can wait for it.
    pub fn subscribe(&self) -> Receiver<T> {
        Receiver(Arc::clone(&self.0))
    }

    /// Sets the value, whether anybody waits or not, and returns the one before.
    pub fn send_replace(&self, value: T) -> T {
        let before = std::mem::replace(&mut *self.0.value.lock(), value);
        self.0.news.notify_waiters();
        before
    }

    /// The value as it is. Holds a lock: not to be kept.
    pub fn borrow(&self) -> MutexGuard<'_, T> {
        self.0.value.lock()
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Release);
        self.0.news.notify_waiters();
    }
}

impl<T: Clone> Receiver<T> {
    /// The value as it is.
    pub fn get(&self) -> T {
        self.0.value.lock().clone()
    }

    /// Waits until the value is as wanted, and returns it. Cancel safe.
    ///
    /// # Errors
    /// [`Over`] when it is not and the sender is gone.
    pub async fn wait_for(&mut self, mut wanted: impl FnMut(&T) -> bool) -> Result<T, Over> {
        loop {
            let news = self.0.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let over = self.0.over.load(Ordering::Acquire);
            {
                let value = self.0.value.lock();
                if wanted(&value) {
                    return Ok(value.clone());
                }
            }
            if over {
                return Err(Over);
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::memory::{Chances, Executor, Halt, Node};

    #[test]
    fn who_waits_gets_the_value_or_hears_that_the_sender_is_gone() {
        let (sender, mut receiver) = channel(1);
        assert_eq!(receiver.wait_for(|n| *n == 1).now_or_never(), Some(Ok(1)));
        assert_eq!(receiver.wait_for(|n| *n > 1).now_or_never(), None);
        assert_eq!(sender.send_replace(2), 1);
        assert_eq!(*sender.borrow(), 2);
        assert_eq!(receiver.get(), 2);
        assert_eq!(receiver.wait_for(|n| *n > 1).now_or_never(), Some(Ok(2)));
        drop(sender);
        assert_eq!(
            receiver.wait_for(|n| *n > 2).now_or_never(),
            Some(Err(Over))
        );
        assert_eq!(receiver.wait_for(|n| *n > 1).now_or_never(), Some(Ok(2)));
    }

    #[test]
    fn all_who_wait_are_woken_in_the_order_in_which_they_began_to() {
        let mut executor = Executor::seeded(0, Chances::CALM);
        let (sender, receiver) = channel(false);
        let woken = Arc::new(Mutex::new(Vec::new()));
        for n in 0..100 {
            let (mut receiver, woken) = (receiver.clone(), Arc::clone(&woken));
            let task = async move {
                receiver.wait_for(|set| *set).await.unwrap();
                woken.lock().push(n);
            };
            crate::Runtime::spawn(&executor.runtime(Node(1)), "waits", Box::pin(task));
        }
        assert_eq!(executor.run_until(|| false), Halt::Idle);
        sender.send_replace(true);
        assert_eq!(executor.run_until(|| false), Halt::Idle);
        assert_eq!(*woken.lock(), (0..100).collect::<Vec<_>>());
    }
}
