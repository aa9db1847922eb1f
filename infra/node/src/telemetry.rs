//! Metrics for Prometheus.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use delivery::Delivery;
use infra_ports::Runtime;
use infra_ports::metric::{Described, Kind};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::process;

/// How often samples are folded into their buckets.
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Every metric of a node, crate by crate: what `docs/metrics.md` lists.
pub fn metrics() -> impl Iterator<Item = &'static dyn Described> {
    let crates = [
        ingest::metrics::ALL,
        infra_log_embedded::metrics::ALL,
        projectors::metrics::ALL,
        infra_store_embedded::metrics::ALL,
        delivery::metrics::ALL,
        crate::metrics::ALL,
    ];
    crates.into_iter().flatten().copied()
}

/// Starts metrics; one recorder serves all nodes of a process. To be called before anything is
/// opened: what happens before is not counted.
///
/// # Errors
/// When the buckets are not ascending, which is a defect.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    if let Some(handle) = HANDLE.get() {
        return Ok(handle.clone());
    }
    let mut builder = PrometheusBuilder::new();
    for one in metrics() {
        if let Kind::Histogram(buckets) = one.metric().kind {
            let name = Matcher::Full(one.metric().name.to_owned());
            builder = builder.set_buckets_for_metric(name, buckets)?;
        }
    }
    let recorder = builder.build_recorder();
    let handle = HANDLE.get_or_init(|| recorder.handle()).clone();
    // Only the first recorder of a process takes effect; its handle is the one kept above.
    drop(::metrics::set_global_recorder(recorder));
    metrics().for_each(Described::register);
    Ok(handle)
}

/// Folds what histograms have gathered and looks at what is only looked at, until delivery ends:
/// nobody may be asking for metrics, and samples that are not folded pile up.
pub(crate) async fn keep_up(
    metrics: PrometheusHandle,
    delivery: Delivery,
    log: PathBuf,
    runtime: Arc<dyn Runtime>,
) {
    while delivery.is_delivering() {
        delivery.take_stock();
        process::take_stock(&log);
        metrics.run_upkeep();
        runtime.sleep(UPKEEP_EVERY).await;
    }
}
