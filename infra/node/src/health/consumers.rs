//! How far the consumers of the log are behind, seen from outside: what the log has is compared with
//! what each has applied, partition by partition, so that a consumer whose loop hangs, or whose tail
//! is never woken, shows though it says nothing itself.

use std::time::Duration;

use infra_ports::{EventLog, LogError, Record, Runtime, Visibility};
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;
use serde::Serialize;

/// How long the log may take to show a record that waits: a look must not hang where the log does.
const SHOWN_WITHIN: Duration = Duration::from_millis(500);

/// How far a consumer is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Lag {
    /// Records in the log that it has not applied.
    #[serde(rename = "lag_records")]
    pub(crate) records: u64,
    /// How old the oldest of them is, in the partition that waits longest; where the log does not
    /// show it in time, how long it has been seen waiting.
    #[serde(rename = "lag_ms")]
    pub(crate) oldest_ms: u64,
    /// How long records of one partition have waited without any of them being applied.
    pub(crate) stuck_ms: u64,
}

/// Where a consumer stands in one partition, and since when.
#[derive(Debug, Clone, Copy)]
struct Step {
    at: Offset,
    since: Duration,
}

/// One consumer's steps through a topic.
#[derive(Debug)]
pub(crate) struct Steps {
    topic: Topic,
    visibility: Visibility,
    steps: Vec<Step>,
}

impl Steps {
    /// Of a consumer that reads a topic up to its durable end, or to what is appended.
    pub(crate) fn new(topic: Topic, visibility: Visibility) -> Self {
        Self {
            topic,
            visibility,
            steps: Vec::new(),
        }
    }

    /// Looks at the log and takes in how far the consumer has got in each partition; none where it is
    /// another process's.
    ///
    /// # Errors
    /// When the log does not say where it ends.
    pub(crate) async fn look(
        &mut self,
        log: &dyn EventLog,
        runtime: &dyn Runtime,
        applied: &[Option<Offset>],
    ) -> Result<Lag, LogError> {
        let mut places = Vec::with_capacity(applied.len());
        let partitions: Vec<Partition> = (0..).map(Partition).take(applied.len()).collect();
        let ends = log.positions_of(self.topic, &partitions).await?;
        for (ends, at) in ends.into_iter().zip(applied) {
            let end = match self.visibility {
                Visibility::Durable => ends.durable_end,
                Visibility::Appended => ends.end,
            };
            // Nothing waits here for what another process has.
            places.push((at.unwrap_or(end), end));
        }
        let (mut lag, waiting) = self.note(runtime.elapsed(), &places);
        if let Some((partition, from)) = waiting {
            let oldest = self.record(log, runtime, partition, from).await;
            lag.oldest_ms = oldest.map_or(lag.stuck_ms, |record| {
                u64::try_from(runtime.now().0.saturating_sub(record.at.0)).unwrap_or(0)
            });
        }
        Ok(lag)
    }

    /// The record at a place, if the log shows it in time.
    async fn record(
        &self,
        log: &dyn EventLog,
        runtime: &dyn Runtime,
        partition: Partition,
        at: Offset,
    ) -> Option<Record> {
        tokio::select! {
            biased;
            read = log.read(self.topic, partition, at, 1, self.visibility) => read.ok()?.pop(),
            () = runtime.sleep(SHOWN_WITHIN) => None,
        }
    }

    /// Takes in where it stands in each partition and where the log ends there. Answers the record
    /// that waits longest too.
    fn note(
        &mut self,
        now: Duration,
        places: &[(Offset, Offset)],
    ) -> (Lag, Option<(Partition, Offset)>) {
        let (mut lag, mut longest) = (Lag::default(), None);
        let unseen = Step {
            at: Offset(0),
            since: now,
        };
        self.steps.resize(places.len(), unseen);
        for ((partition, step), (at, end)) in (0..).zip(&mut self.steps).zip(places) {
            if *at >= *end || step.at != *at {
                *step = Step {
                    at: *at,
                    since: now,
                };
            }
            if *at >= *end {
                continue;
            }
            lag.records += end.0 - at.0;
            let stuck = now.saturating_sub(step.since);
            if longest.is_none_or(|(_, _, other)| stuck > other) {
                longest = Some((Partition(partition), *at, stuck));
            }
        }
        let stuck = longest.map_or(Duration::ZERO, |(_, _, stuck)| stuck);
        lag.stuck_ms = u64::try_from(stuck.as_millis()).unwrap_or(u64::MAX);
        (lag, longest.map(|(partition, at, _)| (partition, at)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn steps() -> Steps {
        Steps::new(Topic::Chats, Visibility::Durable)
    }

    fn at(places: &[(u64, u64)]) -> Vec<(Offset, Offset)> {
        let offsets = |(at, end): &(u64, u64)| (Offset(*at), Offset(*end));
        places.iter().map(offsets).collect()
    }

    #[test]
    fn one_partition_that_stands_still_shows_while_another_goes_on() {
        let mut steps = steps();
        steps.note(SECOND, &at(&[(5, 9), (0, 0)]));
        for n in 1..=7 {
            steps.note(SECOND * (1 + n), &at(&[(5, 9), (u64::from(n), 100)]));
        }
        let (lag, waiting) = steps.note(SECOND * 9, &at(&[(5, 9), (99, 100)]));
        assert_eq!((lag.records, lag.stuck_ms), (5, 8_000));
        assert_eq!(waiting, Some((Partition(0), Offset(5))));
    }

    #[test]
    fn a_consumer_that_has_everything_or_goes_on_is_not_stuck() {
        let mut steps = steps();
        steps.note(SECOND, &at(&[(5, 5)]));
        let (lag, waiting) = steps.note(SECOND * 60, &at(&[(5, 5)]));
        assert_eq!((lag, waiting), (Lag::default(), None));
        let (lag, _) = steps.note(SECOND * 61, &at(&[(5, 8)]));
        assert_eq!(
            (lag.records, lag.stuck_ms),
            (3, 1_000),
            "since it was last seen done"
        );
        let (lag, _) = steps.note(SECOND * 62, &at(&[(6, 8)]));
        assert_eq!((lag.records, lag.stuck_ms), (2, 0));
    }
}
