//! From `tracing`'s spans to finished ones, queued for the collector. Never waits: when the queue is
//! full a span is dropped and counted.

use std::sync::mpsc::SyncSender;
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::Subscriber;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::metrics;

/// A value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Attribute {
    Text(String),
    Whole(i64),
    Truth(bool),
}

/// A span, running or finished.
#[derive(Debug, Clone)]
pub(super) struct Span {
    pub(super) trace: u128,
    pub(super) id: u64,
    pub(super) parent: Option<u64>,
    pub(super) name: &'static str,
    pub(super) began_nanos: u128,
    pub(super) ended_nanos: u128,
    pub(super) attributes: Vec<(&'static str, Attribute)>,
}

/// The layer that makes them.
#[derive(Debug)]
pub(super) struct Spans {
    queue: SyncSender<Span>,
}

impl Spans {
    pub(super) fn new(queue: SyncSender<Span>) -> Self {
        Self { queue }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Spans {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        let above = span.parent().and_then(|parent| {
            let extensions = parent.extensions();
            let above = extensions.get::<Span>()?;
            Some((above.trace, above.id))
        });
        let trace = above.map_or_else(|| fastrand::u128(1..), |(trace, _)| trace);
        let mut made = Span {
            trace,
            id: fastrand::u64(1..),
            parent: above.map(|(_, id)| id),
            name: attributes.metadata().name(),
            began_nanos: now_nanos(),
            ended_nanos: 0,
            attributes: Vec::new(),
        };
        attributes.record(&mut Noted(&mut made.attributes));
        span.extensions_mut().insert(made);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let Some(span) = context.span(id) else { return };
        if let Some(made) = span.extensions_mut().get_mut::<Span>() {
            values.record(&mut Noted(&mut made.attributes));
        }
    }

    fn on_close(&self, id: Id, context: Context<'_, S>) {
        let Some(span) = context.span(&id) else {
            return;
        };
        let Some(mut made) = span.extensions_mut().remove::<Span>() else {
            return;
        };
        made.ended_nanos = now_nanos();
        if self.queue.try_send(made).is_err() {
            metrics::spans_dropped(1);
        }
    }
}

fn now_nanos() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos())
}

/// Takes a span's fields.
struct Noted<'a>(&'a mut Vec<(&'static str, Attribute)>);

impl Visit for Noted<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0
            .push((field.name(), Attribute::Text(format!("{value:?}"))));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0
            .push((field.name(), Attribute::Text(value.to_owned())));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.push((field.name(), Attribute::Whole(value)));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        let value = i64::try_from(value).unwrap_or(i64::MAX);
        self.record_i64(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.push((field.name(), Attribute::Truth(value)));
    }
}
