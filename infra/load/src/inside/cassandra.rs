//! The projectors at work on a log that is full, with their tables on Cassandra, beside the bare
//! driver: the same rows, bound beforehand, in the same batches, as many at once.
//!
//! ```text
//!  corpus ─▶ log ─▶ chats, inbox, receipts ─▶ tables on Cassandra
//!                        └─ rows taken down ─▶ statements ─▶ bare driver ─▶ the same tables, empty
//! ```

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use infra_ports::{Mutation, TableStore};
use infra_servers::Servers;
use infra_store_scylla::{Config, ScyllaStore};
use projectors::engine::checkpoints::NO_BUILD;
use schemas::tables::TABLES;
use schemas::tables::cql::{self, Statements};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::serialize::SerializationError;
use scylla::serialize::row::{RowSerializationContext, SerializeRow};
use scylla::serialize::writers::RowWriter;
use scylla::statement::batch::{Batch, BatchStatement, BatchType};
use scylla::statement::prepared::PreparedStatement;
use tokio::sync::Semaphore;

use super::corpus::Shape;
use super::ground::{Ground, LIVE, Place, copy_folder, fill, project};
use super::recording::{Recorder, Recording};
use crate::cluster::Found;
use crate::figure::{Figure, Goal};

/// Messages in the log.
const MESSAGES: u64 = 6_000;

/// Projectors that write to Cassandra, against the bare driver.
pub(crate) async fn measure(runs: usize, scratch: &Path) -> anyhow::Result<Found> {
    let servers = Servers::start(&["cassandra"])?;
    let ground = Ground {
        full: false,
        divide: 1,
        seed: 1,
        scratch: scratch.to_owned(),
        soak: Duration::ZERO,
    };
    let (template, shape) = (ground.folder()?, Shape::of(MESSAGES));
    let place = Place::open(template.path()).await?;
    fill(&place.log, &mut ground.corpus(shape)?).await?;
    place.close().await?;
    // A first run takes down the rows, and warms up what there is to warm up.
    let scene = Scene {
        servers,
        ground,
        template: template.path(),
    };
    let mut recording = None;
    scene.live("recorded", Some(&mut recording)).await?;
    let recording = recording.unwrap_or_default();
    let (mut found, rows) = (Vec::new(), recording.rows() as f64);
    for n in 0..runs {
        scene.ground.say(&format!("live and bare, run {}", n + 1));
        let live = scene.live(&format!("live{n}"), None).await?;
        let bare = scene.bare(&format!("bare{n}"), &recording).await?;
        found.push((rows / live.as_secs_f64(), rows / bare.as_secs_f64()));
    }
    let name = "projectors writing Cassandra, against the bare driver with the same rows";
    let goal = Some(Goal::AtLeast(0.9));
    let at_once = Config::default().writes_at_once;
    Ok(Found {
        figures: Figure::against_raw(name, "rows/s", &found, goal)
            .into_iter()
            .collect(),
        sizes: format!(
            "one node, commitlog_sync: batch, {shape}, {rows} rows, {at_once} writes at once"
        ),
    })
}

/// What all runs share.
struct Scene<'a> {
    servers: Servers,
    ground: Ground,
    /// A data folder with the log.
    template: &'a Path,
}

impl Scene<'_> {
    /// A keyspace of its own, with all tables.
    async fn tables(&self, keyspace: &str) -> anyhow::Result<Arc<ScyllaStore>> {
        let store = ScyllaStore::connect(Config {
            contact_points: self.servers.cassandra().to_owned(),
            keyspace: keyspace.to_owned(),
            replicas: 1,
            ..Config::default()
        });
        let store = store.await?;
        for generation in [NO_BUILD, LIVE] {
            store.create_tables(&TABLES, generation).await?;
        }
        Ok(Arc::new(store))
    }

    /// The projectors, on a copy of the log; the rows are taken down where somebody wants them.
    async fn live(
        &self,
        keyspace: &str,
        rows: Option<&mut Option<Recording>>,
    ) -> anyhow::Result<Duration> {
        let folder = self.ground.folder()?;
        copy_folder(self.template, folder.path())?;
        let place = Place::open(folder.path()).await?;
        let store = self.tables(keyspace).await?;
        let recorder = Recorder::before(Arc::clone(&store) as _);
        let took = if let Some(rows) = rows {
            let took = project(&place.ports_on(Arc::clone(&recorder) as _)).await?;
            *rows = Some(recorder.0.take());
            took
        } else {
            project(&place.ports_on(Arc::clone(&store) as _)).await?
        };
        place.close().await?;
        store.close().await?;
        Ok(took)
    }

    /// The rows alone, by the driver alone.
    async fn bare(&self, keyspace: &str, recording: &Recording) -> anyhow::Result<Duration> {
        self.tables(keyspace).await?.close().await?;
        let session = SessionBuilder::new().known_node(self.servers.cassandra());
        let bare = Bare {
            session: session.build().await?,
            turns: Semaphore::new(Config::default().writes_at_once),
        };
        let mut prepared = HashMap::new();
        let mut lists = Vec::new();
        for list in recording.lists() {
            let mut calls = Vec::new();
            for call in list {
                calls.push(bare.bound(keyspace, call, &mut prepared).await?);
            }
            lists.push(calls);
        }
        let begun = Instant::now();
        try_join_all(lists.into_iter().map(|calls| bare.write(calls))).await?;
        Ok(begun.elapsed())
    }
}

