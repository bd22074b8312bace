//! `connectionPool` and `retryBudget` to circuit breakers, timeouts, keepalive and HTTP options (spec 1.5, rows C05,
//! C19, C20). There is always one threshold: without a rule nothing is limited.

use envoy::cluster::circuit_breakers::{Thresholds, thresholds};
use istio::networking::connection_pool_settings::{
    HttpSettings, TcpSettings, http_settings::H2UpgradePolicy, tcp_settings,
};
use istio::networking::{ConnectionPoolSettings, traffic_policy::RetryBudget};
use mesh::MeshSettings;
use proto::envoy::google;
use proto::{envoy, istio};

use super::http_protocol::ProtocolOptions;

/// Whether a client upgrades to HTTP/2: the rule says so, or the mesh does and the port is declared as HTTP.
pub(super) fn upgrades_to_http2(
    settings: &MeshSettings,
    http_port: bool,
    pool: Option<&ConnectionPoolSettings>,
) -> bool {
    if let Some(http) = pool.and_then(|pool| pool.http.as_ref()) {
        if http.use_client_protocol {
            return false;
        }
        match http.h2_upgrade_policy() {
            H2UpgradePolicy::Upgrade => return true,
            H2UpgradePolicy::DoNotUpgrade => return false,
            H2UpgradePolicy::Default => {}
        }
    }
    use istio::mesh::mesh_config::H2UpgradePolicy as MeshPolicy;
    http_port && settings.config.h2_upgrade_policy() == MeshPolicy::Upgrade
}

/// Applies the pool and the budget.
pub(super) fn apply(
    cluster: &mut envoy::cluster::Cluster,
    protocol: &mut ProtocolOptions,
    settings: &MeshSettings,
    pool: Option<&ConnectionPoolSettings>,
    budget: Option<&RetryBudget>,
) {
    let tcp = pool.and_then(|pool| pool.tcp.as_ref());
    let http = pool.and_then(|pool| pool.http.as_ref());
    let connect_timeout = tcp.and_then(|tcp| tcp.connect_timeout).or(settings.config.connect_timeout);
    cluster.connect_timeout = connect_timeout.map(Into::into);
    cluster.circuit_breakers = Some(envoy::cluster::CircuitBreakers {
        thresholds: vec![threshold(settings, tcp, http, budget)],
        ..Default::default()
    });
    keepalive(cluster, settings.config.tcp_keepalive.as_ref());
    keepalive(cluster, tcp.and_then(|tcp| tcp.tcp_keepalive.as_ref()));
    http_options(protocol, tcp, http);
}

fn threshold(
    settings: &MeshSettings,
    tcp: Option<&TcpSettings>,
    http: Option<&HttpSettings>,
    budget: Option<&RetryBudget>,
) -> Thresholds {
    let limit = |value: Option<i32>| {
        let stated = value.and_then(|value| u32::try_from(value).ok()).filter(|value| *value > 0);
        Some(google::uint32(stated.unwrap_or(u32::MAX)))
    };
    Thresholds {
        max_connections: limit(tcp.map(|tcp| tcp.max_connections)),
        max_pending_requests: limit(http.map(|http| http.http1_max_pending_requests)),
        max_requests: limit(http.map(|http| http.http2_max_requests)),
        max_retries: limit(http.map(|http| http.max_retries)),
        track_remaining: !settings.features.disable_track_remaining,
        retry_budget: budget.map(|budget| thresholds::RetryBudget {
            budget_percent: Some(envoy::types::Percent {
                value: budget.percent.as_ref().map_or(20.0, |percent| percent.value),
            }),
            min_retry_concurrency: Some(google::uint32(match budget.min_retry_concurrency {
                0 => 3,
                stated => stated,
            })),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Attribute by attribute over what is there.
fn keepalive(cluster: &mut envoy::cluster::Cluster, keepalive: Option<&tcp_settings::TcpKeepalive>) {
    let Some(keepalive) = keepalive else { return };
    let options = cluster.upstream_connection_options.get_or_insert_default();
    let target = options.tcp_keepalive.get_or_insert_default();
    let seconds =
        |duration: proto::wkt::Duration| google::uint32(u32::try_from(duration.seconds).unwrap_or(0));
    if keepalive.probes > 0 {
        target.keepalive_probes = Some(google::uint32(keepalive.probes));
    }
    if let Some(time) = keepalive.time {
        target.keepalive_time = Some(seconds(time));
    }
    if let Some(interval) = keepalive.interval {
        target.keepalive_interval = Some(seconds(interval));
    }
}

fn http_options(protocol: &mut ProtocolOptions, tcp: Option<&TcpSettings>, http: Option<&HttpSettings>) {
    let positive = |value: i32| u32::try_from(value).ok().filter(|value| *value > 0).map(google::uint32);
    let idle = http.and_then(|http| http.idle_timeout).or_else(|| tcp.and_then(|tcp| tcp.idle_timeout));
    let lifetime = tcp.and_then(|tcp| tcp.max_connection_duration);
    let requests = http.and_then(|http| positive(http.max_requests_per_connection));
    let streams = http.and_then(|http| positive(http.max_concurrent_streams));
    if idle.is_some() || lifetime.is_some() || requests.is_some() || streams.is_some() {
        let common = protocol.common();
        common.idle_timeout = idle.map(Into::into);
        common.max_connection_duration = lifetime.map(Into::into);
        common.max_requests_per_connection = requests;
        if let (Some(http2), Some(streams)) = (protocol.http2(), streams) {
            http2.max_concurrent_streams = Some(streams);
        }
    }
    if http.is_some_and(|http| http.use_client_protocol) {
        protocol.follow_client();
    }
}
