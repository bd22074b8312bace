//! The HTTP connection manager of inbound, outbound and gateway chains (spec 4.4; rows L24, L25, L30).
//!
//! [`HcmDefaults`] is what all managers of one class and direction share, selected once; [`HcmOptions`] is what one
//! chain adds. Both hash, so that a listener's input carries them; [`network_filter`] looks at nothing else. The HTTP
//! filters stand one in a file; their order is [`filters::ORDER`].

mod alpn;
mod cors;
mod defaults;
mod dynamic_forward_proxy;
mod fault;
mod filters;
mod grpc_stats;
mod grpc_web;
mod headers;
mod metadata_exchange;
mod path;
mod router;

use std::sync::Arc;

use model::Protocol;
use prost::Name;
use proto::envoy;
use proto::envoy::google::boolean;
use proto::envoy::hcm::http_connection_manager::{CodecType, RouteSpecifier, UpgradeConfig};

pub use defaults::HcmDefaults;
pub use filters::Slot;

use crate::{Reference, Sealed};

/// The name of the network filter.
pub const NAME: &str = "envoy.filters.network.http_connection_manager";

/// Where the routes come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HcmRoutes {
    /// The route configuration of that name, over ADS.
    Rds(String),
    /// These routes.
    Inline(Sealed<envoy::route::RouteConfiguration>),
}

/// One connection manager.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HcmOptions {
    /// What it shares with its neighbours.
    pub defaults: Arc<HcmDefaults>,
    /// The prefix of its statistics, with the trailing `;` where there is one.
    pub stat_prefix: String,
    /// Its routes.
    pub routes: HcmRoutes,
    /// What is spoken on the port.
    pub protocol: Protocol,
    /// The port that extensions know it by; 0 for one that stands for all that are not declared.
    pub port: u32,
    /// Whether requests may name their host in the request line (forward proxies).
    pub allow_absolute_url: bool,
    /// Whether it stands on a QUIC listener.
    pub http3: bool,
    /// The DNS cache of a wildcard host that is resolved for each request.
    pub dynamic_forward_proxy: Option<DnsCache>,
    /// Filters of policies and extensions, in order within each slot.
    pub inserted: Vec<(Slot, Sealed<envoy::hcm::HttpFilter>)>,
}

/// A DNS cache, shared by a cluster and a filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DnsCache {
    /// Its name.
    pub name: String,
    /// Which addresses it looks up, a value of `envoy::cluster::cluster::DnsLookupFamily`.
    pub lookup_family: i32,
}

impl HcmOptions {
    /// A connection manager with nothing out of the ordinary.
    pub fn new(
        defaults: Arc<HcmDefaults>,
        stat_prefix: impl Into<String>,
        routes: HcmRoutes,
        protocol: Protocol,
    ) -> Self {
        Self {
            defaults,
            stat_prefix: stat_prefix.into(),
            routes,
            protocol,
            port: 0,
            allow_absolute_url: false,
            http3: false,
            dynamic_forward_proxy: None,
            inserted: Vec::new(),
        }
    }

    /// The resources that the connection manager names; they belong into `Rendered::references`.
    pub fn references(&self) -> Vec<Reference> {
        let mut references = self.defaults.extensions.references(self.port, true);
        if let HcmRoutes::Rds(name) = &self.routes {
            references.push(Reference::Routes(name.clone()));
        }
        references
    }
}

/// The network filter of a connection manager.
pub fn network_filter(options: &HcmOptions) -> envoy::listener::Filter {
    envoy::listener::Filter {
        name: NAME.to_owned(),
        config_type: Some(envoy::listener::filter::ConfigType::TypedConfig(proto::pack::any(&build(
            options,
        )))),
    }
}

/// The connection manager.
pub fn build(options: &HcmOptions) -> envoy::hcm::HttpConnectionManager {
    let defaults = &options.defaults;
    let telemetry = &defaults.telemetry;
    let request_id = envoy::uuid_request_id::UuidRequestIdConfig {
        use_request_id_for_trace_sampling: Some(boolean(telemetry.samples_by_request_id())),
        ..Default::default()
    };
    let mut manager = envoy::hcm::HttpConnectionManager {
        codec_type: if options.http3 { CodecType::Http3 as i32 } else { CodecType::Auto as i32 },
        stat_prefix: options.stat_prefix.clone(),
        http_filters: filters::all(options),
        access_log: telemetry.http_access_log(),
        tracing: telemetry.tracing(),
        stream_idle_timeout: Some(envoy::google::seconds(0)),
        proxy_100_continue: defaults.proxy_100_continue,
        use_remote_address: Some(boolean(defaults.use_remote_address)),
        upgrade_configs: vec![UpgradeConfig { upgrade_type: "websocket".to_owned(), ..Default::default() }],
        request_id_extension: Some(envoy::hcm::RequestIdExtension {
            typed_config: Some(proto::pack::any(&request_id)),
        }),
        route_specifier: Some(match &options.routes {
            HcmRoutes::Rds(name) => RouteSpecifier::Rds(rds(name)),
            HcmRoutes::Inline(routes) => RouteSpecifier::RouteConfig((**routes).clone()),
        }),
        ..Default::default()
    };
    if let Some(nanos) = defaults.idle_timeout {
        manager.common_http_protocol_options = Some(envoy::core::HttpProtocolOptions {
            idle_timeout: Some(envoy::google::Duration {
                seconds: nanos / 1_000_000_000,
                nanos: (nanos % 1_000_000_000) as i32,
            }),
            ..Default::default()
        });
    }
    if defaults.direction == crate::telemetry::Direction::Inbound && options.protocol.is_http2() {
        manager.http2_protocol_options = Some(envoy::core::Http2ProtocolOptions::default());
    }
    if options.http3 {
        manager.http3_protocol_options = Some(envoy::core::Http3ProtocolOptions::default());
    }
    path::apply(defaults, &mut manager);
    headers::apply(options, &mut manager);
    manager
}

fn rds(name: &str) -> envoy::hcm::Rds {
    envoy::hcm::Rds {
        config_source: Some(envoy::core::ConfigSource {
            config_source_specifier: Some(envoy::core::config_source::ConfigSourceSpecifier::Ads(
                envoy::core::AggregatedConfigSource {},
            )),
            initial_fetch_timeout: Some(envoy::google::seconds(0)),
            resource_api_version: envoy::core::ApiVersion::V3 as i32,
            ..Default::default()
        }),
        route_config_name: name.to_owned(),
    }
}

/// An HTTP filter of that name and configuration.
pub fn http_filter<M: prost::Message + Name>(name: &str, config: &M) -> envoy::hcm::HttpFilter {
    envoy::hcm::HttpFilter {
        name: name.to_owned(),
        config_type: Some(envoy::hcm::http_filter::ConfigType::TypedConfig(proto::pack::any(config))),
        ..Default::default()
    }
}
