//! What an event costs on its way into the log and out of it, type by type.
//!
//! Pure functions on one thread; `cargo bench -p schemas` on an idle machine. Samples are those of
//! the golden bytes.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    reason = "criterion's macros make undocumented functions, and a bench may fail loudly"
)]

use std::hint::black_box;

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

#[path = "../tests/avro/one_event.rs"]
mod one_event;

use one_event::{OneEvent, samples};

fn encode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("encode");
    for event in samples() {
        let bytes = event.encode().unwrap();
        group.throughput(Throughput::Bytes(u64::try_from(bytes.len()).unwrap()));
        group.bench_function(event.subject().name(), |bench| {
            bench.iter(|| black_box(&event).encode().unwrap());
        });
    }
    group.finish();
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    for event in samples() {
        let (bytes, topic) = (event.encode().unwrap(), event.subject().topic());
        group.throughput(Throughput::Bytes(u64::try_from(bytes.len()).unwrap()));
        group.bench_function(event.subject().name(), |bench| {
            bench.iter(|| OneEvent::decode(topic, black_box(&bytes)).unwrap());
        });
    }
    group.finish();
}

/// Short: there are two for each of two dozen events.
fn short() -> Criterion {
    let criterion = Criterion::default().sample_size(30);
    criterion
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
}

criterion_group! { name = benches; config = short(); targets = encode, decode }
criterion_main!(benches);
