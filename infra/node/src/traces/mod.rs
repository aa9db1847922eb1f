//! Traces: lines on standard error, which wait for nobody (`lines`), and, where a collector is configured, spans to it over OTLP.
//!
//! A span is a unit of work: a command accepted, a commit, a chunk folded, a chunk remembered, a
//! batch handed out, an entry pushed. It carries topic, partition, offset and seq, so that a message
//! is followed from one to the next; never a body. Without a collector no span is made.

mod export;
pub(crate) mod lines;
mod spans;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use self::export::Exporter;
use self::lines::{Lines, Writing};
use self::spans::Spans;

/// Where spans go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The collector's address for traces over HTTP, as `http://127.0.0.1:4318/v1/traces`; without
    /// one no spans are made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub otlp: Option<String>,
    /// Which spans are made, in `tracing_subscriber`'s filter syntax.
    pub spans: String,
    /// Spans that may wait for the collector; those beyond are dropped and counted.
    pub queue: usize,
    /// How long the collector may take to answer.
    #[serde(with = "humantime_serde")]
    pub within: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            otlp: None,
            spans: "ingest=debug,infra_log_embedded=debug,projectors=debug,delivery=debug".into(),
            queue: 8_192,
            within: Duration::from_secs(5),
        }
    }
}

/// Running traces. Dropping it sends what waits to the collector, and then writes the lines that wait.
pub(crate) struct Traces {
    _exporter: Option<Exporter>,
    _writing: Writing,
}

/// Starts traces. A second call in one process changes nothing.
///
/// # Errors
/// When a filter is not one, or there is no thread for the exporter or the lines.
pub(crate) fn start(filter: &str, config: &Config) -> anyhow::Result<Traces> {
    let (to_stderr, writing) = lines::start(std::io::stderr())?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(to_stderr.clone())
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_filter(EnvFilter::try_new(filter)?);
    let mut exporter = None;
    let mut spans = None;
    if let Some(url) = &config.otlp {
        let (running, queue) = Exporter::start(url.clone(), config)?;
        exporter = Some(running);
        spans = Some(Spans::new(queue).with_filter(EnvFilter::try_new(&config.spans)?));
    }
    let started = tracing_subscriber::registry()
        .with(lines)
        .with(spans)
        .try_init();
    // A second node in one process, in tests, changes nothing; the first one's traces go on.
    if started.is_ok() {
        tell_panics(to_stderr);
    }
    Ok(Traces {
        _exporter: exporter,
        _writing: writing,
    })
}

/// Leaves what a panic says with the lines, whatever their filter: its thread may hold messages up too.
fn tell_panics(lines: Lines) {
    let otherwise = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current();
        let name = thread.name().unwrap_or("without a name");
        let backtrace = Backtrace::capture();
        let mut told = format!("thread {name} {panic}\n");
        if backtrace.status() == BacktraceStatus::Captured {
            told += &backtrace.to_string();
        }
        if !lines.leave(told.as_bytes()) {
            otherwise(panic);
        }
    }));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    /// A standard error that can be read.
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Said {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            self.0.lock().extend_from_slice(text);
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_panic_is_told_among_the_lines_and_written_before_the_end() {
        let said = Said::default();
        let (lines, writing) = lines::start(said.clone()).unwrap();
        tell_panics(lines);
        let panics = std::thread::Builder::new().name("unlucky".into());
        let panics = panics.spawn(|| panic!("what it did not expect"));
        assert!(panics.unwrap().join().is_err());
        drop(writing);
        let said = String::from_utf8(said.0.lock().clone()).unwrap();
        assert!(said.contains("thread unlucky panicked at "), "{said}");
        assert!(said.contains("what it did not expect"), "{said}");
    }
}
