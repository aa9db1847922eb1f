//! What stands in `users`, as readers take it: each piece of news once.

use std::collections::BTreeSet;

use infra_ports::memory::MemoryLog;
use schemas::avro::LogEvent;
use schemas::events::UserEvent;
use schemas::ids::{ChatId, UserId};
use schemas::position::{Offset, Partition, Seq};
use schemas::topics::Topic;

use super::{PARTITIONS, records};

/// Who was told of which record, and its seq or refusal.
pub type Told = (UserId, ChatId, Offset, Option<Seq>, Option<String>);

/// What users were told of chats: each once, whatever was told twice.
pub fn told(log: &MemoryLog) -> BTreeSet<Told> {
    let mut all = BTreeSet::new();
    for partition in (0..PARTITIONS).map(Partition) {
        for record in records(log, Topic::Users, partition) {
            let (chat, origin, seq, code, recipients) =
                match UserEvent::decode(&record.value).unwrap() {
                    UserEvent::EntryTold(e) => (e.chat, e.origin, Some(e.seq), None, e.recipients),
                    UserEvent::VerdictTold(e) => {
                        let code = Some(e.code.map_or("resent".into(), |code| code.to_string()));
                        (e.chat, e.origin, e.seq, code, e.recipients)
                    }
                    _ => continue,
                };
            for user in recipients {
                all.insert((user, chat.clone(), origin, seq, code.clone()));
            }
        }
    }
    all
}
