//! The log in memory keeps the laws, and loses only what was not synced.

use super::*;
use crate::laws::log::{LAW_PARTITIONS, LogPlace};

struct Place {
    log: Mutex<MemoryLog>,
}

#[async_trait]
impl LogPlace for Place {
    async fn open(&self) -> Arc<dyn EventLog> {
        let mut log = self.log.lock();
        *log = log.reopen(Arc::new(NoFaults));
        Arc::new(log.clone())
    }

    async fn crash(&self) {
        self.log.lock().crash();
    }

    async fn expire(&self) {
        let log = self.log.lock();
        for partition in 0..LAW_PARTITIONS {
            log.drop_before(Topic::Users, Partition(partition), Offset(2))
                .expect("exists");
        }
    }
}

/// Runs a future to its end; a future that waits for what never comes fails the test.
fn run<T>(future: impl Future<Output = T>) -> T {
    let mut future = std::pin::pin!(future);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    for _ in 0..1_000_000 {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
    }
    panic!("the future waits for ever");
}

/// Chooses one number at one site.
struct Choose(&'static str, u32);

impl Faults for Choose {
    fn point(&self, _site: &'static str) -> crate::runtime::BoxFuture<'static, ()> {
        Box::pin(std::future::ready(()))
    }

    fn choose(&self, site: &'static str, options: u32) -> u32 {
        if site == self.0 {
            self.1.min(options - 1)
        } else {
            0
        }
    }
}

/// Never passes one site.
struct StopAt(&'static str);

impl Faults for StopAt {
    fn point(&self, site: &'static str) -> crate::runtime::BoxFuture<'static, ()> {
        if site == self.0 {
            Box::pin(std::future::pending())
        } else {
            NoFaults.point(site)
        }
    }

    fn choose(&self, _site: &'static str, _options: u32) -> u32 {
        0
    }
}

fn record(value: &'static str) -> NewRecord {
    NewRecord {
        key: bytes::Bytes::new(),
        value: bytes::Bytes::from_static(value.as_bytes()),
        at: schemas::position::Timestamp(1),
    }
}

fn with(faults: impl Faults + 'static) -> MemoryLog {
    let log = MemoryLog::with_faults(2, Arc::new(faults));
    run(log.create_topics(&[Topic::Chats, Topic::Users])).unwrap();
    log
}

fn end(log: &MemoryLog, topic: Topic, partition: u32) -> u64 {
    run(log.positions(topic, Partition(partition)))
        .unwrap()
        .end
        .0
}

#[test]
fn the_log_in_memory_keeps_the_laws() {
    run(crate::laws::log::run(async || Place {
        log: Mutex::new(MemoryLog::new(LAW_PARTITIONS)),
    }));
}

#[test]
fn a_crash_loses_the_newest_unsynced_batches_and_no_synced_one() {
    let log = with(Choose("log.crash.lost", 2));
    run(log.append(Topic::Chats, Partition(0), vec![record("kept")])).unwrap();
    run(log.append(Topic::Users, Partition(0), vec![record("synced")])).unwrap();
    run(log.sync(Topic::Users)).unwrap();
    run(log.append(Topic::Users, Partition(1), vec![record("oldest unsynced")])).unwrap();
    run(log.append(Topic::Users, Partition(0), vec![record("lost")])).unwrap();
    run(log.append(
        Topic::Users,
        Partition(1),
        vec![record("lost"), record("too")],
    ))
    .unwrap();
    log.crash();
    assert!(matches!(
        run(log.positions(Topic::Chats, Partition(0))),
        Err(LogError::Closed)
    ));
    let log = log.reopen(Arc::new(NoFaults));
    assert_eq!(end(&log, Topic::Chats, 0), 1);
    assert_eq!(end(&log, Topic::Users, 0), 1);
    assert_eq!(end(&log, Topic::Users, 1), 1);
    assert_eq!(
        run(log.positions(Topic::Users, Partition(1)))
            .unwrap()
            .durable_end
            .0,
        1
    );
}

#[test]
fn an_append_that_stops_before_its_effect_leaves_nothing() {
    let log = with(StopAt("log.append.before"));
    let mut append = log.append(Topic::Chats, Partition(0), vec![record("a")]);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(append.as_mut().poll(&mut context).is_pending());
    drop(append);
    assert_eq!(end(&log, Topic::Chats, 0), 0);
}

#[test]
fn an_append_that_is_dropped_half_way_becomes_durable() {
    let log = with(StopAt("log.append.written"));
    let mut append = log.append(Topic::Chats, Partition(0), vec![record("a")]);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(append.as_mut().poll(&mut context).is_pending());
    let positions = run(log.positions(Topic::Chats, Partition(0))).unwrap();
    assert_eq!((positions.durable_end.0, positions.end.0), (0, 1));
    drop(append);
    let positions = run(log.positions(Topic::Chats, Partition(0))).unwrap();
    assert_eq!((positions.durable_end.0, positions.end.0), (1, 1));
}

#[test]
fn an_append_can_be_done_and_time_out() {
    let log = with(Choose("log.append", 3));
    let answer = run(log.append(Topic::Chats, Partition(0), vec![record("a")]));
    assert!(matches!(answer, Err(LogError::Unavailable(_))));
    assert_eq!(end(&log, Topic::Chats, 0), 1);
}

#[test]
fn an_append_can_be_refused_without_effect() {
    for choice in [1, 2] {
        let log = with(Choose("log.append", choice));
        let answer = run(log.append(Topic::Chats, Partition(0), vec![record("a")]));
        assert!(answer.is_err_and(|error| error.is_retryable()));
        assert_eq!(end(&log, Topic::Chats, 0), 0);
    }
}

#[test]
fn a_tail_that_hands_over_less_hands_over_the_rest_later() {
    assert_eq!(tailed(Choose("log.tail.short", 2)), [0, 1, 2]);
}

#[test]
fn a_tail_that_hands_over_in_pieces_leaves_nothing_out() {
    assert_eq!(tailed(Choose("log.tail.apart", 1)), [0, 1, 2]);
}

/// The offsets of three records, as a tail hands them over.
fn tailed(choice: Choose) -> Vec<u64> {
    let log = with(choice);
    run(log.append(
        Topic::Chats,
        Partition(0),
        vec![record("a"), record("b"), record("c")],
    ))
    .unwrap();
    let from = vec![(Partition(0), Offset(0)), (Partition(1), Offset(0))];
    let mut tail = run(log.tail(Topic::Chats, from, Visibility::Durable)).unwrap();
    let mut offsets = Vec::new();
    while offsets.len() < 3 {
        for batch in run(tail.next(10)).unwrap() {
            offsets.extend(batch.records.iter().map(|record| record.offset.0));
        }
    }
    offsets
}

/// Stops each call at one site until it is let through.
struct Gate(&'static str, Arc<Notify>);

impl Faults for Gate {
    fn point(&self, site: &'static str) -> crate::runtime::BoxFuture<'static, ()> {
        if site != self.0 {
            return NoFaults.point(site);
        }
        let gate = Arc::clone(&self.1);
        Box::pin(async move { gate.notified().await })
    }

    fn choose(&self, _site: &'static str, _options: u32) -> u32 {
        0
    }
}

#[test]
fn a_faster_append_takes_along_what_was_called_before_it() {
    let gate = Arc::new(Notify::new());
    let log = with(NoFaults);
    let slow = log.reopen(Arc::new(Gate("log.append.before", Arc::clone(&gate))));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut appends: Vec<_> = [(0, "first"), (1, "apart"), (0, "dropped"), (0, "last")]
        .map(|(n, value)| slow.append(Topic::Chats, Partition(n), vec![record(value)]))
        .into();
    for append in &mut appends {
        assert!(append.as_mut().poll(&mut context).is_pending());
    }
    drop(appends.remove(2));
    // The last one gets through first.
    let mut last = appends.pop().unwrap();
    gate.notify_waiters();
    assert_eq!(run(last.as_mut()).unwrap(), Offset(1));
    assert_eq!(end(&log, Topic::Chats, 1), 0, "another partition waits");
    assert_eq!(run(appends.remove(0)).unwrap(), Offset(0));
    assert_eq!(run(appends.remove(0)).unwrap(), Offset(0));
    let from = Offset(0);
    let read = log.read(Topic::Chats, Partition(0), from, 9, Visibility::Durable);
    let values: Vec<_> = run(read).unwrap().into_iter().map(|r| r.value).collect();
    assert_eq!(values, ["first", "last"]);
}

/// A log whose fsync failed while it had one append that was written.
fn poisoned_half_way() -> MemoryLog {
    let log = with(StopAt("log.append.written"));
    let mut append = log.append(Topic::Chats, Partition(0), vec![record("a")]);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(append.as_mut().poll(&mut context).is_pending());
    log.poison();
    drop(append);
    log
}

#[test]
fn after_a_failed_fsync_nothing_is_taken_until_the_log_is_opened_again() {
    let log = poisoned_half_way();
    let refused = run(log.append(Topic::Chats, Partition(0), vec![record("b")]));
    assert!(matches!(refused, Err(LogError::Poisoned(_))));
    assert!(matches!(
        run(log.sync(Topic::Chats)),
        Err(LogError::Poisoned(_))
    ));
    let positions = run(log.positions(Topic::Chats, Partition(0))).unwrap();
    assert_eq!((positions.durable_end.0, positions.end.0), (0, 1));
    log.crash();
    let log = log.reopen(Arc::new(NoFaults));
    run(log.append(Topic::Chats, Partition(0), vec![record("c")])).unwrap();
    assert_eq!(
        end(&log, Topic::Chats, 0),
        2,
        "what was left is durable now"
    );
}

#[test]
fn a_log_that_is_opened_again_after_a_failed_fsync_makes_durable_what_it_finds() {
    let log = poisoned_half_way();
    let opened = log.reopen(Arc::new(NoFaults));
    let from = vec![(Partition(0), Offset(0))];
    let mut tail = run(opened.tail(Topic::Chats, from, Visibility::Durable)).unwrap();
    assert_eq!(run(tail.next(9)).unwrap().len(), 1);
    assert!(matches!(
        run(log.append(Topic::Chats, Partition(0), vec![record("b")])),
        Err(LogError::Poisoned(_))
    ));
}
