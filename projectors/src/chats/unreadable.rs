//! Tests of rows that this build cannot read: those of a newer build ask for an upgrade, others are
//! damage.

use std::sync::Arc;

use bytes::Bytes;
use compact_str::CompactString;
use infra_ports::memory::MemoryStore;
use infra_ports::store::Mutation;
use infra_ports::{StoreError, TableStore};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Generation, Ordinal, Seq, Timestamp, Version};
use schemas::tables::{ChatStateRow, MessageRow, Table, bucket};

use super::{Chats, WantedTarget, memory};
use crate::engine::projection::{Projection, Tables};
use crate::engine::stop::Stop;

const BUILD: Generation = Generation(1);

/// Tables that hold this one row.
async fn tables_with<T: Table>(row: &T) -> Tables {
    let store = MemoryStore::new();
    store.create_tables(&[T::DEF], BUILD).await.unwrap();
    let put = Mutation::put(BUILD, row, Version(1));
    store.write(vec![put]).await.unwrap();
    Tables {
        store: Arc::new(store),
        generation: BUILD,
        rows_per_read: 16,
    }
}

fn chat() -> ChatId {
    ChatId::new("g.00112233445566778899aabbccddeeff").unwrap()
}

/// The word for operators, of what becomes of the projection.
fn word(error: StoreError) -> &'static str {
    Stop::from(error).word()
}

#[tokio::test]
async fn a_message_of_a_newer_build_asks_for_an_upgrade_and_a_broken_one_does_not() {
    let newer = [&[0xC3, 0x01], &[0xFF; 8][..], b"datum"].concat();
    for (event, expected) in [(newer, "upgrade_required"), (b"broken".to_vec(), "store")] {
        let row = MessageRow {
            chat: chat(),
            bucket: bucket(Seq(1)),
            seq: Seq(1),
            ordinal: Ordinal(1),
            at: Timestamp(1),
            author: UserId::new("ada").unwrap(),
            event: event.into(),
        };
        let tables = tables_with(&row).await;
        let want = WantedTarget {
            chat: chat(),
            seq: Seq(1),
        };
        let error = Chats.facts(&tables, &want).await.unwrap_err();
        assert_eq!(word(error), expected);
    }
}

#[tokio::test]
async fn a_state_of_a_newer_build_asks_for_an_upgrade_and_a_broken_one_does_not() {
    for (state, expected) in [(&[9][..], "upgrade_required"), (&[], "store")] {
        let row = ChatStateRow {
            chat: chat(),
            kind: memory::HEAD,
            id: CompactString::default(),
            state: Bytes::copy_from_slice(state),
        };
        let tables = tables_with(&row).await;
        let error = Chats.load(&tables, &chat()).await.unwrap_err();
        assert_eq!(word(error), expected);
    }
}
