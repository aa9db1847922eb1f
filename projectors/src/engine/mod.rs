//! The engine: runs a projection over the partitions of its topic, exactly as rule 5 says.
//!
//! ```text
//!  log ─▶ chunk ─▶ folding ─▶ instance ─▶ append to `users`        (the path of a message)
//!         decode   load,apply    │
//!                                └─▶ remember: sync, rows, states, checkpoint   (beside it)
//! ```
//!
//! At-least-once reading, versioned rows and skipped positions together give exactly-once effects:
//! any batching, any crash, any redelivery and a second engine at the same time end in the same
//! rows. The engine knows no projection's meaning; a projection knows nothing of its scheduling.

pub(crate) mod cache;
pub mod checkpoints;
pub(crate) mod chunk;
pub mod config;
mod emitting;
pub(crate) mod folding;
mod handing;
mod instance;
pub(crate) mod membership;
pub mod projection;
mod reading;
pub(crate) mod remember;
pub(crate) mod retry;
pub mod status;
pub mod stop;

use std::sync::Arc;

use infra_ports::{EventLog, Runtime, TableStore, watch};
use schemas::position::{Generation, Partition};
use tokio::sync::mpsc;

use crate::metrics::Counts;
use checkpoints::{Checkpoints, NO_BUILD};
use config::EngineConfig;
use emitting::Emitting;
use folding::Folding;
use instance::{Instance, Places};
use membership::{Group, Membership};
use projection::{Projection, Tables};
use remember::Writer;
use retry::Retry;
use status::{Board, Status};
use stop::Stop;

/// What an engine needs of the world.
#[derive(Clone)]
pub struct Ports {
    /// The log it reads and appends to.
    pub log: Arc<dyn EventLog>,
    /// The store it writes rows to.
    pub store: Arc<dyn TableStore>,
    /// Tasks and time.
    pub runtime: Arc<dyn Runtime>,
}

/// A running projection. Dropping it tells it to stop.
#[derive(Debug)]
pub struct Running {
    status: Status,
    stop: watch::Sender<bool>,
}

impl Running {
    /// Its progress and health.
    pub fn status(&self) -> Status {
        self.status.clone()
    }

    /// Tells it to stop and waits until everything folded is written and checkpointed, or a port
    /// fails once more.
    ///
    /// # Errors
    /// Why it had stopped by itself.
    pub async fn stop(&self) -> Result<(), Stop> {
        self.stop.send_replace(true);
        self.status.ended().await
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

/// Starts a projection over all partitions of its topic, or those that a group gives it, on a thread
/// of its own, with a second one for its writes.
pub(crate) fn start<P: Projection>(
    projection: P,
    ports: &Ports,
    config: &EngineConfig,
    generation: Generation,
    group: Option<Group>,
) -> Running {
    let all = (0..ports.log.partitions()).map(Partition);
    let own: Vec<Partition> = all.filter(|_| group.is_none()).collect();
    let board = Arc::new(Board::new(P::NAME, &own, group.is_some()));
    let (stop, told_to_stop) = watch::channel(false);
    let stops = Some(told_to_stop.clone());
    let (runtime, pause) = (ports.runtime.clone(), config.first_pause);
    let retry = Retry::new(runtime, board.clone(), pause, stops);
    let checkpoints = Checkpoints {
        store: ports.store.clone(),
        projection: P::NAME,
        generation,
        topic: P::ORIGIN,
        kept_in: NO_BUILD,
    };
    let (jobs, jobs_in) = mpsc::channel(1);
    let (done_out, done) = mpsc::channel(1);
    let writer = Writer {
        log: ports.log.clone(),
        store: ports.store.clone(),
        checkpoints: checkpoints.clone(),
        retry: retry.clone(),
        rows_per_write: config.rows_per_write,
    };
    let tables = Tables {
        store: ports.store.clone(),
        generation,
        rows_per_read: config.rows_per_read,
    };
    let (count, weight) = (ports.log.partitions(), config.cache_weight);
    let instance = Instance {
        folding: Folding::new(Arc::new(projection), tables, retry.clone(), count, weight),
        log: ports.log.clone(),
        runtime: ports.runtime.clone(),
        board: board.clone(),
        config: config.clone(),
        checkpoints,
        emitting: Emitting::new(ports.log.clone(), ports.runtime.clone(), retry.clone()),
        retry,
        membership: Membership::new(group, ports.runtime.clone()),
        stop: told_to_stop,
        jobs,
        done,
        place: Places::default(),
        counts: Counts::of(P::NAME),
        looking: Arc::default(),
    };
    let runtime = &ports.runtime;
    runtime.spawn_dedicated(P::NAME, Box::pin(run(instance, board.clone())));
    runtime.spawn_dedicated(P::WRITER, Box::pin(writer.run(jobs_in, done_out)));
    let status = Status(board);
    Running { status, stop }
}

async fn run<P: Projection>(instance: Instance<P>, board: Arc<Board>) {
    let mut last_word = LastWord {
        board,
        how: Some(Err(Stop::Broken("its loop was dropped".into()))),
    };
    let how = instance.run().await;
    match &how {
        Ok(()) => tracing::info!(projection = P::NAME, "projection ended"),
        Err(stop) => {
            tracing::error!(projection = P::NAME, %stop, "projection stopped");
            crate::metrics::stopped(P::NAME, stop.word());
        }
    }
    last_word.how = Some(how);
}

/// Says how a loop ended, also when it panicked.
struct LastWord {
    board: Arc<Board>,
    how: Option<Result<(), Stop>>,
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if let Some(how) = self.how.take() {
            self.board.ended(how);
        }
    }
}
