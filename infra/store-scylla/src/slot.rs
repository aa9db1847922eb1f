//! Where the session stands: not there yet, there, or closed.
//!
//! A node takes commands without tables, so it need not wait for Cassandra to start. Whoever asks for
//! a row earlier waits here as long as a request may take, and hears then that nothing answers yet.

use std::sync::{Arc, Weak};
use std::time::Duration;

use infra_ports::store::StoreError;
use parking_lot::RwLock;
use scylla::client::session::Session;
use tokio::sync::watch;

use crate::config::Config;
use crate::connect::connect;

/// How long nobody is asked after one try to connect has failed.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How the session stands.
#[derive(Clone)]
enum Standing {
    /// Not there; why not, when a try has failed.
    Awaited(Option<String>),
    Open,
    Closed,
}

/// The place of a session.
pub(crate) struct Slot {
    /// None before there is one, and when it was closed.
    session: RwLock<Option<Arc<Session>>>,
    standing: watch::Sender<Standing>,
}

impl Slot {
    /// Of a session that is there.
    pub(crate) fn of(session: Session) -> Arc<Self> {
        let slot = Self::empty();
        slot.fill(session);
        slot
    }

    /// Of one that is connected beside, again and again until that works. Ends with the slot.
    pub(crate) fn filled_behind(config: Config) -> Arc<Self> {
        let slot = Self::empty();
        tokio::spawn(insist(config, Arc::downgrade(&slot)));
        slot
    }

    fn empty() -> Arc<Self> {
        let (standing, _) = watch::channel(Standing::Awaited(None));
        Arc::new(Self {
            session: RwLock::default(),
            standing,
        })
    }

    fn fill(&self, session: Session) {
        let mut place = self.session.write();
        self.standing.send_if_modified(|standing| {
            let awaited = matches!(standing, Standing::Awaited(_));
            if awaited {
                *place = Some(Arc::new(session));
                *standing = Standing::Open;
            }
            awaited
        });
    }

    /// The session, as soon as there is one, and no later than after this time.
    pub(crate) async fn session(&self, within: Duration) -> Result<Arc<Session>, StoreError> {
        if let Some(session) = &*self.session.read() {
            return Ok(Arc::clone(session));
        }
        let mut standing = self.standing.subscribe();
        let settled = standing.wait_for(|standing| !matches!(standing, Standing::Awaited(_)));
        if tokio::time::timeout(within, settled).await.is_err() {
            let reason = self.awaited().flatten();
            let reason = reason.unwrap_or_else(|| "no session with Cassandra yet".to_owned());
            return Err(StoreError::Unavailable(reason));
        }
        self.session.read().clone().ok_or(StoreError::Closed)
    }

    /// Whether the session is still awaited and, when a try has failed, why.
    pub(crate) fn awaited(&self) -> Option<Option<String>> {
        match &*self.standing.borrow() {
            Standing::Awaited(reason) => Some(reason.clone()),
            Standing::Open | Standing::Closed => None,
        }
    }

    /// Takes the session out for good.
    pub(crate) fn close(&self) {
        let mut place = self.session.write();
        place.take();
        self.standing.send_replace(Standing::Closed);
    }

    fn is_closed(&self) -> bool {
        matches!(*self.standing.borrow(), Standing::Closed)
    }
}

/// Connects until it works, or nobody wants it any more.
async fn insist(config: Config, slot: Weak<Slot>) {
    loop {
        let outcome = connect(&config).await;
        let Some(slot) = slot.upgrade().filter(|slot| !slot.is_closed()) else {
            return;
        };
        match outcome {
            Ok(session) => {
                tracing::info!("there is a session with Cassandra");
                return slot.fill(session);
            }
            Err(error) => {
                tracing::warn!(%error, "tables wait for Cassandra");
                let reason = Standing::Awaited(Some(error.to_string()));
                slot.standing.send_if_modified(|standing| {
                    let awaited = matches!(standing, Standing::Awaited(_));
                    if awaited {
                        *standing = reason;
                    }
                    awaited
                });
            }
        }
        drop(slot);
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}
