//! How far a message has got: two look-ups in the chat's step functions, minus its author; who is a
//! read of `marks`.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use infra_ports::StoreError;
use schemas::errors::{Code, Refusal};
use schemas::frames::{Status, StatusOf, StatusQuery};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;
use schemas::tables::{
    ChatPartition, MarkKey, MarkRow, MemberRow, MessageRow, StatusKey, StatusRow, bucket,
    encode_cluster_prefix, visible,
};

use super::timeline::message_key;
use super::{Reads, event_of, unavailable};

impl Reads {
    /// How many, and if asked for who, have a message and have read it.
    ///
    /// # Errors
    /// `chat_not_found`, `not_member`, `message_not_found` for a place that is no message or that
    /// this user does not see, `unavailable`.
    pub async fn status(&self, user: &UserId, query: &StatusQuery) -> Result<Status, Refusal> {
        let StatusQuery { chat, seq, who } = query;
        let access = self.access(user, chat).await?;
        let key = message_key(chat, bucket(*seq), *seq);
        let row = self
            .row::<MessageRow>(&key)
            .await
            .map_err(|error| unavailable(&error))?;
        let Some(row) = row.filter(|_| visible(&access.stays, *seq)) else {
            return Err(Refusal::plain(Code::MessageNotFound));
        };
        if !event_of(&row.event)?.is_countable() {
            let reason = "seq: an entry that is no message has no status";
            return Err(Refusal::new(Code::MessageNotFound, reason));
        }
        let audience = self.audience(chat, *seq, &row.author).await?;
        let found = async {
            let counts = self
                .row::<StatusRow>(&StatusKey { chat: chat.clone() })
                .await?;
            let own = self.marks(chat, Some(&row.author)).await?;
            let marks = if *who {
                Some(self.marks(chat, None).await?)
            } else {
                None
            };
            Ok((counts, own, marks))
        };
        let (counts, own, marks) = found
            .await
            .map_err(|error: StoreError| unavailable(&error))?;
        let own = how_far(own.iter(), &row.author, *seq);
        let count = |of: Option<u32>, own: bool| of.unwrap_or(0).saturating_sub(u32::from(own));
        let who = marks.map(|marks| {
            let by_user = by_user(&marks);
            let of = |user| by_user.get(user).map_or(&[][..], Vec::as_slice);
            let one = |user| how_far(of(user).iter().copied(), user, *seq);
            audience.iter().map(one).collect()
        });
        Ok(Status {
            chat: chat.clone(),
            seq: *seq,
            of: u32::try_from(audience.len()).unwrap_or(u32::MAX),
            delivered: count(
                counts.as_ref().map(|c| c.delivered.count_at(*seq)),
                own.delivered,
            ),
            read: count(counts.as_ref().map(|c| c.read.count_at(*seq)), own.read),
            who,
        })
    }

    /// Those a message was meant for, beside its author.
    async fn audience(
        &self,
        chat: &ChatId,
        seq: Seq,
        author: &UserId,
    ) -> Result<BTreeSet<UserId>, Refusal> {
        let mut all = match chat.pair() {
            Some((a, b)) => BTreeSet::from([a, b]),
            None => present(self.member_rows(chat).await?, seq),
        };
        all.remove(author);
        Ok(all)
    }

    async fn marks(
        &self,
        chat: &ChatId,
        user: Option<&UserId>,
    ) -> Result<Vec<MarkRow>, StoreError> {
        let prefix = user.map_or(Bytes::new(), |user| {
            let device = schemas::ids::DeviceId::new("any").expect("a canonical device id");
            let (chat, user) = (chat.clone(), user.clone());
            // Only the first clustering column counts.
            let key = MarkKey {
                chat,
                user,
                device,
                since: Seq(0),
            };
            encode_cluster_prefix::<MarkRow>(&key, 1).into()
        });
        self.all_rows::<MarkRow>(&ChatPartition { chat: chat.clone() }, prefix)
            .await
    }
}

/// Who was a member when a message was sent. Pure.
fn present(rows: Vec<MemberRow>, seq: Seq) -> BTreeSet<UserId> {
    let present = rows.into_iter().filter(|row| {
        // The entry that makes somebody a member was not meant for them yet.
        row.since < seq && (row.until == Seq(0) || seq <= row.until)
    });
    present.map(|row| row.user).collect()
}

/// The marks of a chat by whose they are: a group has thousands.
fn by_user(marks: &[MarkRow]) -> BTreeMap<&UserId, Vec<&MarkRow>> {
    let mut by_user: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for mark in marks {
        by_user.entry(&mark.user).or_default().push(mark);
    }
    by_user
}

/// How far a message has got with one member, by their marks, whichever device is ahead. Pure.
fn how_far<'a>(
    marks: impl Iterator<Item = &'a MarkRow> + Clone,
    user: &UserId,
    seq: Seq,
) -> StatusOf {
    let own = || marks.clone().filter(|mark| mark.since < seq);
    StatusOf {
        user: user.clone(),
        delivered: own().any(|mark| mark.delivered.max(mark.read) >= seq),
        read: own().any(|mark| mark.read >= seq),
    }
}
