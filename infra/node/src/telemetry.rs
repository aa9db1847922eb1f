//! Traces to standard error, metrics for Prometheus.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::Runtime;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

/// How often samples are folded into their buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);
/// Upper bounds of latency buckets, in seconds: 100 µs to 10 s.
const SECONDS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// Starts traces. A second call in one process changes nothing.
///
/// # Errors
/// When the filter is not one.
pub(crate) fn start_traces(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .try_init();
    // Only a second node in one process gets here, in tests; the first one's traces go on.
    drop(started);
    Ok(())
}

/// Starts metrics; one recorder serves all nodes of a process.
///
/// # Errors
/// When the buckets are not ascending, which is a defect.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let recorder = PrometheusBuilder::new()
        .set_buckets(&SECONDS)?
        .build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle()).clone();
    // Only the first recorder of a process takes effect; its handle is the one kept above.
    drop(metrics::set_global_recorder(recorder));
    infra_log_embedded::metrics::describe();
    ingest::metrics::describe();
    delivery::metrics::describe();
    projectors::metrics::describe();
    Ok(handle)
}

/// Folds what histograms have gathered, for ever: nobody may be asking for metrics, and samples
/// that are not folded pile up.
pub(crate) async fn keep_up(metrics: PrometheusHandle, runtime: Arc<dyn Runtime>) {
    loop {
        runtime.sleep(UPKEEP_EVERY).await;
        metrics.run_upkeep();
    }
}
