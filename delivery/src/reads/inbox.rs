//! What a session needs to resume: the heads of a user's chats and a device's own marks.

use std::collections::BTreeMap;

use bytes::Bytes;
use infra_ports::{StoreError, StoredRow};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Offset, Seq};
use schemas::tables::{CursorKey, CursorRow, InboxRow, UserPartition, encode_cluster_prefix};

use super::Reads;
use crate::gateway::session::Head;

/// How far a device and its user have got.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeviceView {
    /// The device's marks.
    pub(crate) delivered: BTreeMap<ChatId, Seq>,
    /// The user's read marks.
    pub(crate) read: BTreeMap<ChatId, Seq>,
}

impl Reads {
    /// The newest place of each chat that a user is or was in.
    pub(crate) async fn heads(&self, user: &UserId) -> Result<BTreeMap<ChatId, Head>, StoreError> {
        let partition = UserPartition { user: user.clone() };
        let mut heads = BTreeMap::new();
        let take = |stored: StoredRow| {
            let row: InboxRow = stored.decode()?;
            let origin = Offset(stored.version.0.saturating_sub(1));
            heads.insert(
                row.chat,
                Head {
                    seq: row.head,
                    at: row.at,
                    origin,
                },
            );
            Ok(())
        };
        self.each::<InboxRow>(&partition, Bytes::new(), take)
            .await?;
        Ok(heads)
    }

    /// The marks of a device and the read marks of its user.
    pub(crate) async fn device(
        &self,
        user: &UserId,
        device: &DeviceId,
    ) -> Result<DeviceView, StoreError> {
        Ok(DeviceView {
            delivered: self.cursors(user, Some(device)).await?,
            read: self.cursors(user, None).await?,
        })
    }

    /// The read marks of a user in chats that are `wanted`.
    pub(super) async fn read_rows(
        &self,
        user: &UserId,
        wanted: impl FnMut(&ChatId) -> bool + Send,
    ) -> Result<Vec<CursorRow>, StoreError> {
        self.cursor_rows(user, None, wanted).await
    }

    async fn cursors(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
    ) -> Result<BTreeMap<ChatId, Seq>, StoreError> {
        let rows = self.cursor_rows(user, device, |_| true).await?;
        Ok(rows.into_iter().map(|row| (row.chat, row.seq)).collect())
    }

    async fn cursor_rows(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        mut wanted: impl FnMut(&ChatId) -> bool + Send,
    ) -> Result<Vec<CursorRow>, StoreError> {
        let any = ChatId::new("d.a.b").expect("a canonical chat id");
        let key = CursorKey {
            user: user.clone(),
            device: device.cloned(),
            chat: any,
        };
        // Only the first clustering column counts: which chat stands in the key does not matter.
        let prefix = encode_cluster_prefix::<CursorRow>(&key, 1).into();
        let partition = UserPartition { user: user.clone() };
        self.rows_of::<CursorRow>(&partition, prefix, |row| wanted(&row.chat))
            .await
    }
}
