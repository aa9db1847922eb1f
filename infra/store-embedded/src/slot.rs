//! Where the engine stands: being opened on a thread of its own, open, or closed.
//!
//! Opening takes as long as reading fjall's journal, 15 ms a MiB or so: what was written since the
//! tables were written out last. Nobody needs the tables to accept a command, so a node need not
//! wait for them. Whoever asks for a row earlier waits here, without holding a thread.

use std::sync::Arc;
use std::time::Instant;

use infra_ports::{StoreError, watch};
use parking_lot::RwLock;

use crate::config::Config;
use crate::directory::Directory;
use crate::engine::Engine;
use crate::errors::OpenError;

/// How the opening ended: nothing yet, well, or with an error.
type Outcome = Option<Result<(), Arc<OpenError>>>;

/// The place of an engine.
pub(crate) struct Slot {
    /// None before it is open, and when it is closed.
    engine: RwLock<Option<Engine>>,
    outcome: watch::Receiver<Outcome>,
}

impl Slot {
    /// Of an engine that is open.
    pub(crate) fn of(engine: Engine) -> Arc<Self> {
        let (_, outcome) = watch::channel(Some(Ok(())));
        Arc::new(Self {
            engine: RwLock::new(Some(engine)),
            outcome,
        })
    }

    /// Opens the tables of a directory on a thread of its own.
    pub(crate) fn open_behind(
        config: Config,
        directory: Directory,
    ) -> Result<Arc<Self>, OpenError> {
        let path = config.path.clone();
        Self::filled_by(move || Engine::open_in(&config, directory))
            .map_err(|source| OpenError::File { path, source })
    }

    /// Runs what makes the engine on a thread of its own.
    fn filled_by(
        open: impl FnOnce() -> Result<Engine, OpenError> + Send + 'static,
    ) -> std::io::Result<Arc<Self>> {
        // Dropped with the thread: should it panic, those who wait hear that nothing will come.
        let (said, outcome) = watch::channel(None);
        let slot = Arc::new(Self {
            engine: RwLock::default(),
            outcome,
        });
        let filled = Arc::clone(&slot);
        let fill = move || {
            let begun = Instant::now();
            let opened = open().map(|engine| *filled.engine.write() = Some(engine));
            match &opened {
                Ok(()) => tracing::info!(took = ?begun.elapsed(), "the tables are open"),
                Err(error) => tracing::error!(%error, "the tables do not open"),
            }
            said.send_replace(Some(opened.map_err(Arc::new)));
        };
        let thread = std::thread::Builder::new().name("store-opening".to_owned());
        thread.spawn(fill)?;
        Ok(slot)
    }

    /// Waits until the tables are open.
    pub(crate) async fn opened(&self) -> Result<(), Arc<OpenError>> {
        let outcome = self.outcome.clone().wait_for(Option::is_some).await;
        outcome
            .ok()
            .flatten()
            .unwrap_or_else(|| Err(Arc::new(OpenError::Abandoned)))
    }

    /// What the engine says, now.
    pub(crate) fn now<R>(&self, ask: impl FnOnce(&Engine) -> R) -> Option<R> {
        self.engine.read().as_ref().map(ask)
    }

    /// Calls the engine, as soon as it is open.
    pub(crate) async fn with<R>(
        &self,
        call: impl FnOnce(&Engine) -> Result<R, StoreError> + Send,
    ) -> Result<R, StoreError> {
        if let Some(engine) = self.engine.read().as_ref() {
            return call(engine);
        }
        self.opened().await.map_err(|_| StoreError::Closed)?;
        call(self.engine.read().as_ref().ok_or(StoreError::Closed)?)
    }

    /// Takes the engine out for good, as soon as it is open; waits for calls under way.
    pub(crate) async fn take(&self) -> Option<Engine> {
        self.opened().await.ok()?;
        self.engine.write().take()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use super::*;

    fn wait<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(future)
    }

    #[test]
    fn calls_wait_for_tables_that_are_being_opened() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            path: dir.path().into(),
            ..Config::default()
        };
        let (go, may_go) = mpsc::channel();
        let slot = Slot::filled_by(move || {
            may_go.recv().unwrap();
            Engine::open_in(&config, Directory::take(&config.path)?)
        });
        let slot = slot.unwrap();
        let mut call = pin!(slot.with(|engine| Ok(engine.blocks_read())));
        let mut closing = pin!(slot.take());
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending());
        assert!(closing.as_mut().poll(&mut context).is_pending());
        assert!(slot.now(|_| ()).is_none());
        go.send(()).unwrap();
        assert_eq!(wait(call).unwrap(), (0, 0));
        assert!(wait(closing).is_some());
        let after = wait(slot.with(|engine| Ok(engine.blocks_read())));
        assert!(matches!(after, Err(StoreError::Closed)));
    }

    #[test]
    fn nobody_waits_for_a_thread_that_died() {
        let slot =
            Slot::filled_by(|| panic!("a test: fjall does so on half a definition")).unwrap();
        let why = wait(slot.opened()).unwrap_err();
        assert!(matches!(*why, OpenError::Abandoned), "{why}");
        let call = wait(slot.with(|engine| Ok(engine.blocks_read())));
        assert!(matches!(call, Err(StoreError::Closed)));
        assert!(wait(slot.take()).is_none());
    }
}
