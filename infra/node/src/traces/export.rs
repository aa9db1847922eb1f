//! Finished spans on their way to the collector: OTLP over HTTP, in its JSON encoding
//! (opentelemetry.io/docs/specs/otlp: ids in hexadecimal, 64-bit numbers as text), on a thread of its
//! own. What the collector does not take is dropped and counted; nothing waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};

use super::Config;
use super::spans::{Attribute, Span};
use crate::metrics;

/// Spans sent at once, at most.
const BATCH: usize = 512;
/// How long a span waits for others to share its request.
const GATHER: Duration = Duration::from_millis(500);

/// The thread that sends.
#[derive(Debug)]
pub(super) struct Exporter {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<()>>,
}

impl Exporter {
    /// Starts it and answers the queue that it takes from.
    ///
    /// # Errors
    /// When there is no thread for it.
    pub(super) fn start(url: String, config: &Config) -> anyhow::Result<(Self, SyncSender<Span>)> {
        let (queue, spans) = sync_channel(config.queue.max(1));
        let (stop, stopped) = sync_channel(1);
        let agent = ureq::Agent::config_builder().timeout_global(Some(config.within));
        let agent = agent.build().new_agent();
        let thread = std::thread::Builder::new().name("spans".into());
        let thread = thread.spawn(move || send_all(&agent, &url, &spans, &stopped))?;
        let exporter = Self {
            stop,
            thread: Some(thread),
        };
        Ok((exporter, queue))
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // It has ended already when it does not listen.
        self.stop.try_send(()).ok();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that sends spans panicked");
        }
    }
}

/// Sends batch after batch; the last one when it is told to stop.
fn send_all(agent: &ureq::Agent, url: &str, spans: &Receiver<Span>, stopped: &Receiver<()>) {
    let mut well = true;
    loop {
        let last = stopped.try_recv().is_ok();
        let batch = gather(spans);
        if !batch.is_empty() {
            let sent = agent.post(url).send_json(request(&batch));
            if let Err(error) = &sent {
                metrics::spans_dropped(batch.len());
                if well {
                    tracing::warn!(%error, "the collector does not take spans");
                }
            }
            well = sent.is_ok();
        }
        if last {
            return;
        }
    }
}

/// What waits, and what comes within a moment.
fn gather(spans: &Receiver<Span>) -> Vec<Span> {
    let mut batch = Vec::new();
    let mut wait = GATHER;
    while batch.len() < BATCH {
        match spans.recv_timeout(wait) {
            Ok(span) => batch.push(span),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
        wait = Duration::from_millis(20);
    }
    batch
}

/// The body of a request.
fn request(batch: &[Span]) -> Value {
    let spans: Vec<Value> = batch.iter().map(one).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [attribute("service.name", &Attribute::Text("cursus".into()))] },
        "scopeSpans": [{ "scope": { "name": "cursus" }, "spans": spans }],
    }] })
}

fn one(span: &Span) -> Value {
    let attributes = span.attributes.iter();
    let mut value = json!({
        "traceId": format!("{:032x}", span.trace),
        "spanId": format!("{:016x}", span.id),
        "name": span.name,
        "kind": 1,
        "startTimeUnixNano": span.began_nanos.to_string(),
        "endTimeUnixNano": span.ended_nanos.to_string(),
        "attributes": attributes.map(|(key, value)| attribute(key, value)).collect::<Vec<_>>(),
    });
    if let (Some(parent), Some(fields)) = (span.parent, value.as_object_mut()) {
        fields.insert("parentSpanId".into(), format!("{parent:016x}").into());
    }
    value
}

fn attribute(key: &str, value: &Attribute) -> Value {
    let value = match value {
        Attribute::Text(text) => json!({ "stringValue": text }),
        Attribute::Whole(whole) => json!({ "intValue": whole.to_string() }),
        Attribute::Truth(truth) => json!({ "boolValue": truth }),
    };
    json!({ "key": key, "value": value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_encoded_as_the_specification_says() {
        let span = Span {
            trace: 0xabc,
            id: 0x1f,
            parent: Some(2),
            name: "fold",
            began_nanos: 1_000,
            ended_nanos: 2_000,
            attributes: vec![
                ("topic", Attribute::Text("chats".into())),
                ("offset", Attribute::Whole(7)),
            ],
        };
        let body = request(&[span]);
        let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
        let expected = json!({
            "traceId": "00000000000000000000000000000abc",
            "spanId": "000000000000001f",
            "parentSpanId": "0000000000000002",
            "name": "fold",
            "kind": 1,
            "startTimeUnixNano": "1000",
            "endTimeUnixNano": "2000",
            "attributes": [
                { "key": "topic", "value": { "stringValue": "chats" } },
                { "key": "offset", "value": { "intValue": "7" } },
            ],
        });
        assert_eq!(*span, expected);
    }
}
