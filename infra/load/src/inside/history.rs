//! A page of history through the reads that clients use, beside the bare scan of as many rows of
//! the same store: at the end of a long chat, of a short one, and somewhere in the long one.

use std::time::Instant;

use anyhow::ensure;
use delivery::{LiveGeneration, Reads};
use infra_ports::TableStore;
use infra_ports::store::{Mutation, ScanRange};
use schemas::avro::LogEvent;
use schemas::events::{Body, ChatEvent, MessageSent, Origin, RULES};
use schemas::frames::HistoryQuery;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp, Version};
use schemas::tables::{
    BucketPartition, ChatRow, MessageKey, MessageRow, TABLES, Table, bucket, encode_key,
    encode_partition,
};

use super::Found;
use super::ground::{Ground, LIVE, Place};
use crate::figure::{Figure, Goal};

/// A page.
const PAGE: usize = 50;
/// Beyond a whole number of buckets, so that the newest page lies in one as most pages do.
const BEYOND: u64 = 499;
/// Rows written together.
const BATCH_ROWS: usize = 256;

/// A direct chat that is there already.
struct Chat {
    id: ChatId,
    reader: UserId,
    messages: u64,
}

/// Which page is read.
#[derive(Clone, Copy)]
enum Page {
    Newest,
    Anywhere,
}

pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Found> {
    let folder = ground.folder()?;
    let place = Place::open(folder.path()).await?;
    place.store.create_tables(&TABLES, LIVE).await?;
    ground.say("a chat with a million messages, and one with a thousand");
    let long = write(
        place.store.as_ref(),
        "ada",
        ground.size(1_000_000, 1_000_000) + BEYOND,
    )
    .await?;
    let short = write(
        place.store.as_ref(),
        "cleo",
        ground.size(1_000, 1_000) + BEYOND,
    )
    .await?;
    place.store.sync().await?;
    let reads = Reads::new(
        std::sync::Arc::clone(&place.store) as _,
        LiveGeneration::new(LIVE),
    );
    let scene = Scene {
        ground,
        reads,
        store: place.store.as_ref(),
    };
    ground.say("pages of history");
    let figures = scene.figures(&long, &short).await?;
    drop(scene);
    place.close().await?;
    Ok(Found {
        figures,
        plots: Vec::new(),
        settings: format!("history: pages of {PAGE} messages of 100 bytes of text, nothing hidden"),
    })
}

/// What is read from.
struct Scene<'a> {
    ground: &'a Ground,
    reads: Reads,
    store: &'a dyn TableStore,
}

