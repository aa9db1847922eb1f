//! How far the user of the library has got: the last seq handed over in each chat.
//!
//! Kept by whoever wants exactly-once over restarts: write it down after handling events, give it
//! back in `Config::progress`. It only grows.

use std::collections::BTreeMap;

use schemas::ids::ChatId;
use schemas::position::Seq;
use serde::{Deserialize, Serialize};

/// The last seq handed over, by chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Progress(BTreeMap<ChatId, Seq>);

impl Progress {
    /// Nothing handed over yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The last seq handed over in a chat; none in a chat never heard of.
    pub fn of(&self, chat: &ChatId) -> Option<Seq> {
        self.0.get(chat).copied()
    }

    /// Remembers that everything up to `seq` was handed over. A lower one changes nothing.
    pub fn advance(&mut self, chat: &ChatId, seq: Seq) {
        if let Some(known) = self.0.get_mut(chat) {
            *known = seq.max(*known);
        } else {
            self.0.insert(chat.clone(), seq);
        }
    }

    /// Every chat with its last seq, in chat id order.
    pub fn iter(&self) -> impl Iterator<Item = (&ChatId, Seq)> {
        self.0.iter().map(|(chat, seq)| (chat, *seq))
    }

    /// How many chats are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True when nothing was handed over.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_only_grows_and_reads_back() {
        let chat = ChatId::new("d.ada.bob").unwrap();
        let mut progress = Progress::new();
        progress.advance(&chat, Seq(7));
        progress.advance(&chat, Seq(3));
        assert_eq!(progress.of(&chat), Some(Seq(7)));
        let text = serde_json::to_string(&progress).unwrap();
        assert_eq!(text, r#"{"d.ada.bob":7}"#);
        assert_eq!(serde_json::from_str::<Progress>(&text).unwrap(), progress);
    }
}
