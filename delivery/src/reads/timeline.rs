//! A chat's accepted events in seq order: `messages` and `changes`, merged.
//!
//! What a person may not see is left out, and `through` says up to where the answer is complete for
//! them. An answer ends at the first place whose row is not there yet.

use bytes::Bytes;
use infra_ports::{ScanRange, StoreError};
use schemas::errors::Refusal;
use schemas::frames::{Entries, Entry, MAX_BATCH, TimelineQuery};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};
use schemas::tables::{
    Bucket, BucketPartition, ChangeKey, ChangeRow, MessageKey, MessageRow, Stay, Table, bucket,
    encode_key, first_visible, visible,
};

use super::{PAGE_BYTES, Reads, event_of, page_size, unavailable};

/// How many authors a mark names.
pub(crate) const MAX_AUTHORS: usize = 16;
/// How many entries are looked at to find them.
const LOOK_BACK: usize = 100;

/// One place of a timeline, from either table.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    seq: Seq,
    ordinal: Ordinal,
    at: Timestamp,
    event: Bytes,
}

impl From<MessageRow> for Line {
    fn from(row: MessageRow) -> Self {
        Self {
            seq: row.seq,
            ordinal: row.ordinal,
            at: row.at,
            event: row.event,
        }
    }
}

impl From<ChangeRow> for Line {
    fn from(row: ChangeRow) -> Self {
        Self {
            seq: row.seq,
            ordinal: row.ordinal,
            at: row.at,
            event: row.event,
        }
    }
}

/// A page as it grows.
struct Page {
    entries: Vec<Entry>,
    /// The page is complete for this person up to the place before.
    next: Seq,
    bytes: usize,
}

impl Page {
    /// Takes lines up to the first that this person does not see, or until the page is full.
    fn take(&mut self, lines: Vec<Line>, stays: &[Stay]) -> Result<(), Refusal> {
        for line in lines
            .into_iter()
            .take_while(|line| visible(stays, line.seq))
        {
            if self.bytes >= PAGE_BYTES {
                return Ok(());
            }
            self.bytes += line.event.len();
            self.next = line.seq.next();
            let event = event_of(&line.event)?;
            self.entries
                .push(Entry::new(line.seq, line.ordinal, line.at, &event));
        }
        Ok(())
    }
}

/// The unbroken run of lines that begins at `from`, at most `limit`. Pure.
fn unbroken(mut lines: Vec<Line>, from: Seq, through: Seq, limit: usize) -> Vec<Line> {
    lines.sort_unstable_by_key(|line| line.seq);
    let expected = (from.0..=through.0).map(Seq);
    let run = lines
        .into_iter()
        .zip(expected)
        .take_while(|(line, seq)| line.seq == *seq);
    run.take(limit).map(|(line, _)| line).collect()
}

/// The key of a message in its bucket.
pub(super) fn message_key(chat: &ChatId, bucket: Bucket, seq: Seq) -> MessageKey {
    MessageKey {
        chat: chat.clone(),
        bucket,
        seq,
    }
}

fn change_key(chat: &ChatId, bucket: Bucket, seq: Seq) -> ChangeKey {
    ChangeKey {
        chat: chat.clone(),
        bucket,
        seq,
    }
}

/// From the place after this key on.
pub(super) fn after<T: Table>(key: &T::Key, reverse: bool, limit: usize) -> ScanRange {
    let (_, cluster) = encode_key::<T>(key);
    ScanRange {
        prefix: Bytes::new(),
        after: Some(cluster.into()),
        reverse,
        limit,
    }
}

impl Reads {
    /// A chat's events in seq order, to fill a gap.
    ///
    /// # Errors
    /// `chat_not_found`, `not_member` for who never was one, `invalid_field` for a bad limit,
    /// `unavailable`.
    pub async fn timeline(&self, user: &UserId, query: &TimelineQuery) -> Result<Entries, Refusal> {
        let limit = page_size(query.limit, MAX_BATCH)?;
        let head = self.visible_head(user, &query.chat).await?;
        let from = query.from.max(Seq(1));
        self.range(user, &query.chat, from, head, limit).await
    }