impl Scene<'_> {
    async fn figures(&self, long: &Chat, short: &Chat) -> anyhow::Result<Vec<Figure>> {
        let (mut newest, mut few, mut anywhere) = (Vec::new(), Vec::new(), Vec::new());
        for n in 0..=self.ground.either(7_u64, 15) {
            let one = self.run(long, Page::Newest, n).await?;
            let two = self.run(short, Page::Newest, n).await?;
            let three = self.run(long, Page::Anywhere, n).await?;
            // The first is to warm up.
            if n > 0 {
                newest.push(one);
                few.push(two);
                anywhere.push(three);
            }
        }
        let both: Vec<_> = newest.iter().zip(&few).map(|(m, k)| (m.0, k.0)).collect();
        let goal = |ratio| Some(Goal::AtMost(ratio));
        let figure = |name, runs: &[_], goal| Figure::against_raw(name, "µs", runs, goal);
        let figures = [
            figure(
                "newest 50 of a chat with a million messages, p99, against a bare prefix scan",
                &newest,
                goal(1.5),
            ),
            figure(
                "newest 50 of a chat with a thousand messages, p99, against a bare prefix scan",
                &few,
                goal(1.5),
            ),
            figure(
                "newest 50, p99: of a million messages against of a thousand",
                &both,
                goal(1.1),
            ),
            figure(
                "50 anywhere in a chat with a million messages, p99, against a bare prefix scan",
                &anywhere,
                goal(1.5),
            ),
        ];
        Ok(figures.into_iter().flatten().collect())
    }

    /// The 99th percentiles of our reads and of bare scans, in turns.
    async fn run(&self, chat: &Chat, page: Page, seed: u64) -> anyhow::Result<(f64, f64)> {
        let mut chance = fastrand::Rng::with_seed(seed);
        let (mut ours, mut bare) = (Vec::new(), Vec::new());
        for _ in 0..self.ground.size(2_000, 10_000) {
            let before = match page {
                Page::Newest => None,
                Page::Anywhere => Some(Seq(chance.u64(BEYOND..chat.messages))),
            };
            let begun = Instant::now();
            self.read(chat, before).await?;
            ours.push(begun.elapsed());
            let begun = Instant::now();
            self.scan(chat, before).await?;
            bare.push(begun.elapsed());
        }
        let p99 = |mut took: Vec<std::time::Duration>| {
            took.sort_unstable();
            let place = took.len() * 99 / 100;
            took.get(place).map_or(0.0, |took| took.as_secs_f64() * 1e6)
        };
        Ok((p99(ours), p99(bare)))
    }

    async fn read(&self, chat: &Chat, before: Option<Seq>) -> anyhow::Result<()> {
        let query = HistoryQuery {
            chat: chat.id.clone(),
            before,
            limit: None,
        };
        let page = self.reads.history(&chat.reader, &query).await;
        let page = page.map_err(|refusal| anyhow::anyhow!("refused: {refusal:?}"))?;
        let newest = page.messages.first().map(|message| message.entry.seq);
        let expected = before.map_or(chat.messages, |before| before.0 - 1);
        ensure!(
            page.messages.len() == PAGE && newest == Some(Seq(expected)),
            "not the page that was asked for"
        );
        Ok(())
    }

    /// As many rows of the same places, as the store has them.
    async fn scan(&self, chat: &Chat, before: Option<Seq>) -> anyhow::Result<()> {
        let mut top = before.map_or(chat.messages, |before| before.0 - 1);
        let mut found = 0;
        while found < PAGE {
            let partition = BucketPartition::of(chat.id.clone(), Seq(top));
            let after = MessageKey {
                chat: chat.id.clone(),
                bucket: partition.bucket,
                seq: Seq(top + 1),
            };
            let (_, after) = encode_key::<MessageRow>(&after);
            let range = ScanRange {
                after: Some(after.into()),
                reverse: true,
                limit: PAGE - found,
                ..ScanRange::default()
            };
            let bytes = encode_partition::<MessageRow>(&partition);
            found += self
                .store
                .scan(MessageRow::DEF, LIVE, &bytes, range)
                .await?
                .len();
            top = partition.bucket.first().0.saturating_sub(1);
        }
        Ok(())
    }
}

/// A direct chat with so many messages, as the chats projector would have written it.
async fn write(store: &dyn TableStore, reader: &str, messages: u64) -> anyhow::Result<Chat> {
    let (reader, other) = (UserId::new(reader)?, UserId::new("bob")?);
    let id = ChatId::direct(&reader, &other)?;
    let mut batch = Vec::new();
    for seq in 1..=messages {
        batch.push(Mutation::put(
            LIVE,
            &message(&id, &other, seq)?,
            Version(seq),
        ));
        if batch.len() == BATCH_ROWS || seq == messages {
            store.write(std::mem::take(&mut batch)).await?;
        }
    }
    let row = chat_row(&id, messages);
    store
        .write(vec![Mutation::put(LIVE, &row, Version(messages))])
        .await?;
    Ok(Chat {
        id,
        reader,
        messages,
    })
}

fn message(chat: &ChatId, author: &UserId, seq: u64) -> anyhow::Result<MessageRow> {
    let sent = ChatEvent::MessageSent(MessageSent {
        origin: Origin {
            chat: chat.clone(),
            author: author.clone(),
            device: DeviceId::new("phone")?,
            client_id: ClientId::new(format!("{seq:016x}"))?,
            at: Timestamp(1),
            rules: RULES,
        },
        body: Body::text(format!("{seq:0100}")),
        reply_to: None,
    });
    Ok(MessageRow {
        chat: chat.clone(),
        bucket: bucket(Seq(seq)),
        seq: Seq(seq),
        ordinal: Ordinal(seq),
        at: Timestamp(1),
        author: author.clone(),
        event: sent.encode()?,
    })
}

fn chat_row(chat: &ChatId, messages: u64) -> ChatRow {
    ChatRow {
        chat: chat.clone(),
        title: String::new(),
        description: String::new(),
        created_at: Timestamp(1),
        updated_at: Timestamp(1),
        head: Seq(messages),
        ordinal: Ordinal(messages),
        owner: None,
        members: 2,
        max_members: 2,
    }
}
