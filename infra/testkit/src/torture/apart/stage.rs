//! What is tortured: three brokers, Cassandra and Redis, and on them a process a role.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use infra_servers::Servers;

use super::victims::Target;
use super::{Hit, PARTITIONS, rebuilds};
use crate::cluster::Cluster;

/// Names and roles of the processes, in the order in which they are started.
pub const PROCESSES: [(&str, &str); 7] = [
    ("projectors-1", "projectors"),
    ("projectors-2", "projectors"),
    ("worker-1", "worker"),
    ("worker-2", "worker"),
    ("gateway-1", "gateway"),
    // Linked to its own worker by a call, and to the others.
    ("gateway-2", "gateway,worker"),
    ("ingest", "ingest"),
];

/// A platform that runs, and what it stands on.
pub struct Stage {
    /// The servers.
    pub servers: Arc<Servers>,
    /// The processes.
    pub cluster: Cluster,
}

/// Three brokers that replicate three times and acknowledge with two, Cassandra and Redis.
///
/// # Errors
/// When one is not installed, or does not start.
pub fn servers() -> anyhow::Result<Arc<Servers>> {
    let kinds = ["kafka", "cassandra", "redis"];
    Ok(Arc::new(Servers::start_with(&kinds, 3)?))
}

impl Stage {
    /// Starts these processes of a program, on topics, tables and keys of their own; with further
    /// environment variables.
    ///
    /// # Errors
    /// When one does not come up.
    pub fn set_up(
        servers: Arc<Servers>,
        program: &Path,
        own: &str,
        processes: &[(&str, &str)],
        environment: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut settings = settings(&servers, own);
        settings.extend_from_slice(environment);
        let mut cluster = Cluster::new(program, settings)?;
        for (name, roles) in processes {
            cluster.add(name, roles)?;
            // The first one makes the tables.
            if cluster.names().len() == 1 {
                cluster.wait_ready()?;
            }
        }
        cluster.wait_ready()?;
        Ok(Self { servers, cluster })
    }

    /// The names of all servers.
    pub(super) fn server_names(&self) -> Vec<String> {
        let brokers = self.servers.kafka().split(',').count();
        let brokers = (1..=brokers).map(|number| format!("kafka-{number}"));
        brokers
            .chain(["cassandra", "redis"].map(str::to_owned))
            .collect()
    }

    /// Hits somebody and brings it back, until it serves again; answers how long that took.
    ///
    /// # Errors
    /// When it had ended before, does not end, or does not come back.
    pub(super) async fn strike(
        &mut self,
        target: &Target,
        stalled: Duration,
    ) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        tokio::task::block_in_place(|| self.hit(target))?;
        if target.hit == Hit::Stalled {
            tokio::time::sleep(stalled).await;
        }
        tokio::task::block_in_place(|| self.bring_back(target))?;
        Ok(begun.elapsed())
    }

    /// Hits somebody.
    ///
    /// # Errors
    /// When it had ended before, or does not end.
    pub(super) fn hit(&mut self, Target { victim, hit }: &Target) -> anyhow::Result<()> {
        let is_process = self.cluster.names().contains(victim);
        match hit {
            Hit::Killed if is_process => self.cluster.kill(victim),
            Hit::Killed => self.servers.kill(victim),
            Hit::Ended | Hit::Rolled(_) => self.cluster.end(victim).map(drop),
            Hit::Rebuilt => rebuilds::whole(&self.cluster, &["rebuild"]),
            Hit::HalfRebuilt => rebuilds::half(&self.cluster),
            Hit::RolledBack => rebuilds::whole(&self.cluster, &["rebuild", "--roll-back"]),
            Hit::Stalled if is_process => self.cluster.stall(victim),
            Hit::Stalled => self.servers.stall(victim),
        }
    }

    /// Brings back who was hit, until it serves again.
    ///
    /// # Errors
    /// When it does not come back.
    pub(super) fn bring_back(&mut self, Target { victim, hit }: &Target) -> anyhow::Result<()> {
        let is_process = self.cluster.names().contains(victim);
        match hit {
            Hit::Killed | Hit::Ended if is_process => self.cluster.start(victim),
            Hit::Killed | Hit::Ended => self.servers.restart(victim),
            // As operators do: the next one is not before this one is ready.
            Hit::Rolled(build) => {
                self.cluster.becomes(victim, *build)?;
                self.cluster.start(victim)?;
                self.cluster.wait_ready()
            }
            // Who serves it has never stopped.
            Hit::Rebuilt | Hit::HalfRebuilt | Hit::RolledBack => Ok(()),
            Hit::Stalled if is_process => self.cluster.resume(victim),
            Hit::Stalled => self.servers.resume(victim),
        }
    }

    /// Ends all processes in order, and compares every table with what the log makes of it.
    ///
    /// # Errors
    /// When one does not end in order, or a table differs.
    pub fn end(mut self) -> anyhow::Result<()> {
        for name in self.cluster.names() {
            self.cluster.end(&name)?;
        }
        let verified = self.cluster.verify().context("verify")?;
        anyhow::ensure!(
            verified.equal,
            "the tables are not what the log says:\n{}",
            verified.said
        );
        Ok(())
    }
}

/// Settings of a platform on these servers.
fn settings(servers: &Servers, own: &str) -> Vec<(String, String)> {
    let redis = format!("redis://{}", servers.redis());
    let (topics, keys, partitions) = (format!("{own}."), format!("{own}:"), PARTITIONS.to_string());
    let settings = [
        ("LOG__KIND", "kafka"),
        ("LOG__KAFKA__BROKERS", servers.kafka()),
        ("LOG__KAFKA__TOPIC_PREFIX", &topics),
        ("LOG__KAFKA__PARTITIONS", &partitions),
        ("STORE__KIND", "cassandra"),
        ("STORE__CASSANDRA__CONTACT_POINTS", servers.cassandra()),
        ("STORE__CASSANDRA__KEYSPACE", own),
        ("STORE__CASSANDRA__REPLICAS", "1"),
        ("STORE__CASSANDRA__ANSWER_WITHIN", "30s"),
        ("REGISTRY__KIND", "redis"),
        ("REGISTRY__REDIS__URL", &redis),
        ("REGISTRY__REDIS__KEY_PREFIX", &keys),
    ];
    let named = |(name, value): (&str, &str)| (format!("CURSUS__{name}"), value.to_owned());
    settings.map(named).to_vec()
}
