//! The TCP proxy network filter (spec 1.5, 4.1): where connections go, and the settings of a DestinationRule that
//! bear on them. Inbound, outbound and gateway chains all end in one.

use proto::envoy;
use proto::envoy::google;
use proto::envoy::listener::{Filter, filter::ConfigType};
use proto::envoy::tcp_proxy::tcp_proxy::{
    ClusterSpecifier, TunnelingConfig, WeightedCluster, weighted_cluster::ClusterWeight,
};
use proto::envoy::types::{HashPolicy, hash_policy};
use proto::wkt::Duration;

/// Name of the filter.
pub const TCP_PROXY: &str = "envoy.filters.network.tcp_proxy";

/// Where connections go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TcpDestination {
    /// To one cluster.
    Cluster(String),
    /// To several, by weight.
    Weighted(Vec<(String, u32)>),
}

/// `tunnel`: connections go through a forward proxy by CONNECT or POST.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Tunnel {
    /// Host and port that the forward proxy is asked for.
    pub target: String,
    /// POST in place of CONNECT.
    pub post: bool,
}

/// One TCP proxy, without its access log.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TcpProxy {
    /// What its counters are named after.
    pub stat_prefix: String,
    /// Where connections go.
    pub destination: TcpDestination,
    /// How long a connection may be idle.
    pub idle_timeout: Option<Duration>,
    /// How long a connection may last.
    pub max_connection_duration: Option<Duration>,
    /// Whether the source address decides the endpoint.
    pub hash_source_ip: bool,
    /// Whether connections are tunnelled.
    pub tunnel: Option<Tunnel>,
}

impl TcpProxy {
    /// A proxy to one cluster, named after it, with Envoy's defaults.
    pub fn to(cluster: impl Into<String>) -> Self {
        let cluster = cluster.into();
        Self {
            stat_prefix: cluster.clone(),
            destination: TcpDestination::Cluster(cluster),
            idle_timeout: None,
            max_connection_duration: None,
            hash_source_ip: false,
            tunnel: None,
        }
    }

    /// The one cluster, or the first of several.
    pub fn first_cluster(&self) -> &str {
        match &self.destination {
            TcpDestination::Cluster(cluster) => cluster,
            TcpDestination::Weighted(clusters) => clusters.first().map_or("", |(cluster, _)| cluster),
        }
    }

    /// The network filter.
    pub fn filter(&self, access_log: Vec<envoy::accesslog::AccessLog>) -> Filter {
        let source_ip = hash_policy::PolicySpecifier::SourceIp(hash_policy::SourceIp::default());
        let config = envoy::tcp_proxy::TcpProxy {
            stat_prefix: self.stat_prefix.clone(),
            cluster_specifier: Some(match &self.destination {
                TcpDestination::Cluster(cluster) => ClusterSpecifier::Cluster(cluster.clone()),
                TcpDestination::Weighted(clusters) => ClusterSpecifier::WeightedClusters(WeightedCluster {
                    clusters: clusters
                        .iter()
                        .map(|(name, weight)| ClusterWeight {
                            name: name.clone(),
                            weight: *weight,
                            ..Default::default()
                        })
                        .collect(),
                }),
            }),
            idle_timeout: self.idle_timeout.map(google::Duration::from),
            max_downstream_connection_duration: self.max_connection_duration.map(google::Duration::from),
            hash_policy: self
                .hash_source_ip
                .then_some(HashPolicy { policy_specifier: Some(source_ip) })
                .into_iter()
                .collect(),
            tunneling_config: self.tunnel.as_ref().map(|tunnel| TunnelingConfig {
                hostname: tunnel.target.clone(),
                use_post: tunnel.post,
                ..Default::default()
            }),
            access_log,
            ..Default::default()
        };
        network_filter(TCP_PROXY, proto::pack::any(&config))
    }
}

/// A network filter of that name and configuration.
pub fn network_filter(name: &str, config: google::Any) -> Filter {
    Filter { name: name.to_owned(), config_type: Some(ConfigType::TypedConfig(config)) }
}
