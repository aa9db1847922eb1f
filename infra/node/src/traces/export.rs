//! Finished spans on their way to the collector: OTLP over HTTP, in its JSON encoding
//! (opentelemetry.io/docs/specs/otlp: ids in hexadecimal, 64-bit numbers as text), on a thread of its
//! own. What the collector does not take is dropped and counted; nothing waits for it.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Config;
use super::spans::{Attribute, Span};
use crate::metrics;

/// Spans sent at once, at most.
const BATCH: usize = 512;
/// How long a span waits for others to share its request.
const GATHER: Duration = Duration::from_millis(500);
/// How long what waits at the end may take to be sent, beside the request under way.
const LAST_WITHIN: Duration = Duration::from_secs(2);

/// The thread that sends.
#[derive(Debug)]
pub(super) struct Exporter {
    stop: SyncSender<()>,
    thread: Option<JoinHandle<usize>>,
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
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(0)) | None => {}
            // Nobody can ask for the metrics any more.
            Some(Ok(spans)) => tracing::warn!(spans, "dropped since the start"),
            Some(Err(_)) => tracing::error!("the thread that sends spans panicked"),
        }
    }
}

/// Sends batch after batch. Told to stop, it sends what waits, as long as the collector takes it and
/// at most for [`LAST_WITHIN`]; the rest is dropped and counted. Answers how many spans were dropped.
fn send_all(
    agent: &ureq::Agent,
    url: &str,
    spans: &Receiver<Span>,
    stopped: &Receiver<()>,
) -> usize {
    let (mut well, mut dropped) = (true, 0);
    let mut last: Option<Instant> = None;
    loop {
        if last.is_none() && stopped.try_recv().is_ok() {
            last = Some(Instant::now() + LAST_WITHIN);
        }
        let batch = match last {
            None => gather(spans),
            Some(_) => spans.try_iter().take(BATCH).collect(),
        };
        if batch.is_empty() && last.is_some() {
            return dropped;
        }
        if !batch.is_empty() {
            let sent = agent.post(url).send_json(request(&batch));
            if let Err(error) = &sent {
                dropped += drop_spans(batch.len());
                if well {
                    tracing::warn!(%error, "the collector does not take spans");
                }
            }
            well = sent.is_ok();
        }
        if last.is_some_and(|end| !well || Instant::now() >= end) {
            return dropped + drop_spans(spans.try_iter().count());
        }
    }
}

fn drop_spans(spans: usize) -> usize {
    metrics::spans_dropped(spans);
    spans
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
    use std::io::{BufRead, BufReader, Read, Write};
    use std::net::TcpListener;

    use super::*;

    fn span() -> Span {
        Span {
            trace: 1,
            id: 1,
            parent: None,
            name: "fold",
            began_nanos: 1,
            ended_nanos: 2,
            attributes: Vec::new(),
        }
    }

    /// A collector that takes so many requests and answers them all alike.
    fn collector(requests: usize, answer: &'static str) -> (String, JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
        let taking = std::thread::spawn(move || {
            let mut spans = 0;
            for _ in 0..requests {
                let mut stream = BufReader::new(listener.accept().unwrap().0);
                let mut line = String::new();
                let mut length = 0;
                while line != "\r\n" {
                    line.clear();
                    stream.read_line(&mut line).unwrap();
                    let lower = line.to_ascii_lowercase();
                    if let Some(value) = lower.strip_prefix("content-length:") {
                        length = value.trim().parse().unwrap();
                    }
                }
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                spans += String::from_utf8(body).unwrap().matches("spanId").count();
                let head = format!("HTTP/1.1 {answer}\r\nConnection: close\r\n");
                let answer = format!("{head}Content-Length: 0\r\n\r\n");
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
            spans
        });
        (url, taking)
    }

    /// Puts so many spans in, says stop at once, and answers how many were dropped.
    fn stop_with(waiting: usize, url: &str) -> usize {
        let (queue, spans) = sync_channel(waiting);
        let (stop, stopped) = sync_channel(1);
        (0..waiting).for_each(|_| queue.send(span()).unwrap());
        stop.send(()).unwrap();
        send_all(&ureq::Agent::new_with_defaults(), url, &spans, &stopped)
    }

    #[test]
    fn what_waits_at_the_end_is_sent_to_the_last_span() {
        let (url, taking) = collector(3, "200 OK");
        assert_eq!(stop_with(2 * BATCH + 1, &url), 0);
        assert_eq!(taking.join().unwrap(), 2 * BATCH + 1);
    }

    #[test]
    fn what_is_not_taken_at_the_end_is_counted_to_the_last_span() {
        let (url, taking) = collector(1, "503 Service Unavailable");
        assert_eq!(stop_with(3 * BATCH, &url), 3 * BATCH);
        assert_eq!(taking.join().unwrap(), BATCH, "it is asked once only");
    }

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
