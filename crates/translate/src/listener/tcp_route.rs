//! TCP and TLS routes of a VirtualService, and services without one, to TCP proxies (spec 4.1, rows L08, L26, L30).
//! Outbound listeners and gateways share this.

use std::collections::BTreeMap;

use mesh::{MergedDestinationRule, Service, VirtualService};
use model::{Labels, Namespace, Protocol};
use proto::envoy;
use proto::envoy::google;
use proto::envoy::listener::Filter;
use proto::istio::networking::{
    ConnectionPoolSettings, Destination, L4MatchAttributes, LoadBalancerSettings, RouteDestination,
    TlsMatchAttributes, load_balancer_settings,
};
use proto::wkt::Duration;

use super::tcp_proxy::{TcpDestination, TcpProxy, Tunnel, network_filter};
use crate::Context;

/// What the parts of a match that are known beforehand are compared with.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The names of the gateways that traffic comes by; `mesh` for sidecars.
    pub gateways: &'a [&'a str],
    /// Labels of the proxy.
    pub labels: &'a Labels,
    /// Its namespace.
    pub namespace: &'a Namespace,
    /// The port that is listened on.
    pub port: u32,
    /// What that port is called.
    pub port_name: &'a str,
}

impl Origin<'_> {
    /// Whether a TCP match can apply.
    pub fn fits_tcp(&self, m: &L4MatchAttributes) -> bool {
        self.fits(&m.gateways, &m.source_labels, m.port, &m.source_namespace)
    }

    /// Whether a TLS match can apply.
    pub fn fits_tls(&self, m: &TlsMatchAttributes) -> bool {
        self.fits(&m.gateways, &m.source_labels, m.port, &m.source_namespace)
    }

    fn fits(
        &self,
        gateways: &[String],
        labels: &BTreeMap<String, String>,
        port: u32,
        namespace: &str,
    ) -> bool {
        (gateways.is_empty() || gateways.iter().any(|gateway| self.gateways.contains(&gateway.as_str())))
            && self.labels.selected_by(labels)
            && (port == 0 || port == self.port)
            && (namespace.is_empty() || *namespace == **self.namespace)
    }
}

/// The proxy for the targets of a route; `None` if none of them has a weight. `port_name` is what the port that is
/// listened on is called.
pub fn routed(
    ctx: &Context<'_>,
    vs: &VirtualService,
    targets: &[RouteDestination],
    port: u32,
    port_name: &str,
) -> Option<TcpProxy> {
    let first = targets.first()?.destination.clone().unwrap_or_default();
    let service = ctx.scope.service(&first.host);
    let rule = service.and_then(|service| ctx.scope.destination_rule(ctx.reader, service));
    let rule = rule.as_deref();
    if targets.len() == 1 {
        let cluster = destination_cluster(ctx, &first, port);
        let stat_prefix =
            service.and_then(|service| stat_prefix(ctx, service, &first.subset, port, port_name));
        let mut proxy = configured(ctx, TcpProxy::to(cluster), rule, &first.subset);
        if let Some(stat_prefix) = stat_prefix {
            proxy.stat_prefix = stat_prefix;
        }
        return Some(proxy);
    }
    let clusters: Vec<_> = targets
        .iter()
        .filter_map(|target| Some((target, u32::try_from(target.weight).ok().filter(|weight| *weight > 0)?)))
        .map(|(target, weight)| {
            (destination_cluster(ctx, &target.destination.clone().unwrap_or_default(), port), weight)
        })
        .collect();
    if clusters.is_empty() {
        return None;
    }
    let mut proxy = TcpProxy::to(format!("{}.{}", vs.name, vs.namespace));
    proxy.destination = TcpDestination::Weighted(clusters);
    Some(configured(ctx, proxy, rule, ""))
}

/// The proxy for a service as such. Where a Sidecar declared a port of its own, a service with one port is reached
/// at that one. In names of statistics the port has no name here.
pub fn direct(ctx: &Context<'_>, service: &Service, port: u32) -> TcpProxy {
    let port = match &*service.ports {
        [only] => only.number,
        _ => port,
    };
    let mut proxy = TcpProxy::to(format!("outbound|{port}||{}", service.host));
    if let Some(stat_prefix) = stat_prefix(ctx, service, "", port, "") {
        proxy.stat_prefix = stat_prefix;
    }
    let rule = ctx.scope.destination_rule(ctx.reader, service);
    configured(ctx, proxy, rule.as_deref(), "")
}

/// The cluster of a destination. Without a port it is the service's only one, else the port listened on; an alias
/// stands for what it names.
pub fn destination_cluster(ctx: &Context<'_>, destination: &Destination, port: u32) -> String {
    if destination.host.is_empty() {
        return "UnknownService".to_owned();
    }
    let service = ctx.scope.service(&destination.host);
    let port = match (&destination.port, service.map(|service| &*service.ports)) {
        (Some(stated), _) => stated.number,
        (None, Some([only])) => only.number,
        (None, _) => port,
    };
    let host = service
        .and_then(|service| service.kubernetes.external_name.as_deref())
        .unwrap_or(destination.host.as_str());
    format!("outbound|{port}|{}|{host}", destination.subset)
}

