//! Where records stand that a broker has and does not say where: it knew them from before, when they
//! were sent again, but no longer their place. They are looked for at the partition's end.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::log::{LogError, NewRecord, Record};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use tokio::time::{Instant, sleep};

use crate::asking::Asking;
use crate::config::Config;
use crate::reading;

/// How many records before the end are looked at, one after the other.
const BEFORE_THE_END: [u64; 3] = [1 << 8, 1 << 12, 1 << 16];
/// How soon they are looked for again: they are not readable before all replicas have them.
const AGAIN_AFTER: Duration = Duration::from_millis(50);

/// Finds the first of these records, which stand together.
pub(crate) async fn find(
    asking: &Asking,
    config: &Config,
    topic: Topic,
    partition: Partition,
    new: Vec<NewRecord>,
) -> Result<Offset, LogError> {
    tracing::info!(%topic, %partition, "kafka: a broker has an append and not its offset");
    let new: Arc<[NewRecord]> = new.into();
    let deadline = Instant::now() + config.append_within;
    loop {
        let (config, new) = (config.clone(), Arc::clone(&new));
        let looked = asking.ask(move |consumer| {
            let ends = reading::positions(consumer, &config, topic, partition)?;
            for count in BEFORE_THE_END {
                let from = ends.first.max(Offset(ends.end.0.saturating_sub(count)));
                let max = usize::try_from(count).unwrap_or(usize::MAX);
                let read = reading::read(consumer, &config, topic, partition, from, max)?;
                let found = last_of(&read, &new);
                if found.is_some() || from == ends.first {
                    return Ok(found);
                }
            }
            Ok(None)
        });
        if let Some(offset) = looked.await? {
            return Ok(offset);
        }
        if Instant::now() > deadline {
            let lost = "the broker has it and does not say where";
            return Err(LogError::Unavailable(lost.to_owned()));
        }
        sleep(AGAIN_AFTER).await;
    }
}

/// Where these records stand together for the last time.
fn last_of(read: &[Record], new: &[NewRecord]) -> Option<Offset> {
    let same = |(there, new): (&Record, &NewRecord)| {
        (&there.key, &there.value, there.at) == (&new.key, &new.value, new.at)
    };
    let mut runs = read.windows(new.len().max(1)).rev();
    let run = runs.find(|run| run.iter().zip(new).all(same))?;
    run.first().map(|first| first.offset)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use schemas::position::Timestamp;

    use super::*;

    fn new(value: &'static str) -> NewRecord {
        NewRecord {
            key: Bytes::new(),
            value: Bytes::from_static(value.as_bytes()),
            at: Timestamp(1),
        }
    }

    #[test]
    fn records_are_found_where_they_stand_together_last() {
        let read: Vec<Record> = ["a", "b", "a", "c", "a", "b", "a"]
            .into_iter()
            .zip(7..)
            .map(|(value, offset)| Record {
                offset: Offset(offset),
                key: Bytes::new(),
                value: Bytes::from_static(value.as_bytes()),
                at: Timestamp(1),
            })
            .collect();
        assert_eq!(last_of(&read, &[new("a"), new("b")]), Some(Offset(11)));
        assert_eq!(last_of(&read, &[new("a"), new("c")]), Some(Offset(9)));
        assert_eq!(last_of(&read, &[new("c"), new("b")]), None);
        let later = NewRecord {
            at: Timestamp(2),
            ..new("a")
        };
        assert_eq!(last_of(&read, &[later]), None, "made at another time");
        assert_eq!(last_of(&[], &[new("a")]), None);
    }
}
