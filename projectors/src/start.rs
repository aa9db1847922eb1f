//! The projections that a process runs, over all partitions or over its share of them.

use futures_util::future::join_all;
use infra_ports::EventLog;
use schemas::position::{Generation, Partition};
use schemas::topics::Topic;

use crate::chats::Chats;
use crate::config::Config;
use crate::engine::config::EngineConfig;
use crate::engine::projection::Projection;
use crate::engine::status::Status;
use crate::engine::stop::Stop;
use crate::engine::{self, Ports, Running};
use crate::inbox::Inbox;
use crate::receipts::Receipts;
use crate::settings::SettingsOfChats;
use crate::share::Share;

/// The names of the projections.
pub const PROJECTIONS: [&str; 4] = [
    Chats::NAME,
    Inbox::NAME,
    Receipts::NAME,
    SettingsOfChats::NAME,
];

/// The topic that a projection's tables are made from; none for a name that is no projection's.
pub fn origin(projection: &str) -> Option<Topic> {
    let origins = [
        Chats::ORIGIN,
        Inbox::ORIGIN,
        Receipts::ORIGIN,
        SettingsOfChats::ORIGIN,
    ];
    let mut pairs = PROJECTIONS.iter().zip(origins);
    pairs.find_map(|(name, origin)| (*name == projection).then_some(origin))
}

/// The projections of a process, running.
#[derive(Debug)]
pub struct Projectors {
    running: Vec<Running>,
}

/// Starts the projections of this share, writing to this generation.
pub fn start(ports: &Ports, config: &Config, generation: Generation, share: &Share) -> Projectors {
    let start = Start {
        ports,
        generation,
        share,
    };
    let running = [
        start.one(Chats, &config.chats),
        start.one(Inbox::default(), &config.inbox),
        start.one(Receipts, &config.receipts),
        start.one(SettingsOfChats, &config.settings),
    ];
    Projectors {
        running: running.into_iter().flatten().collect(),
    }
}

struct Start<'a> {
    ports: &'a Ports,
    generation: Generation,
    share: &'a Share,
}

impl Start<'_> {
    fn one<P: Projection>(&self, projection: P, config: &EngineConfig) -> Option<Running> {
        let (generation, share) = (self.generation, self.share);
        let group = share.group(P::NAME, generation, P::ORIGIN);
        let start = || engine::start(projection, self.ports, config, generation, group);
        share.has(P::NAME).then(start)
    }
}

impl Projectors {
    /// The status of each that is run here, in the order of [`PROJECTIONS`].
    pub fn statuses(&self) -> Vec<Status> {
        self.running.iter().map(Running::status).collect()
    }

    /// The status of one, by its name, when it is run here.
    pub fn status(&self, projection: &str) -> Option<Status> {
        let mut statuses = self.running.iter().map(Running::status);
        statuses.find(|status| status.name() == projection)
    }

    /// Waits until the tables hold everything that is in the log when it is called, and what follows
    /// from that, in the partitions that are its.
    ///
    /// # Errors
    /// Why a projection stopped; those of the log.
    ///
    /// Cancel safety: may be dropped at any time.
    pub async fn apply_all(&self, log: &dyn EventLog) -> Result<(), Stop> {
        for status in self.statuses() {
            let topic = origin(status.name()).unwrap_or(Chats::ORIGIN);
            // What chats has just told is durable before its checkpoint moves.
            log.sync(topic).await?;
            let partitions: Vec<Partition> = (0..log.partitions()).map(Partition).collect();
            let ends = log.positions_of(topic, &partitions).await?;
            for (partition, ends) in partitions.into_iter().zip(ends) {
                tokio::select! {
                    biased;
                    _ = status.wait_applied(partition, ends.durable_end) => {}
                    ended = status.ended() => ended?,
                }
            }
        }
        Ok(())
    }

    /// Stops all, side by side: each writes and checkpoints what it has folded.
    ///
    /// # Errors
    /// Why the first of those that had stopped by themselves did so.
    pub async fn stop(&self) -> Result<(), Stop> {
        let all = join_all(self.running.iter().map(Running::stop)).await;
        all.into_iter().collect()
    }
}
