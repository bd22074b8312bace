//! What listeners tell about traffic: access logs, statistics, traces (spec section 7; rows T01-T17).
//!
//! [`TelemetryFacts::select`] resolves it once for a class of proxies and a direction; listeners and connection
//! managers carry the facts in their inputs (they hash by content) and take the finished messages from them.

mod access_log;
mod custom_tags;
mod log_format;
mod log_provider;
mod metadata_exchange;
mod provider;
mod stats;
mod trace;
mod tracer;

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use config::Object;
use model::Fingerprint;
use proto::envoy;
use proto::envoy::listener::Filter;
use proto::istio::telemetry::{ProviderRef, Telemetry, WorkloadMode};
use scope::Dialect;

use crate::Context;

pub use metadata_exchange::metadata_exchange_network_filter;
pub(crate) use provider::cluster as provider_cluster;

/// Which side of a connection a listener is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// A sidecar's listener for what its workload receives.
    Inbound,
    /// A sidecar's listener for what its workload sends.
    Outbound,
    /// A gateway's listener.
    Gateway,
}

impl Direction {
    /// Whether a Telemetry object's mode means it: sidecars answer as servers, everybody else asks as a client.
    fn is_in(self, mode: WorkloadMode) -> bool {
        match mode {
            WorkloadMode::ClientAndServer => true,
            WorkloadMode::Server => self == Self::Inbound,
            WorkloadMode::Client => self != Self::Inbound,
        }
    }
}

/// Telemetry objects that hold for a class, the least specific first.
type TelemetryObjects = [Arc<Object<Telemetry>>];

/// The names of providers.
fn names(providers: &[ProviderRef]) -> Vec<String> {
    providers.iter().map(|provider| provider.name.clone()).collect()
}

/// Everything about telemetry for one class and direction.
#[derive(Clone, Debug)]
pub struct TelemetryFacts {
    http_logs: Vec<envoy::accesslog::AccessLog>,
    tcp_logs: Vec<envoy::accesslog::AccessLog>,
    listener_logs: Vec<envoy::accesslog::AccessLog>,
    stats: Vec<proto::stats::PluginConfig>,
    tracing: trace::Tracing,
    fingerprint: Fingerprint,
}

impl TelemetryFacts {
    /// Resolves the facts. Not cheap: once per class and direction.
    pub fn select(ctx: &Context<'_>, direction: Direction) -> Arc<Self> {
        let class = ctx.class();
        let objects = ctx.reader.telemetries(&class.namespace, &class.labels);
        let loggers = access_log::select(ctx, direction, &objects);
        let tracing = trace::select(ctx, direction, &objects);
        let stats = match ctx.class().dialect {
            Dialect::Istio => stats::select(ctx, direction, &objects),
            Dialect::Stock => Vec::new(),
        };
        let mut facts = Self {
            http_logs: loggers.http,
            tcp_logs: loggers.tcp,
            listener_logs: loggers.listener,
            stats,
            tracing,
            fingerprint: Fingerprint::default(),
        };
        facts.fingerprint = facts.content();
        Arc::new(facts)
    }

    /// What of it concerns listeners that look into no request.
    pub(crate) fn of_streams(&self) -> Arc<Self> {
        let mut facts = Self {
            http_logs: Vec::new(),
            tracing: trace::Tracing::OFF,
            tcp_logs: self.tcp_logs.clone(),
            listener_logs: self.listener_logs.clone(),
            stats: self.stats.clone(),
            fingerprint: Fingerprint::default(),
        };
        facts.fingerprint = facts.content();
        Arc::new(facts)
    }

    /// Access loggers of an HTTP connection manager.
    pub fn http_access_log(&self) -> Vec<envoy::accesslog::AccessLog> {
        self.http_logs.clone()
    }

    /// Access loggers of a TCP proxy.
    pub fn tcp_access_log(&self) -> Vec<envoy::accesslog::AccessLog> {
        self.tcp_logs.clone()
    }

    /// Access loggers of a listener: connections that found no chain.
    pub fn listener_access_log(&self) -> Vec<envoy::accesslog::AccessLog> {
        self.listener_logs.clone()
    }

    /// The statistics filters of a TCP chain.
    pub fn stats_network_filters(&self) -> Vec<Filter> {
        self.stats.iter().map(stats::network_filter).collect()
    }

    /// The statistics filters of an HTTP connection manager.
    pub fn stats_http_filters(&self) -> Vec<envoy::hcm::HttpFilter> {
        self.stats.iter().map(stats::http_filter).collect()
    }

    /// The tracing block of an HTTP connection manager.
    pub fn tracing(&self) -> Option<envoy::hcm::http_connection_manager::Tracing> {
        self.tracing.block.clone()
    }

    /// Whether the request id decides what is sampled.
    pub fn samples_by_request_id(&self) -> bool {
        self.tracing.by_request_id
    }

    fn content(&self) -> Fingerprint {
        let print = |logs: &[envoy::accesslog::AccessLog]| -> Vec<Fingerprint> {
            logs.iter().map(|log| Fingerprint::of(&proto::pack::bytes(log))).collect()
        };
        let stats: Vec<_> = self.stats.iter().map(|s| Fingerprint::of(&proto::pack::bytes(s))).collect();
        let block = self.tracing.block.as_ref().map(|b| Fingerprint::of(&proto::pack::bytes(b)));
        Fingerprint::of_hash(&(
            print(&self.http_logs),
            print(&self.tcp_logs),
            print(&self.listener_logs),
            stats,
            block,
            self.tracing.by_request_id,
        ))
    }
}

impl Hash for TelemetryFacts {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl PartialEq for TelemetryFacts {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for TelemetryFacts {}
