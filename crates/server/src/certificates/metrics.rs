//! `citadel_*`, by which operators are told of a root that is running out (platform specification, section 3).

use prometheus::{Gauge, IntCounter, IntCounterVec, Opts, Registry};
use tonic::Code;

/// Why nothing was signed, as metrics count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignError {
    /// There is no authority that could sign.
    NotReady,
    /// The request is at fault.
    Request,
    /// Too long a life was asked for.
    Lifetime,
    /// Signing itself failed.
    Generation,
    /// Whoever signs refused or did not answer.
    Unknown,
}

impl SignError {
    fn label(self) -> &'static str {
        match self {
            Self::NotReady => "CA_NOT_READY",
            Self::Request => "CSR_ERROR",
            Self::Lifetime => "TTL_ERROR",
            Self::Generation => "CERT_GEN_ERROR",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The status that a caller gets.
    pub(super) fn code(self) -> Code {
        match self {
            Self::Request | Self::Lifetime => Code::InvalidArgument,
            Self::NotReady | Self::Generation | Self::Unknown => Code::Internal,
        }
    }
}

/// The metrics of the certificate authority.
#[derive(Clone, Debug)]
pub struct CertificateMetrics {
    pub(super) requests: IntCounter,
    pub(super) issued: IntCounter,
    pub(super) authentication_failures: IntCounter,
    pub(super) unreadable_requests: IntCounter,
    pub(super) identity_errors: IntCounter,
    errors: IntCounterVec,
    root_expiry: Gauge,
    root_seconds: Gauge,
    reload_failures: IntCounter,
}

impl CertificateMetrics {
    /// New metrics in a registry.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(name, help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        let gauge = |name: &str, help: &str| -> prometheus::Result<Gauge> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let errors = IntCounterVec::new(
            Opts::new("citadel_server_csr_sign_err_count", "Requests that were not signed, by reason."),
            &["error"],
        )?;
        registry.register(Box::new(errors.clone()))?;
        Ok(Self {
            requests: counter("citadel_server_csr_count", "Signing requests.")?,
            issued: counter("citadel_server_success_cert_issuance_count", "Certificates issued.")?,
            authentication_failures: counter(
                "citadel_server_authentication_failure_count",
                "Signing requests of callers that were not believed.",
            )?,
            unreadable_requests: counter(
                "citadel_server_csr_parsing_err_count",
                "Signing requests that could not be read or whose key or signature was refused.",
            )?,
            identity_errors: counter(
                "citadel_server_id_extraction_err_count",
                "Signing requests of callers without an identity.",
            )?,
            errors,
            root_expiry: gauge(
                "citadel_server_root_cert_expiry_timestamp",
                "When the root runs out, in seconds since 1970.",
            )?,
            root_seconds: gauge(
                "citadel_server_root_cert_expiry_seconds",
                "Seconds until the root runs out.",
            )?,
            reload_failures: counter(
                "citadel_server_ca_reload_failure_count",
                "Times that changed CA material was refused and the old stayed in force.",
            )?,
        })
    }

    pub(super) fn refused(&self, error: SignError) {
        self.errors.with_label_values(&[error.label()]).inc();
    }

    /// When the root runs out; both in seconds since 1970.
    pub fn root_runs_out(&self, at: i64, now: i64) {
        self.root_expiry.set(at as f64);
        self.root_seconds.set((at - now) as f64);
    }

    /// Changed material was refused.
    pub fn reload_failed(&self) {
        self.reload_failures.inc();
    }
}
