//! settings: folds the topic `accounts` into what users arrange for themselves: mute, archive, pin,
//! messages deleted for them alone. Tells the user's devices.

pub mod fold;

use async_trait::async_trait;
use bytes::Bytes;
use infra_ports::StoreError;
use schemas::avro::{DecodeError, LogEvent};
use schemas::events::{AccountEvent, SettingTold, UserEvent};
use schemas::ids::{ChatId, UserId};
use schemas::tables::{ChatSettingKey, ChatSettingRow, HiddenRow, Table, TableDef};
use schemas::topics::{Topic, partition_of};

use crate::engine::projection::{Effects, Memory, Place, Projection, Tables};
use fold::{Change, Settings};

/// The projection of the topic `accounts`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SettingsOfChats;

#[async_trait]
impl Projection for SettingsOfChats {
    type Event = AccountEvent;
    type Key = (UserId, ChatId);
    type State = Settings;
    type Want = ();
    type Facts = ();

    const NAME: &'static str = "settings";
    const WRITER: &'static str = "settings-rows";
    const ORIGIN: Topic = Topic::Accounts;

    fn tables() -> &'static [&'static TableDef] {
        const TABLES: &[&TableDef] = &[ChatSettingRow::DEF, HiddenRow::DEF];
        TABLES
    }

    fn decode(&self, value: &Bytes) -> Result<AccountEvent, DecodeError> {
        AccountEvent::decode(value)
    }

    fn routed_by<'a>(&self, event: &'a AccountEvent) -> Option<&'a str> {
        Some(fold::subject(event).0.as_str())
    }

    fn keys(&self, event: &AccountEvent, into: &mut Vec<(UserId, ChatId)>) {
        let (user, chat) = fold::subject(event);
        into.push((user.clone(), chat.clone()));
    }

    fn home_of<'a>(&self, (user, _): &'a (UserId, ChatId)) -> &'a str {
        user.as_str()
    }

    fn fresh(&self, _key: &(UserId, ChatId)) -> Settings {
        Settings::default()
    }

    async fn load(
        &self,
        tables: &Tables,
        (user, chat): &(UserId, ChatId),
    ) -> Result<Settings, StoreError> {
        let key = ChatSettingKey {
            user: user.clone(),
            chat: chat.clone(),
        };
        let row = tables.get::<ChatSettingRow>(&key).await?;
        Ok(
            row.map_or_else(Settings::default, |(row, version)| Settings {
                version,
                muted_until: row.muted_until,
                archived: row.archived,
                pinned: row.pinned,
            }),
        )
    }

    fn wants(&self, _event: &AccountEvent, _state: &Settings) -> Option<()> {
        None
    }

    async fn facts(&self, _tables: &Tables, _want: &()) -> Result<(), StoreError> {
        Ok(())
    }

    fn apply(
        &self,
        place: &Place<'_>,
        event: &AccountEvent,
        (user, chat): &(UserId, ChatId),
        settings: &mut Settings,
        _facts: Option<()>,
        effects: &mut Effects,
    ) -> bool {
        let changed = match fold::apply(settings, event, place.version()) {
            Change::Nothing => return false,
            Change::Settings => true,
            Change::Hidden(seq, at) => {
                let row = HiddenRow {
                    user: user.clone(),
                    chat: chat.clone(),
                    seq,
                    at,
                };
                effects.put(&row, place.version());
                false
            }
        };
        let home = partition_of(user.as_str().as_bytes(), effects.partitions);
        let told = UserEvent::SettingTold(SettingTold {
            recipients: vec![user.clone()],
            origin: place.record.offset,
            event: place.record.value.clone(),
        });
        effects.tell(home, &told, place.record.at);
        changed
    }

    fn remember(&self, (user, chat): &(UserId, ChatId), now: &mut Settings, memory: &mut Memory) {
        let row = ChatSettingRow {
            user: user.clone(),
            chat: chat.clone(),
            muted_until: now.muted_until,
            archived: now.archived,
            pinned: now.pinned,
        };
        memory.put(&row, now.version);
    }

    fn weight(&self, _settings: &Settings) -> usize {
        2
    }
}