/// The filters of a chain from its protocol on: those that read the protocol, and the proxy. Redis ends the chain
/// itself.
pub fn terminal_filters(
    protocol: Option<ProtocolFilter>,
    proxy: &TcpProxy,
    access_log: Vec<envoy::accesslog::AccessLog>,
) -> Vec<Filter> {
    let stat_prefix = proxy.stat_prefix.clone();
    match protocol {
        None => vec![proxy.filter(access_log)],
        Some(ProtocolFilter::Mongo) => {
            let mongo = envoy::mongo_proxy::MongoProxy { stat_prefix, ..Default::default() };
            vec![
                network_filter("envoy.filters.network.mongo_proxy", proto::pack::any(&mongo)),
                proxy.filter(access_log),
            ]
        }
        Some(ProtocolFilter::MySql) => {
            let mysql = proto::mysql_proxy::MySqlProxy { stat_prefix, ..Default::default() };
            vec![
                network_filter("envoy.filters.network.mysql_proxy", proto::pack::any(&mysql)),
                proxy.filter(access_log),
            ]
        }
        Some(ProtocolFilter::Redis) => {
            use envoy::redis_proxy::redis_proxy::{ConnPoolSettings, PrefixRoutes, prefix_routes::Route};
            let redis = envoy::redis_proxy::RedisProxy {
                stat_prefix,
                latency_in_micros: true,
                settings: Some(ConnPoolSettings {
                    op_timeout: Some(google::seconds(5)),
                    ..Default::default()
                }),
                prefix_routes: Some(PrefixRoutes {
                    catch_all_route: Some(Route {
                        cluster: proxy.first_cluster().to_owned(),
                        ..Default::default()
                    }),
                    ..Default::default()
                }),
                ..Default::default()
            };
            vec![network_filter("envoy.filters.network.redis_proxy", proto::pack::any(&redis))]
        }
    }
}

/// A filter that reads one protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProtocolFilter {
    /// MongoDB.
    Mongo,
    /// MySQL.
    MySql,
    /// Redis.
    Redis,
}

impl ProtocolFilter {
    /// The filter for a port of that protocol, if it is switched on.
    pub fn of(ctx: &Context<'_>, protocol: Protocol) -> Option<Self> {
        let features = &ctx.settings().features;
        [
            (Protocol::Mongo, features.mongo_filter, Self::Mongo),
            (Protocol::MySql, features.mysql_filter, Self::MySql),
            (Protocol::Redis, features.redis_filter, Self::Redis),
        ]
        .into_iter()
        .find(|(read, on, _)| *read == protocol && *on)
        .map(|(.., filter)| filter)
    }
}

/// Takes over what a rule says: timeouts from its top level only, hashing and tunnel by subset.
fn configured(
    ctx: &Context<'_>,
    mut proxy: TcpProxy,
    rule: Option<&MergedDestinationRule>,
    subset: &str,
) -> TcpProxy {
    let policy = rule.and_then(|rule| rule.spec.traffic_policy.as_ref());
    let of_subset = rule
        .and_then(|rule| rule.spec.subsets.iter().find(|s| s.name == subset))
        .and_then(|s| s.traffic_policy.as_ref());
    let tcp =
        policy.and_then(|p| p.connection_pool.as_ref()).and_then(|p: &ConnectionPoolSettings| p.tcp.as_ref());
    proxy.idle_timeout =
        tcp.and_then(|tcp| tcp.idle_timeout).or_else(|| Duration::parse(&ctx.class().metadata.idle_timeout));
    proxy.max_connection_duration = tcp.and_then(|tcp| tcp.max_connection_duration);
    let balancer =
        of_subset.and_then(|p| p.load_balancer.as_ref()).or_else(|| policy?.load_balancer.as_ref());
    proxy.hash_source_ip = balancer.is_some_and(hashes_source_ip);
    let tunnelling = if subset.is_empty() { policy } else { of_subset };
    proxy.tunnel = tunnelling.and_then(|policy| policy.tunnel.as_ref()).map(|tunnel| Tunnel {
        target: format!("{}:{}", tunnel.target_host, tunnel.target_port),
        post: tunnel.protocol == "POST",
    });
    proxy
}

fn hashes_source_ip(balancer: &LoadBalancerSettings) -> bool {
    use load_balancer_settings::{LbPolicy, consistent_hash_lb::HashKey};
    matches!(
        &balancer.lb_policy,
        Some(LbPolicy::ConsistentHash(hash)) if matches!(hash.hash_key, Some(HashKey::UseSourceIp(true)))
    )
}

/// The counters' name by the mesh's pattern, if it has one.
pub(super) fn stat_prefix(
    ctx: &Context<'_>,
    service: &Service,
    subset: &str,
    port: u32,
    port_name: &str,
) -> Option<String> {
    let pattern = ctx.settings().config.outbound_cluster_stat_name.as_str();
    if pattern.is_empty() {
        return None;
    }
    let short = if service.is_kubernetes() {
        format!("{}.{}", service.name, service.namespace)
    } else {
        service.host.to_string()
    };
    Some(
        pattern
            .replace("%SERVICE%", &short)
            .replace("%SERVICE_NAME%", &service.name)
            .replace("%SERVICE_FQDN%", &service.host)
            .replace("%SUBSET_NAME%", subset)
            .replace("%TARGET_PORT%", "0")
            .replace("%SERVICE_PORT%", &port.to_string())
            .replace("%SERVICE_PORT_NAME%", port_name),
    )
}
