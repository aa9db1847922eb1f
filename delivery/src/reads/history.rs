//! A page of history, newest first: messages with their later changes applied, without those this
//! user has hidden. One scan of `messages` and one of `overlays` a bucket.

use std::collections::BTreeSet;

use infra_ports::{ScanRange, StoreError};
use schemas::errors::Refusal;
use schemas::events::ChatEvent;
use schemas::frames::{Entry, History, HistoryQuery, Message, PAGE, WireBody};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;
use schemas::tables::{
    Bucket, BucketPartition, DELETED, EDITED, HiddenKey, HiddenPartition, HiddenRow, MessageRow,
    OverlayKey, OverlayRow, Stay, bucket, encode_cluster_prefix, reaction_author, visible,
};

use super::access::last_visible;
use super::timeline::{after, message_key};
use super::{CHUNK, PAGE_BYTES, Reads, event_of, page_size, unavailable};

impl Reads {
    /// A page of history.
    ///
    /// # Errors
    /// As [`Reads::timeline`].
    pub async fn history(&self, user: &UserId, query: &HistoryQuery) -> Result<History, Refusal> {
        let limit = page_size(query.limit, PAGE)?;
        let chat = &query.chat;
        let _turn = self.turn().await?;
        let access = self.access(user, chat).await?;
        let before = query
            .before
            .unwrap_or(Seq(u64::MAX))
            .min(access.head().next());
        let found = async {
            // One more than asked for tells whether there is another page.
            let rows = self
                .page((user, chat), &access.stays, before, limit + 1)
                .await?;
            let overlays = self.overlays(chat, &rows).await?;
            Ok((rows, overlays))
        };
        let (mut rows, mut overlays) = found
            .await
            .map_err(|error: StoreError| unavailable(&error))?;
        // Changes made while this person was away are not theirs to see; a deletion takes away only.
        overlays.retain(|row| row.what == DELETED || visible(&access.stays, row.seq));
        let fits = fitting(&rows, &overlays).min(limit);
        let more = rows.len() > fits;
        rows.truncate(fits);
        let before = rows.last().filter(|_| more).map(|row| row.seq);
        let messages = rows.iter().map(|row| message(row, &overlays));
        Ok(History {
            chat: chat.clone(),
            messages: messages.collect::<Result<_, _>>()?,
            before,
        })
    }

    /// What a user has hidden of these messages, newest first. Of a chat they may have hidden far more.
    async fn hidden(
        &self,
        (user, chat): (&UserId, &ChatId),
        rows: &[MessageRow],
    ) -> Result<BTreeSet<Seq>, StoreError> {
        let mut hidden = BTreeSet::new();
        let (Some(highest), Some(lowest)) = (rows.first(), rows.last()) else {
            return Ok(hidden);
        };
        let partition = HiddenPartition {
            user: user.clone(),
            chat: chat.clone(),
        };
        let mut place = Seq(lowest.seq.0.saturating_sub(1));
        loop {
            let key = HiddenKey {
                user: user.clone(),
                chat: chat.clone(),
                seq: place,
            };
            let range = after::<HiddenRow>(&key, false, PAGE);
            let found = self.rows::<HiddenRow>(&partition, range).await?;
            hidden.extend(found.iter().map(|row| row.seq));
            match found.last() {
                Some(last) if found.len() == PAGE && last.seq < highest.seq => place = last.seq,
                Some(_) | None => return Ok(hidden),
            }
        }
    }

    /// Message rows that are seen, newest first, below `before`.
    async fn page(
        &self,
        (user, chat): (&UserId, &ChatId),
        stays: &[Stay],
        before: Seq,
        limit: usize,
    ) -> Result<Vec<MessageRow>, StoreError> {
        let mut found = Vec::new();
        let mut before = before;
        while found.len() < limit {
            let Some(top) = last_visible(stays, Seq(before.0.saturating_sub(1))) else {
                break;
            };
            let bucket = bucket(top);
            let partition = BucketPartition {
                chat: chat.clone(),
                bucket,
            };
            let range = after::<MessageRow>(&message_key(chat, bucket, top.next()), true, limit);
            let rows = self.rows::<MessageRow>(&partition, range).await?;
            let hidden = self.hidden((user, chat), &rows).await?;
            before = match rows.last() {
                Some(last) if rows.len() == limit => last.seq,
                Some(_) | None => bucket.first(),
            };
            found.extend(
                rows.into_iter()
                    .filter(|row| visible(stays, row.seq) && !hidden.contains(&row.seq)),
            );
        }
        found.truncate(limit);
        Ok(found)
    }