/// Statements with their values: what is sent together.
type Together = Vec<(PreparedStatement, Cells)>;
/// Prepared statements by table, generation and whether they put.
type PreparedBy = HashMap<(&'static str, u32, bool), PreparedStatement>;

/// The driver and nothing else.
struct Bare {
    session: Session,
    turns: Semaphore,
}

impl Bare {
    /// The statements of one call, those of a partition together.
    async fn bound(
        &self,
        keyspace: &str,
        call: &[Mutation],
        prepared: &mut PreparedBy,
    ) -> anyhow::Result<Vec<Together>> {
        let mut partitions: HashMap<_, Together> = HashMap::new();
        for of in call {
            let by = (of.table.name, of.generation.0, of.values.is_some());
            let statement = match prepared.entry(by) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let statements = Statements::new(of.table, keyspace, of.generation);
                    let text = match of.values {
                        Some(_) => statements.insert(),
                        None => statements.delete(),
                    };
                    place.insert(self.session.prepare(text).await?)
                }
            };
            let place = (of.table.name, of.generation.0, of.partition.clone());
            let together = partitions.entry(place).or_default();
            together.push((statement.clone(), Cells::of(of)?));
        }
        Ok(partitions.into_values().collect())
    }

    /// One call after the other; the partitions of a call side by side.
    async fn write(&self, calls: Vec<Vec<Together>>) -> anyhow::Result<()> {
        for call in calls {
            try_join_all(call.into_iter().map(|together| self.send(together))).await?;
        }
        Ok(())
    }

    async fn send(&self, mut together: Together) -> anyhow::Result<()> {
        let _turn = self.turns.acquire().await?;
        if together.len() == 1 {
            if let Some((statement, cells)) = together.pop() {
                self.session.execute_unpaged(&statement, cells).await?;
            }
            return Ok(());
        }
        let (statements, cells): (Vec<_>, Vec<_>) = together.into_iter().unzip();
        let statements = statements
            .into_iter()
            .map(BatchStatement::PreparedStatement);
        let batch = Batch::new_with_statements(BatchType::Unlogged, statements.collect());
        self.session.batch(&batch, cells).await?;
        Ok(())
    }
}

/// Values as they go over the wire; what lacks is left unset.
struct Cells(Vec<Option<Vec<u8>>>);

impl Cells {
    fn of(of: &Mutation) -> anyhow::Result<Self> {
        let version = i64::try_from(of.version.0)?.to_be_bytes().to_vec();
        let mut cells = Vec::new();
        match &of.values {
            Some(values) => {
                let take = |wire: Option<&[u8]>| cells.push(wire.map(<[u8]>::to_vec));
                cql::walk_row(of.table, &of.partition, &of.cluster, values, take)?;
                cells.push(Some(version));
            }
            None => {
                cells.push(Some(version));
                let take = |wire: &[u8]| cells.push(Some(wire.to_vec()));
                cql::walk_key(of.table, &of.partition, &of.cluster, take)?;
            }
        }
        Ok(Self(cells))
    }
}

impl SerializeRow for Cells {
    fn serialize(
        &self,
        _context: &RowSerializationContext<'_>,
        writer: &mut RowWriter,
    ) -> Result<(), SerializationError> {
        for cell in &self.0 {
            let place = writer.make_cell_writer();
            let Some(wire) = cell else {
                place.set_unset();
                continue;
            };
            place.set_value(wire).map_err(SerializationError::new)?;
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
