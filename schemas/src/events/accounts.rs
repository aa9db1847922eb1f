//! Events of the topic `accounts`, partitioned by user: what a user arranges for themselves.

use serde::{Deserialize, Serialize};

use crate::ids::{ChatId, DeviceId, UserId};
use crate::position::{Seq, Timestamp};

macro_rules! setting {
    ($(#[$m:meta])* $name:ident { $(#[$fm:meta])* $field:ident : $t:ty }) => {
        $(#[$m])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub struct $name {
            /// Whose setting, also the key in the log.
            pub user: UserId,
            /// The device it was made on.
            pub device: DeviceId,
            /// For which chat.
            pub chat: ChatId,
            $(#[$fm])*
            pub $field: $t,
            /// When the server took it.
            pub at: Timestamp,
        }
    };
}

setting!(
    /// A chat was muted or unmuted.
    ChatMuted {
        /// Muted until then; none is not muted.
        until: Option<Timestamp>
    }
);
setting!(
    /// A chat was moved into or out of the archive.
    ChatArchived {
        /// True when archived.
        archived: bool
    }
);
setting!(
    /// A chat was pinned or unpinned.
    ChatPinned {
        /// True when pinned.
        pinned: bool
    }
);
setting!(
    /// A message was deleted for this user only.
    MessageHidden {
        /// The message.
        seq: Seq
    }
);

/// One event of the topic `accounts`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant holds the record of its name")]
pub enum AccountEvent {
    ChatMuted(ChatMuted),
    ChatArchived(ChatArchived),
    ChatPinned(ChatPinned),
    MessageHidden(MessageHidden),
}
