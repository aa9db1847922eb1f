//! Whether the log was closed, and waiting until it is.

use std::sync::atomic::{AtomicBool, Ordering};

use infra_ports::log::LogError;
use tokio::sync::Notify;

/// Set once.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    closed: AtomicBool,
    news: Notify,
}

impl Closing {
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.news.notify_waiters();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(crate) fn check(&self) -> Result<(), LogError> {
        if self.is_closed() {
            return Err(LogError::Closed);
        }
        Ok(())
    }

    /// Returns when it is closed.
    pub(crate) async fn closed(&self) {
        let news = self.news.notified();
        tokio::pin!(news);
        news.as_mut().enable();
        if !self.is_closed() {
            news.await;
        }
    }
}
