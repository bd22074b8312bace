//! Metrics of those who keep webhook configurations right: `webhook_patch_*` for injection and
//! `galley_validation_config_*` for validation (platform specification, section 3).

use prometheus::{IntCounter, IntCounterVec, Opts, Registry};

/// What was written into webhook configurations, and what could not be.
#[derive(Clone, Debug)]
pub struct WebhookMetrics {
    attempts: IntCounterVec,
    retries: IntCounterVec,
    failures: IntCounterVec,
    updates: IntCounter,
    update_errors: IntCounterVec,
}

impl WebhookMetrics {
    /// New metrics in a registry.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let updates =
            IntCounter::new("galley_validation_config_updates", "k8s webhook configuration updates")?;
        registry.register(Box::new(updates.clone()))?;
        Ok(Self {
            attempts: counters("webhook_patch_attempts_total", "Webhook patching attempts", &["name"])?,
            retries: counters("webhook_patch_retries_total", "Webhook patching retries", &["name"])?,
            failures: counters(
                "webhook_patch_failures_total",
                "Webhook patching total failures",
                &["name", "reason"],
            )?,
            updates,
            update_errors: counters(
                "galley_validation_config_update_error",
                "k8s webhook configuration update error",
                &["reason"],
            )?,
        })
    }

    /// A configuration for injection was written, or tried.
    pub fn injection_written(&self, name: &str, is_done: bool) {
        self.attempts.with_label_values(&[name]).inc();
        if !is_done {
            self.retries.with_label_values(&[name]).inc();
            self.failures.with_label_values(&[name, "webhook_update_failure"]).inc();
        }
    }

    /// A configuration for validation was written, or tried: then why not.
    pub fn validation_written(&self, failure: Option<&str>) {
        match failure {
            None => self.updates.inc(),
            Some(reason) => self.update_errors.with_label_values(&[reason]).inc(),
        }
    }
}
