//! `loadBalancer` to the policy of a cluster, and whether locality weights count (spec 1.5, 2.4, row C17).

use envoy::cluster::cluster::{
    ClusterDiscoveryType, CommonLbConfig, DiscoveryType, LbConfig, LbPolicy, LeastRequestLbConfig,
    MaglevLbConfig, RingHashLbConfig, RoundRobinLbConfig, SlowStartConfig, common_lb_config,
};
use istio::networking::load_balancer_settings::{
    ConsistentHashLb, LbPolicy as Policy, SimpleLb, consistent_hash_lb::HashAlgorithm,
};
use istio::networking::{LoadBalancerSettings, LocalityLoadBalancerSetting};
use mesh::{MeshSettings, Service, TrafficDistribution};
use proto::envoy::google;
use proto::{envoy, istio};

/// The `simple` choice.
pub(super) fn simple(settings: Option<&LoadBalancerSettings>) -> SimpleLb {
    match settings.and_then(|settings| settings.lb_policy.as_ref()) {
        Some(Policy::Simple(value)) => SimpleLb::try_from(*value).unwrap_or_default(),
        Some(Policy::ConsistentHash(_)) | None => SimpleLb::Unspecified,
    }
}

/// Applies the settings to a cluster that has its type and outlier detection.
pub(super) fn apply(
    cluster: &mut envoy::cluster::Cluster,
    mesh: &MeshSettings,
    service: &Service,
    settings: Option<&LoadBalancerSettings>,
    redis_port: bool,
    sends_unhealthy: bool,
) {
    if cluster.lb_policy() == LbPolicy::ClusterProvided {
        return;
    }
    let weighted = locality_weighted(mesh, service, settings, cluster.outlier_detection.is_some());
    let common = cluster.common_lb_config.get_or_insert_with(CommonLbConfig::default);
    if sends_unhealthy && common.healthy_panic_threshold.is_none() {
        common.healthy_panic_threshold = Some(envoy::types::Percent { value: 0.0 });
    }
    if weighted {
        common.locality_config_specifier =
            Some(common_lb_config::LocalityConfigSpecifier::LocalityWeightedLbConfig(Default::default()));
    }
    if super::discovery_type(cluster) == Some(DiscoveryType::OriginalDst) {
        cluster.set_lb_policy(LbPolicy::ClusterProvided);
        return;
    }
    if redis_port && mesh.features.redis_filter {
        cluster.set_lb_policy(LbPolicy::Maglev);
        return;
    }
    match simple(settings) {
        SimpleLb::Unspecified | SimpleLb::LeastConn | SimpleLb::LeastRequest => {
            cluster.set_lb_policy(LbPolicy::LeastRequest);
            cluster.lb_config = slow_start(settings).map(|slow| {
                LbConfig::LeastRequestLbConfig(LeastRequestLbConfig {
                    slow_start_config: Some(slow),
                    ..Default::default()
                })
            });
        }
        SimpleLb::RoundRobin => {
            cluster.set_lb_policy(LbPolicy::RoundRobin);
            cluster.lb_config = slow_start(settings).map(|slow| {
                LbConfig::RoundRobinLbConfig(RoundRobinLbConfig { slow_start_config: Some(slow) })
            });
        }
        SimpleLb::Random => cluster.set_lb_policy(LbPolicy::Random),
        SimpleLb::Passthrough => {
            cluster.set_lb_policy(LbPolicy::ClusterProvided);
            cluster.cluster_discovery_type =
                Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32));
            cluster.load_assignment = None;
        }
    }
    if let Some(Policy::ConsistentHash(hash)) = settings.and_then(|settings| settings.lb_policy.as_ref()) {
        consistent_hash(cluster, hash);
    }
}

fn consistent_hash(cluster: &mut envoy::cluster::Cluster, hash: &ConsistentHashLb) {
    let ring = |size: u64| {
        LbConfig::RingHashLbConfig(RingHashLbConfig {
            minimum_ring_size: Some(google::uint64(size)),
            ..Default::default()
        })
    };
    let stated = |size: u64| (size != 0).then_some(size);
    match &hash.hash_algorithm {
        Some(HashAlgorithm::Maglev(maglev)) => {
            cluster.set_lb_policy(LbPolicy::Maglev);
            if let Some(size) = stated(maglev.table_size) {
                let table = MaglevLbConfig { table_size: Some(google::uint64(size)) };
                cluster.lb_config = Some(LbConfig::MaglevLbConfig(table));
            }
        }
        Some(HashAlgorithm::RingHash(settings)) => {
            cluster.set_lb_policy(LbPolicy::RingHash);
            if let Some(size) = stated(settings.minimum_ring_size) {
                cluster.lb_config = Some(ring(size));
            }
        }
        None => {
            cluster.set_lb_policy(LbPolicy::RingHash);
            cluster.lb_config = Some(ring(stated(hash.minimum_ring_size).unwrap_or(1024)));
        }
    }
}

/// The runtime key is fixed so that nobody sets it by chance.
fn slow_start(settings: Option<&LoadBalancerSettings>) -> Option<SlowStartConfig> {
    let settings = settings?;
    if let Some(warmup) = &settings.warmup {
        return Some(SlowStartConfig {
            slow_start_window: warmup.duration.map(Into::into),
            aggression: Some(envoy::core::RuntimeDouble {
                default_value: warmup.aggression.as_ref().map_or(1.0, |value| value.value),
                runtime_key: "(".to_owned(),
            }),
            min_weight_percent: Some(envoy::types::Percent {
                value: warmup.minimum_percent.as_ref().map_or(10.0, |value| value.value),
            }),
        });
    }
    let window = settings.warmup_duration_secs?;
    Some(SlowStartConfig { slow_start_window: Some(window.into()), ..Default::default() })
}

/// Weights of localities count when shares are stated, or when an order of failover is stated and something notices
/// failure; otherwise they would disturb the policy.
fn locality_weighted(
    mesh: &MeshSettings,
    service: &Service,
    settings: Option<&LoadBalancerSettings>,
    outliers: bool,
) -> bool {
    if let Some(setting) = settings.and_then(|settings| settings.locality_lb_setting.as_ref()) {
        return is_enabled(setting) && states_order(setting, outliers);
    }
    if service.traffic_distribution != TrafficDistribution::Any {
        return true;
    }
    mesh.config
        .locality_lb_setting
        .as_ref()
        .is_some_and(|setting| is_enabled(setting) && states_order(setting, outliers))
}

fn is_enabled(setting: &LocalityLoadBalancerSetting) -> bool {
    setting.enabled.as_ref().is_none_or(|enabled| enabled.value)
}

fn states_order(setting: &LocalityLoadBalancerSetting, fails_over: bool) -> bool {
    let ordered = !setting.failover.is_empty() || !setting.failover_priority.is_empty();
    !setting.distribute.is_empty() || (fails_over && ordered)
}
