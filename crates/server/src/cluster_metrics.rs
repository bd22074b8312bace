//! Metrics about the clusters that are read: `istiod_managed_clusters`, `istiod_remote_cluster_sync_status`,
//! `remote_cluster_*` (platform specification, section 3).

use prometheus::{GaugeVec, IntCounterVec, Opts, Registry};

/// What a remote cluster may be, as one label says it.
const STATUSES: &[&str] = &["synced", "syncing", "timeout", "closed"];

/// Which clusters there are, and what became of them.
#[derive(Clone, Debug)]
pub struct ClusterMetrics {
    managed: GaugeVec,
    status: GaugeVec,
    timeouts: IntCounterVec,
    events: IntCounterVec,
}

impl ClusterMetrics {
    /// New metrics in a registry, with our own cluster alone.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<GaugeVec> {
            let gauges = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(gauges.clone()))?;
            Ok(gauges)
        };
        let counters = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let metrics = Self {
            managed: gauges("istiod_managed_clusters", "Number of clusters read.", &["cluster_type"])?,
            status: gauges(
                "istiod_remote_cluster_sync_status",
                "Whether a remote cluster is in that state: 1, or 0.",
                &["cluster", "cluster_type", "status"],
            )?,
            timeouts: counters(
                "remote_cluster_sync_timeouts_total",
                "Times a remote cluster took too long to be read.",
                &["cluster"],
            )?,
            events: counters(
                "remote_cluster_secret_events_total",
                "Changes of Secrets that tell of remote clusters.",
                &["event"],
            )?,
        };
        metrics.managed.with_label_values(&["local"]).set(1.0);
        metrics.manages(0);
        Ok(metrics)
    }

    /// So many remote clusters are read.
    pub fn manages(&self, n_remote: usize) {
        self.managed.with_label_values(&["remote"]).set(n_remote as f64);
    }

    /// The state of a remote cluster: `synced`, `syncing`, `timeout` or `closed`.
    pub fn is_in_state(&self, cluster: &str, state: &str) {
        for status in STATUSES {
            let value = if *status == state { 1.0 } else { 0.0 };
            self.status.with_label_values(&[cluster, "remote", status]).set(value);
        }
    }

    /// A remote cluster took too long.
    pub fn timed_out(&self, cluster: &str) {
        self.timeouts.with_label_values(&[cluster]).inc();
    }

    /// A Secret that tells of clusters came, changed or went: `add`, `update` or `delete`.
    pub fn secret_event(&self, event: &str) {
        self.events.with_label_values(&[event]).inc();
    }
}