    /// What a user sees from `from` up to `through`, at most `limit` entries.
    ///
    /// # Errors
    /// As [`Reads::timeline`].
    pub async fn range(
        &self,
        user: &UserId,
        chat: &ChatId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Entries, Refusal> {
        let _turn = self.turn().await?;
        let access = self.access(user, chat).await?;
        let mut page = Page {
            entries: Vec::new(),
            next: from,
            bytes: 0,
        };
        while page.next <= through && page.entries.len() < limit && page.bytes < PAGE_BYTES {
            let Some(seen) = first_visible(&access.stays, page.next, through) else {
                page.next = through.next();
                break;
            };
            page.next = seen;
            let wanted = limit - page.entries.len();
            let lines = self.stretch(chat, seen, through, wanted).await;
            let lines = lines.map_err(|error| unavailable(&error))?;
            page.take(lines, &access.stays)?;
            if page.next == seen {
                // Its row is not there yet.
                break;
            }
        }
        let covered = Seq(page.next.0.saturating_sub(1)).min(through);
        let head = access.head().max(covered);
        Ok(Entries {
            chat: chat.clone(),
            from,
            through: covered,
            entries: page.entries,
            head,
        })
    }

    /// Lines from `from` on without a hole.
    async fn stretch(
        &self,
        chat: &ChatId,
        from: Seq,
        through: Seq,
        limit: usize,
    ) -> Result<Vec<Line>, StoreError> {
        let mut lines = Vec::new();
        let mut next = from;
        while next <= through && lines.len() < limit {
            let bucket = bucket(next);
            let wanted = limit - lines.len();
            let before = Seq(next.0.saturating_sub(1));
            let partition = BucketPartition {
                chat: chat.clone(),
                bucket,
            };
            let key = message_key(chat, bucket, before);
            let range = after::<MessageRow>(&key, false, wanted);
            let messages = self.rows::<MessageRow>(&partition, range).await?;
            let key = change_key(chat, bucket, before);
            let range = after::<ChangeRow>(&key, false, wanted);
            let changes = self.rows::<ChangeRow>(&partition, range).await?;
            let both = messages.into_iter().map(Line::from);
            let both = both.chain(changes.into_iter().map(Line::from)).collect();
            let run = unbroken(both, next, through.min(bucket.last()), wanted);
            next = run.last().map_or(next, |line| line.seq.next());
            let is_whole = next > bucket.last();
            lines.extend(run);
            if !is_whole {
                break;
            }
        }
        Ok(lines)
    }

    /// The countable messages up to a place, and the newest authors of messages in (known, seq]
    /// beside this user; none when the place has no row yet.
    pub(crate) async fn covered(
        &self,
        user: &UserId,
        chat: &ChatId,
        known: Seq,
        seq: Seq,
    ) -> Result<Option<(Ordinal, Vec<UserId>)>, Refusal> {
        let _turn = self.turn().await?;
        let Some(ordinal) = self
            .ordinal_at(chat, seq)
            .await
            .map_err(|e| unavailable(&e))?
        else {
            return Ok(None);
        };
        let mut authors = Vec::new();
        let (mut place, mut left) = (Some(bucket(seq)), LOOK_BACK);
        while let Some(bucket) = place.filter(|bucket| bucket.last() > known && left > 0) {
            let partition = BucketPartition {
                chat: chat.clone(),
                bucket,
            };
            let key = message_key(chat, bucket, seq.next());
            let range = after::<MessageRow>(&key, true, left);
            let rows = self.rows::<MessageRow>(&partition, range).await;
            let rows = rows.map_err(|error| unavailable(&error))?;
            left = left.saturating_sub(rows.len());
            for row in rows.into_iter().filter(|row| row.seq > known) {
                let is_new = row.author != *user && !authors.contains(&row.author);
                if is_new && authors.len() < MAX_AUTHORS && event_of(&row.event)?.is_countable() {
                    authors.push(row.author);
                }
            }
            place = bucket.previous();
        }
        Ok(Some((ordinal, authors)))
    }

    async fn ordinal_at(&self, chat: &ChatId, seq: Seq) -> Result<Option<Ordinal>, StoreError> {
        let bucket = bucket(seq);
        if let Some(row) = self
            .row::<MessageRow>(&message_key(chat, bucket, seq))
            .await?
        {
            return Ok(Some(row.ordinal));
        }
        let change = self
            .row::<ChangeRow>(&change_key(chat, bucket, seq))
            .await?;
        Ok(change.map(|row| row.ordinal))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_before_the_first_place_that_is_not_there() {
        let line = |seq| Line {
            seq: Seq(seq),
            ordinal: Ordinal(0),
            at: Timestamp(0),
            event: Bytes::new(),
        };
        let lines = || [7, 5, 6, 9].map(line).to_vec();
        let seqs = |from, through, limit| {
            let run = unbroken(lines(), Seq(from), Seq(through), limit);
            run.iter().map(|line| line.seq.0).collect::<Vec<_>>()
        };
        assert_eq!(seqs(5, 9, 10), [5, 6, 7]);
        assert_eq!(seqs(5, 6, 10), [5, 6]);
        assert_eq!(seqs(5, 9, 1), [5]);
        assert_eq!(seqs(4, 9, 10), [0; 0]);
    }
}
