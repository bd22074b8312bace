//! The message behind each Istio kind.
pub use proto::istio::extensions::{TrafficExtension, WasmPlugin};
pub use proto::istio::networking::{
    DestinationRule, EnvoyFilter, Gateway, ServiceEntry, Sidecar, VirtualService, WorkloadEntry,
    WorkloadGroup,
};
pub use proto::istio::networking_beta::ProxyConfig;
pub use proto::istio::security::{AuthorizationPolicy, PeerAuthentication, RequestAuthentication};
pub use proto::istio::telemetry::Telemetry;
