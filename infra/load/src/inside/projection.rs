//! The projectors at work on a log that is full: live, beside the bare store with the same rows,
//! and rebuilding from offset 0, beside the live ones.
//!
//! ```text
//!  corpus ─▶ log ─┬─▶ live: chats, inbox, receipts ─▶ tables ─┐
//!                 │         └─ rows taken down ─▶ bare store   ├─ digests are compared
//!                 └─▶ rebuild: the folds fused ─▶ tables ──────┘
//! ```
//!
//! Each run works on a copy of the same log, since live projectors append to it.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ground::copy_folder;
use anyhow::ensure;
use infra_ports::TableStore;
use projectors::{Config, rebuild};
use schemas::position::Generation;
use schemas::tables::{ChatRow, Table};

use super::Found;
use super::corpus::Shape;
use super::ground::{Ground, LIVE, Place, fill, project};
use super::recording::{Recorder, Recording};
use crate::figure::{Figure, Goal};

/// The build that is made beside the live one.
const BESIDE: Generation = Generation(2);

/// What all runs share.
struct Scene<'a> {
    ground: &'a Ground,
    /// A data folder with the log and no tables.
    template: &'a Path,
    events: u64,
    messages: u64,
    recording: Recording,
}

/// How long one run took.
struct Run {
    live: Duration,
    bare: Duration,
    rebuilt: Duration,
}

/// Live against the bare store, and rebuild against live.
pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Found> {
    let shape = Shape::of(ground.size(60_000, 1_000_000));
    let template = ground.folder()?;
    let (events, messages) = fill_template(ground, template.path(), shape).await?;
    let recording = record(ground, template.path()).await?;
    let scene = Scene {
        ground,
        template: template.path(),
        events,
        messages,
        recording,
    };
    let mut runs = Vec::new();
    for n in 0..ground.either(3, 5) {
        ground.say(&format!("live, bare and rebuilt, run {}", n + 1));
        runs.push(run(&scene).await?);
    }
    Ok(Found {
        figures: figures(&scene, &runs),
        plots: Vec::new(),
        settings: shape.to_string(),
    })
}

async fn fill_template(ground: &Ground, data: &Path, shape: Shape) -> anyhow::Result<(u64, u64)> {
    ground.say(&format!("a log of {shape}"));
    let place = Place::open(data).await?;
    let mut corpus = ground.corpus(shape)?;
    let events = fill(&place.log, &mut corpus).await?;
    place.close().await?;
    std::fs::remove_dir_all(data.join("tables"))?;
    Ok((events, corpus.messages()))
}

/// A first run, not measured: takes down the rows, and warms up what there is to warm up.
async fn record(ground: &Ground, template: &Path) -> anyhow::Result<Recording> {
    ground.say("the rows that follow from it");
    let folder = ground.folder()?;
    copy_folder(template, folder.path())?;
    let place = Place::open(folder.path()).await?;
    let store = Recorder::before(Arc::clone(&place.store) as _);
    project(&place.ports_on(Arc::clone(&store) as _)).await?;
    place.close().await?;
    Ok(store.0.take())
}

async fn run(scene: &Scene<'_>) -> anyhow::Result<Run> {
    let folder = scene.ground.folder()?;
    copy_folder(scene.template, folder.path())?;
    let place = Place::open(folder.path()).await?;
    let live = project(&place.ports()).await?;
    all_messages_are_there(place.store.as_ref(), scene.messages).await?;
    let bare = bare(scene).await?;
    let begun = Instant::now();
    rebuild::rebuild(&place.ports(), &Config::default(), BESIDE).await?;
    let rebuilt = begun.elapsed();
    for table in rebuild::compare(place.store.as_ref(), LIVE, BESIDE).await? {
        ensure!(
            table.is_equal(),
            "{} was rebuilt as something else",
            table.table
        );
    }
    place.close().await?;
    Ok(Run {
        live,
        bare,
        rebuilt,
    })
}

/// The rows alone, into a store that is as empty as the live one was.
async fn bare(scene: &Scene<'_>) -> anyhow::Result<Duration> {
    let folder = scene.ground.folder()?;
    let place = Place::open(folder.path()).await?;
    let store = Arc::clone(&place.store) as Arc<dyn TableStore>;
    for generation in [projectors::engine::checkpoints::NO_BUILD, LIVE] {
        store
            .create_tables(&schemas::tables::TABLES, generation)
            .await?;
    }
    let took = scene.recording.write(&store).await?;
    place.close().await?;
    Ok(took)
}

/// The chats of the live tables count as many messages as were sent.
async fn all_messages_are_there(store: &dyn TableStore, messages: u64) -> anyhow::Result<()> {
    let (mut after, mut counted) = (None, 0);
    loop {
        let page = store
            .scan_table(ChatRow::DEF, LIVE, after.take(), 4_096)
            .await?;
        for row in &page {
            counted += row.decode::<ChatRow>()?.ordinal.0;
        }
        match page.last() {
            Some(last) => after = Some((last.partition.clone(), last.cluster.clone())),
            None => break,
        }
    }
    ensure!(
        counted == messages,
        "{messages} messages were sent, the tables have {counted}"
    );
    Ok(())
}

fn figures(scene: &Scene<'_>, runs: &[Run]) -> Vec<Figure> {
    let rows = scene.recording.rows();
    let per_second = |count: f64, took: Duration| count / took.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let (rows, events) = (rows as f64, scene.events as f64);
    let against_bare: Vec<_> = runs
        .iter()
        .map(|run| (per_second(rows, run.live), per_second(rows, run.bare)))
        .collect();
    let live: Vec<_> = runs
        .iter()
        .map(|run| per_second(events, run.live))
        .collect();
    let against_live: Vec<_> = runs
        .iter()
        .map(|run| {
            (
                per_second(events, run.rebuilt),
                per_second(events, run.live),
            )
        })
        .collect();
    [
        Figure::against_raw(
            "live projection against the bare store with the same rows",
            "rows/s",
            &against_bare,
            Some(Goal::AtLeast(0.9)),
        ),
        Figure::alone(
            "live projection, events of chats and receipts",
            "events/s",
            &live,
            None,
        ),
        Figure::against_raw(
            "rebuild from the log against live projection, tables equal bit for bit",
            "events/s",
            &against_live,
            Some(Goal::AtLeast(8.0)),
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use infra_ports::store::Mutation;
    use schemas::ids::ChatId;
    use schemas::position::{Ordinal, Seq, Timestamp, Version};

    use super::*;

    #[tokio::test]
    async fn a_message_that_is_not_in_the_tables_fails_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::open(folder.path()).await.unwrap();
        let store = place.store.as_ref();
        store.create_tables(&[ChatRow::DEF], LIVE).await.unwrap();
        for (chat, ordinal) in [("d.ada.bob", 2), ("d.ada.cleo", 3)] {
            let row = ChatRow {
                chat: ChatId::new(chat).unwrap(),
                title: String::new(),
                description: String::new(),
                created_at: Timestamp(1),
                updated_at: Timestamp(1),
                head: Seq(ordinal),
                ordinal: Ordinal(ordinal),
                owner: None,
                members: 2,
                max_members: 2,
            };
            let put = Mutation::put(LIVE, &row, Version(1));
            store.write(vec![put]).await.unwrap();
        }
        assert!(all_messages_are_there(store, 5).await.is_ok());
        assert!(all_messages_are_there(store, 6).await.is_err());
    }
}
