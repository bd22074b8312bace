//! Metrics by the names, labels and buckets that dashboards for istiod read (platform specification, section 3).
//! Families with labels show nothing until something was counted.

use std::collections::BTreeMap;
use std::time::Duration;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};

use crate::process::Process;

const GENERATION: &[f64] = &[0.01, 0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
const DELIVERY: &[f64] = &[0.1, 0.5, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0];
const CONTEXT: &[f64] = &[0.01, 0.1, 0.5, 1.0, 3.0, 5.0];
const SIZES: &[f64] = &[1.0, 1e4, 1e6, 4e6, 1e7, 4e7];

/// All metrics of the push path.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    pub(crate) proxies: GaugeVec,
    pub(crate) pushes: IntCounterVec,
    pub(crate) push_time: HistogramVec,
    pub(crate) send_time: HistogramVec,
    pub(crate) queue_time: Histogram,
    pub(crate) convergence_time: Histogram,
    pub(crate) config_size: HistogramVec,
    pub(crate) rejects: IntCounterVec,
    pub(crate) last_rejects: [(&'static str, GaugeVec); 4],
    pub(crate) expired_nonces: IntCounterVec,
    pub(crate) largest_request: IntGauge,
    pub(crate) write_timeouts: IntCounter,
    internal_errors: IntCounter,
    triggers: IntCounterVec,
    inbound_updates: IntCounterVec,
    debounce_time: Histogram,
    context_time: Histogram,
    services: IntGauge,
    virtual_services: IntGauge,
    config_events: IntCounterVec,
    registry_events: IntCounterVec,
    rejected_configs: IntCounterVec,
    secret_errors: IntCounter,
    secret_expiry: GaugeVec,
    keys_fetched: IntCounter,
    keys_not_fetched: IntCounter,
    uptime: Gauge,
    tasks: IntGauge,
    status: Vec<(model::Gauge, IntGauge)>,
}

impl Metrics {
    /// New metrics in a registry of their own; `version` is what this control plane calls itself.
    pub fn new(version: &str) -> prometheus::Result<Self> {
        let registry = Registry::new();
        registry.register(Box::new(Process::new()?))?;
        let new = Families(&registry);
        new.gauge_vec("pilot_info", "Pilot version and build information.", &["version"])?
            .with_label_values(&[version])
            .set(1.0);
        new.gauge_vec("istio_build", "Istio component build info", &["component", "tag"])?
            .with_label_values(&["pilot", version])
            .set(1.0);
        let last_reject = |short: &'static str, what: &str| {
            let name = format!("pilot_xds_{short}_reject");
            new.gauge_vec(&name, &format!("Last rejected {what}."), &["node", "err"])
                .map(|gauge| (short, gauge))
        };
        Ok(Self {
            proxies: new.gauge_vec("pilot_xds", "Number of proxies connected over XDS.", &["version"])?,
            pushes: new.counter_vec("pilot_xds_pushes", "Responses sent, by type.", &["type"])?,
            push_time: new.histogram_vec(
                "pilot_xds_push_time",
                "Seconds to make a response, by type.",
                &["type"],
                GENERATION,
            )?,
            send_time: new.histogram_vec(
                "pilot_xds_send_time",
                "Seconds to hand a response to the stream, by type.",
                &["type"],
                GENERATION,
            )?,
            queue_time: new.histogram(
                "pilot_proxy_queue_time",
                "Seconds a proxy's push waited to be made.",
                DELIVERY,
            )?,
            convergence_time: new.histogram(
                "pilot_proxy_convergence_time",
                "Seconds between a change and a proxy having been sent all of it.",
                DELIVERY,
            )?,
            config_size: new.histogram_vec(
                "pilot_xds_config_size_bytes",
                "Bytes of responses, by type URL.",
                &["type"],
                SIZES,
            )?,
            rejects: new.counter_vec("pilot_total_xds_rejects", "Rejected responses, by type.", &["type"])?,
            last_rejects: [
                last_reject("cds", "clusters")?,
                last_reject("eds", "endpoints")?,
                last_reject("lds", "listeners")?,
                last_reject("rds", "routes")?,
            ],
            expired_nonces: new.counter_vec(
                "pilot_xds_expired_nonce",
                "Requests that answer a response older than the last, by type.",
                &["type"],
            )?,
            largest_request: new.gauge("pilot_xds_recv_max", "Bytes of the largest request so far.")?,
            write_timeouts: new
                .counter("pilot_xds_write_timeout", "Streams ended because the client did not read.")?,
            internal_errors: new
                .counter("pilot_total_xds_internal_errors", "Errors of the control plane's own making.")?,
            triggers: new.counter_vec("pilot_push_triggers", "Pushes, by what caused them.", &["type"])?,
            inbound_updates: new.counter_vec("pilot_inbound_updates", "Changes seen, by kind.", &["type"])?,
            debounce_time: new.histogram(
                "pilot_debounce_time",
                "Seconds between the first change of a push and its start.",
                GENERATION,
            )?,
            context_time: new.histogram(
                "pilot_pushcontext_init_seconds",
                "Seconds to take changes into the mesh.",
                CONTEXT,
            )?,
            services: new.gauge("pilot_services", "Services known.")?,
            virtual_services: new.gauge("pilot_virt_services", "VirtualServices known.")?,
            config_events: new.counter_vec(
                "pilot_k8s_cfg_events",
                "Changes of configuration, by kind and event.",
                &["type", "event"],
            )?,
            registry_events: new.counter_vec(
                "pilot_k8s_reg_events",
                "Changes of the registry, by kind and event.",
                &["type", "event"],
            )?,
            secret_errors: new.counter(
                "pilot_sds_certificate_errors_total",
                "Failures to send a certificate or key, or to make sense of it.",
            )?,
            keys_fetched: new
                .counter("pilot_jwks_resolver_network_fetch_success_total", "Key sets that were fetched.")?,
            keys_not_fetched: new.counter(
                "pilot_jwks_resolver_network_fetch_fail_total",
                "Key sets that could not be fetched.",
            )?,
            secret_expiry: new.gauge_vec(
                "pilot_sds_certificate_expiry_timestamp",
                "When a certificate that gateways are sent runs out, in seconds since 1970.",
                &["namespace", "resource"],
            )?,
            rejected_configs: new.counter_vec(
                "pilot_total_rejected_configs",
                "Objects left out, by kind and name.",
                &["type", "name"],
            )?,
            status: model::findings::GAUGES
                .iter()
                .map(|gauge| Ok((*gauge, new.gauge(gauge.name, gauge.help)?)))
                .collect::<prometheus::Result<_>>()?,
            tasks: new.gauge("trierarch_tasks", "Tasks of the runtime that are alive.")?,
            uptime: new.float_gauge("istiod_uptime_seconds", "Seconds since the control plane started.")?,
            registry,
        })
    }

    /// Where other crates may register metrics of their own.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// A push happens for this reason: `endpoint`, `config`, `service`, `global`, `proxyrequest`, …
    pub fn triggered(&self, reason: &str) {
        self.triggers.with_label_values(&[reason]).inc();
    }

    /// A change was seen: `config`, `eds`, `svc` or `svcdelete`.
    pub fn updated(&self, kind: &str) {
        self.inbound_updates.with_label_values(&[kind]).inc();
    }

    /// How long changes were gathered.
    pub fn debounced(&self, time: Duration) {
        self.debounce_time.observe(time.as_secs_f64());
    }

    /// How long it took to take changes into the mesh.
    pub fn committed(&self, time: Duration) {
        self.context_time.observe(time.as_secs_f64());
    }

    /// What the mesh holds now.
    pub fn holds(&self, n_services: usize, n_virtual_services: usize) {
        self.services.set(n_services as i64);
        self.virtual_services.set(n_virtual_services as i64);
    }

    /// What is amiss now, for the gauges of the push status.
    pub fn found(&self, counted: &BTreeMap<model::Gauge, usize>) {
        for (gauge, shown) in &self.status {
            shown.set(counted.get(gauge).copied().unwrap_or(0) as i64);
        }
    }

    /// An object of configuration came, changed or went.
    pub fn config_event(&self, kind: &str, event: &str) {
        self.config_events.with_label_values(&[kind, event]).inc();
    }

    /// An object of the registry came, changed or went.
    pub fn registry_event(&self, kind: &str, event: &str) {
        self.registry_events.with_label_values(&[kind, event]).inc();
    }

    /// An object could not be used.
    pub fn rejected_config(&self, kind: &str, name: &str) {
        self.rejected_configs.with_label_values(&[kind, name]).inc();
    }

    /// Secrets that were not there, not allowed, or are not what they should be.
    pub fn secret_errors(&self, count: usize) {
        self.secret_errors.inc_by(count as u64);
    }

    /// When a certificate that proxies of a namespace have runs out, in seconds since 1970; 0 if nobody can tell.
    pub fn secret_runs_out(&self, namespace: &str, name: &str, at: i64) {
        self.secret_expiry.with_label_values(&[namespace, name]).set(at as f64);
    }

    /// Keys for tokens were fetched, or could not be.
    pub fn fetched_keys(&self, well: bool) {
        if well { &self.keys_fetched } else { &self.keys_not_fetched }.inc();
    }

    /// Begins anew to tell when certificates run out.
    pub fn forget_secrets(&self) {
        self.secret_expiry.reset();
    }

    /// Something went wrong that is no user's fault.
    pub fn internal_error(&self) {
        self.internal_errors.inc();
    }

    /// Tells how long the process runs.
    pub fn up_for(&self, time: Duration) {
        self.uptime.set(time.as_secs_f64());
    }

    /// Tells how many tasks there are.
    pub(crate) fn has_tasks(&self, count: usize) {
        self.tasks.set(count as i64);
    }

    /// Everything in Prometheus's text format.
    pub fn text(&self) -> prometheus::Result<Vec<u8>> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, family: C) -> prometheus::Result<C> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counter_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        self.add(IntGauge::new(name, help)?)
    }

    fn float_gauge(&self, name: &str, help: &str) -> prometheus::Result<Gauge> {
        self.add(Gauge::new(name, help)?)
    }

    fn gauge_vec(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.add(GaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    fn histogram_vec(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}