    /// What became of these messages, in key order.
    async fn overlays(
        &self,
        chat: &ChatId,
        rows: &[MessageRow],
    ) -> Result<Vec<OverlayRow>, StoreError> {
        let buckets: BTreeSet<Bucket> = rows.iter().map(|row| bucket(row.seq)).collect();
        let mut all = Vec::new();
        for bucket in buckets {
            let within = rows
                .iter()
                .map(|row| row.seq)
                .filter(|seq| self::bucket(*seq) == bucket);
            let (Some(lowest), Some(highest)) = (within.clone().min(), within.max()) else {
                continue;
            };
            self.overlays_of(chat, bucket, lowest, highest, &mut all)
                .await?;
        }
        Ok(all)
    }

    async fn overlays_of(
        &self,
        chat: &ChatId,
        bucket: Bucket,
        lowest: Seq,
        highest: Seq,
        into: &mut Vec<OverlayRow>,
    ) -> Result<(), StoreError> {
        let partition = BucketPartition {
            chat: chat.clone(),
            bucket,
        };
        let key = |target, what| OverlayKey {
            chat: chat.clone(),
            bucket,
            target,
            what,
        };
        // The prefix of a key comes before all keys that begin with it.
        let first = encode_cluster_prefix::<OverlayRow>(&key(lowest, DELETED), 1);
        let mut range = ScanRange {
            after: Some(first.into()),
            limit: CHUNK,
            ..Default::default()
        };
        loop {
            let rows = self.rows::<OverlayRow>(&partition, range).await?;
            let is_last = rows.len() < CHUNK;
            let Some(last) = rows.last().map(|row| key(row.target, row.what.clone())) else {
                return Ok(());
            };
            into.extend(rows.into_iter().filter(|row| row.target <= highest));
            if is_last || last.target > highest {
                return Ok(());
            }
            range = after::<OverlayRow>(&last, false, CHUNK);
        }
    }
}

/// How many rows make a page: at least one, and no more bytes than a page has. Pure.
fn fitting(rows: &[MessageRow], overlays: &[OverlayRow]) -> usize {
    let mut bytes = 0;
    let fits = rows.iter().take_while(|row| {
        let changes = of(overlays, row.seq).map(|overlay| overlay.event.len());
        bytes += row.event.len() + changes.sum::<usize>();
        bytes <= PAGE_BYTES
    });
    fits.count().max(1)
}

/// What became of one message, among overlays in the order of their targets.
fn of(overlays: &[OverlayRow], target: Seq) -> impl Iterator<Item = &OverlayRow> {
    let first = overlays.partition_point(|overlay| overlay.target < target);
    let own = overlays.iter().skip(first);
    own.take_while(move |overlay| overlay.target == target)
}

/// A message with what became of it. Pure.
fn message(row: &MessageRow, overlays: &[OverlayRow]) -> Result<Message, Refusal> {
    let event = event_of(&row.event)?;
    let mut message = Message {
        entry: Entry::new(row.seq, row.ordinal, row.at, &event),
        edited: None,
        deleted: false,
        reactions: std::collections::BTreeMap::new(),
    };
    let mut deleted = false;
    for overlay in of(overlays, row.seq) {
        if overlay.what == DELETED {
            deleted = true;
            continue;
        }
        let event = event_of(&overlay.event)?;
        if let (true, ChatEvent::MessageEdited(edit)) = (overlay.what == EDITED, &event) {
            message.edited = Some(WireBody::from(&edit.body));
        } else if let (Some(user), ChatEvent::ReactionSet(set)) =
            (reaction_author(&overlay.what), event)
        {
            // A reaction that was taken back has a row without one.
            message
                .reactions
                .extend(set.reaction.map(|reaction| (user, reaction)));
        }
    }
    if deleted {
        message.delete();
    }
    Ok(message)
}
