//! Metrics for Prometheus.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use delivery::GatewayRole;
use infra_ports::metric::{Described, Kind};
use infra_ports::{Runtime, watch};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use parking_lot::Mutex;

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

/// Starts metrics; one recorder serves all nodes of a process, those too that start at the same
/// time. To be called before anything is opened: what happens before is not counted.
///
/// # Errors
/// When the process has a recorder of somebody else, whose page this node could not show; when
/// the buckets are not ascending, which is a defect.
pub(crate) fn start_metrics() -> anyhow::Result<PrometheusHandle> {
    static STARTED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    // Held until the recorder is in its place: a node must not get the page of another one.
    let mut started = STARTED.lock();
    if let Some(handle) = &*started {
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
    let handle = recorder.handle();
    ::metrics::set_global_recorder(recorder)?;
    metrics().for_each(Described::register);
    Ok(started.insert(handle).clone())
}

/// Folds what histograms have gathered and looks at what is only looked at, until it is told to stop:
/// nobody may be asking for metrics, and samples that are not folded pile up.
pub(crate) async fn keep_up(
    metrics: PrometheusHandle,
    gateway: Option<GatewayRole>,
    log: PathBuf,
    runtime: Arc<dyn Runtime>,
    mut stopped: watch::Receiver<bool>,
) {
    loop {
        gateway.as_ref().inspect(|gateway| gateway.take_stock());
        process::take_stock(&log);
        metrics.run_upkeep();
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => return,
            () = runtime.sleep(UPKEEP_EVERY) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

    use std::sync::Barrier;

    use super::*;

    #[test]
    fn nodes_that_start_at_the_same_time_show_the_metrics_of_all() {
        let at_once = Barrier::new(16);
        let start = || {
            at_once.wait();
            start_metrics().unwrap()
        };
        let pages = std::thread::scope(|scope| {
            let starting: Vec<_> = (0..16).map(|_| scope.spawn(start)).collect();
            let started = starting.into_iter().map(|node| node.join().unwrap());
            started.map(|page| page.render()).collect::<Vec<_>>()
        });
        assert!(pages.iter().all(|page| page.contains("\ncursus_ready ")));
    }
}
