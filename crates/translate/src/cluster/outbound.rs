//! One service port, or one subset of it, to the cluster of its callers (spec 1.1 to 1.7). `select` gathers the facts;
//! the order of `render` matters, since later settings depend on what earlier ones chose.

use std::sync::Arc;

use envoy::cluster::cluster::{ClusterDiscoveryType, DiscoveryType, LbConfig, LbPolicy, OriginalDstLbConfig};
use istio::networking::TrafficPolicy;
use istio::networking::load_balancer_settings::SimpleLb;
use mesh::{
    MergedDestinationRule, MeshSettings, MtlsMode, Resolution, Service, ServicePort, TargetPort,
    TrafficDistribution,
};
use model::Protocol;
use proto::envoy::google;
use proto::{envoy, istio};
use scope::Dialect;

use super::client::ClientFacts;
use super::http_protocol::ProtocolOptions;
use super::policy::EffectivePolicy;
use super::stat_name::{self, Subject};
use super::transport::{self, Transport};
use super::{
    base, connection_pool, discovery_type, dns, dynamic_forward_proxy, load_balancer, metadata,
    outlier_detection, upstream_protocol,
};
use crate::endpoint::{LocalitiesInput, PortMatch};
use crate::{Context, Input, Reference, Rendered, Resource};

/// What a cluster is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Purpose {
    /// Calls of workloads and gateways: `outbound|…`.
    Calls,
    /// Connections that a gateway passes on by SNI, TLS unopened: `outbound_.…`.
    SniForwarding,
}

impl Purpose {
    fn name(self, port: u32, subset: &str, host: &str) -> String {
        match self {
            Self::Calls => name(port, subset, host),
            Self::SniForwarding => sni_name(port, subset, host),
        }
    }
}

/// `outbound|<port>|<subset>|<host>`.
pub fn name(port: u32, subset: &str, host: &str) -> String {
    format!("outbound|{port}|{subset}|{host}")
}

/// `outbound_.<port>_.<subset>_.<host>`, also the SNI of mutual TLS towards the service.
pub fn sni_name(port: u32, subset: &str, host: &str) -> String {
    format!("outbound_.{port}_.{subset}_.{host}")
}

#[derive(Hash)]
struct OutboundClusterInput {
    purpose: Purpose,
    client: ClientFacts,
    settings: Arc<MeshSettings>,
    service: Arc<Service>,
    port: ServicePort,
    rule: Option<Arc<MergedDestinationRule>>,
    /// The name of a subset of the rule.
    subset: Option<String>,
    /// Accounts behind the service, and names declared for it.
    names: Arc<[String]>,
    mode: MtlsMode,
    /// Whether every endpoint is reached through a tunnel, which carries no metadata exchange.
    tunnelled: bool,
    /// What a cluster of DNS names resolves; `None` for other types.
    endpoints: Option<LocalitiesInput>,
}

/// The clusters of every service port and subset in scope order.
pub(super) fn generate(ctx: &Context<'_>, purpose: Purpose) -> Vec<Resource> {
    let client = ClientFacts::of(ctx);
    let mut clusters = Vec::new();
    for service in &ctx.scope.services {
        let forwarding_stranger = purpose == Purpose::SniForwarding && service.external;
        if service.resolution == Resolution::Alias || forwarding_stranger {
            continue;
        }
        let rule = ctx.scope.destination_rule(ctx.reader, service);
        let names = names(ctx, service, purpose);
        let forwards = is_dynamic(service);
        for port in service.ports.iter().filter(|port| port.protocol != Protocol::Udp) {
            if forwards && !dynamic_forward_proxy::serves(port.protocol) {
                continue;
            }
            let default = OutboundClusterInput {
                purpose,
                client: client.clone(),
                settings: Arc::clone(ctx.settings()),
                service: Arc::clone(service),
                port: port.clone(),
                names: Arc::clone(&names),
                mode: mode(ctx, service, port, rule.as_ref().and_then(|r| r.spec.traffic_policy.as_ref())),
                tunnelled: ctx.reader.is_tunnelled(&service.host, &service.namespace, &port.name),
                endpoints: endpoints(ctx, service, port, rule.as_deref(), ""),
                rule: rule.clone(),
                subset: None,
            };
            if default.endpoints.as_ref().is_some_and(LocalitiesInput::is_empty) {
                continue;
            }
            clusters.push(ctx.resource(default.name(), &default));
            let subsets = rule.as_ref().filter(|_| !forwards).map(|rule| &rule.spec.subsets);
            for subset in subsets.into_iter().flatten() {
                let passes = passes_through(subset.traffic_policy.as_ref());
                let resolved = endpoints(ctx, service, port, rule.as_deref(), &subset.name);
                if resolved.as_ref().is_some_and(LocalitiesInput::is_empty) && !passes {
                    continue;
                }
                let of_subset = OutboundClusterInput {
                    purpose,
                    client: client.clone(),
                    settings: Arc::clone(ctx.settings()),
                    service: Arc::clone(service),
                    port: port.clone(),
                    names: Arc::clone(&names),
                    mode: mode(ctx, service, port, subset.traffic_policy.as_ref()),
                    tunnelled: false,
                    endpoints: resolved,
                    rule: rule.clone(),
                    subset: Some(subset.name.clone()),
                };
                clusters.push(ctx.resource(of_subset.name(), &of_subset));
            }
        }
    }
    clusters
}

fn is_dynamic(service: &Service) -> bool {
    service.resolution == Resolution::DynamicDns && service.host.is_wildcard()
}

fn passes_through(policy: Option<&TrafficPolicy>) -> bool {
    load_balancer::simple(policy.and_then(|policy| policy.load_balancer.as_ref())) == SimpleLb::Passthrough
}

/// The accounts behind a service and the names declared for it, once more for every alias of the trust domain.
fn names(ctx: &Context<'_>, service: &Service, purpose: Purpose) -> Arc<[String]> {
    if purpose == Purpose::SniForwarding || is_dynamic(service) {
        return Arc::default();
    }
    let accounts = ctx.reader.service_accounts(&service.host, &service.namespace);
    let aliases = &ctx.settings().config.trust_domain_aliases;
    let mut names = std::collections::BTreeSet::new();
    for account in accounts.iter().chain(&service.subject_alt_names) {
        if let Some((_, path)) = account.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) {
            names.extend(aliases.iter().map(|alias| format!("spiffe://{alias}/{path}")));
        }
        names.insert(account.clone());
    }
    names.into_iter().collect()
}

/// How the service takes connections, as far as clients can tell: connections that pass through cannot choose per
/// endpoint, so there one endpoint without mutual TLS is enough to leave it.
fn mode(
    ctx: &Context<'_>,
    service: &Service,
    port: &ServicePort,
    policy: Option<&TrafficPolicy>,
) -> MtlsMode {
    if service.external {
        return MtlsMode::Unknown;
    }
    if service.resolution == Resolution::Passthrough || passes_through(policy) {
        let set = ctx.reader.endpoints(&service.host, &service.namespace);
        let mut behind = set.endpoints.iter().filter(|endpoint| endpoint.port_name == port.name).peekable();
        if behind.peek().is_none() || behind.any(|endpoint| endpoint.tls_mode == "disabled") {
            return MtlsMode::Disable;
        }
    }
    ctx.reader.namespace_mtls_mode(&service.namespace)
}

/// What a cluster of DNS names resolves; `None` for other types.
fn endpoints(
    ctx: &Context<'_>,
    service: &Service,
    port: &ServicePort,
    rule: Option<&MergedDestinationRule>,
    subset: &str,
) -> Option<LocalitiesInput> {
    let resolves = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    resolves.then(|| {
        let matched = PortMatch::Number(port.number);
        LocalitiesInput::select(ctx, service, port, subset, rule, matched)
    })
}

impl OutboundClusterInput {
    fn name(&self) -> String {
        self.purpose.name(self.port.number, self.subset_name(), &self.service.host)
    }

    fn subset_name(&self) -> &str {
        self.subset.as_deref().unwrap_or_default()
    }

    fn subset_policy(&self) -> Option<&TrafficPolicy> {
        let subset = self.subset.as_deref()?;
        self.rule.as_ref()?.spec.subsets.iter().find(|s| s.name == subset)?.traffic_policy.as_ref()
    }

    fn discovery_type(&self) -> DiscoveryType {
        if passes_through(self.subset_policy()) {
            return DiscoveryType::OriginalDst;
        }
        let service = &self.service;
        match service.resolution {
            Resolution::Dns if dns::races(service) => DiscoveryType::LogicalDns,
            Resolution::Dns => DiscoveryType::StrictDns,
            Resolution::DnsRoundRobin => DiscoveryType::LogicalDns,
            Resolution::Passthrough
                if !self.client.router
                    && !(service.is_kubernetes() && self.settings.features.eds_for_headless) =>
            {
                DiscoveryType::OriginalDst
            }
            Resolution::ClientSideLb
            | Resolution::Passthrough
            | Resolution::DynamicDns
            | Resolution::Alias => DiscoveryType::Eds,
        }
    }

    fn sends_unhealthy(&self) -> bool {
        self.service.traffic_distribution != TrafficDistribution::Any
            || self.settings.features.send_unhealthy_endpoints
    }

    /// The cluster before any policy.
    fn bare(&self) -> (envoy::cluster::Cluster, ProtocolOptions) {
        let mut cluster = base(&self.name());
        let mut protocol = ProtocolOptions::default();
        upstream_protocol(&mut protocol, &self.client, self.port.protocol);
        if is_dynamic(&self.service) {
            let dual = self.settings.features.dual_stack;
            cluster.common_lb_config = None;
            dynamic_forward_proxy::make(&mut cluster, &self.client, dual, &self.service);
            return (cluster, protocol);
        }
        let kind = self.discovery_type();
        cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind as i32));
        match kind {
            DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
                dns::apply(&mut cluster, self.client.families, &self.settings, &self.service);
                cluster.load_assignment = Some(envoy::endpoint::ClusterLoadAssignment {
                    cluster_name: cluster.name.clone(),
                    endpoints: self.endpoints.as_ref().map(LocalitiesInput::render).unwrap_or_default(),
                    ..Default::default()
                });
            }
            DiscoveryType::OriginalDst => cluster.lb_config = self.port_override(),
            DiscoveryType::Static | DiscoveryType::Eds => {}
        }
        if self.settings.features.telemetry_label {
            metadata::set_services(&mut cluster, [&*self.service]);
        }
        let pattern = &self.settings.config.outbound_cluster_stat_name;
        if !pattern.is_empty() {
            let subject = Subject {
                service: &self.service,
                port: self.port.number,
                port_name: &self.port.name,
                target_port: 0,
                subset: self.subset_name(),
            };
            cluster.alt_stat_name = stat_name::filled(pattern, &subject);
        }
        (cluster, protocol)
    }

    /// A ServiceEntry that resolves nothing may still move connections to another port.
    fn port_override(&self) -> Option<LbConfig> {
        let moved = !self.service.is_kubernetes()
            && self.service.resolution == Resolution::Passthrough
            && self.port.target_stated;
        let TargetPort::Number(number) = self.port.target else { return None };
        moved.then(|| {
            LbConfig::OriginalDstLbConfig(OriginalDstLbConfig {
                upstream_port_override: Some(google::uint32(number)),
                ..Default::default()
            })
        })
    }

    fn keeps_draining(&self) -> bool {
        let features = &self.settings.features;
        let labelled = |key: &str| self.service.labels.value(key).is_some_and(|value| !value.is_empty());
        labelled(&features.persistent_session_label) || labelled(&features.persistent_session_header_label)
    }
}

impl Input for OutboundClusterInput {
    type Output = envoy::cluster::Cluster;
    const TAG: &'static str = "OutboundClusterInput";

    fn render(&self) -> Rendered<Self::Output> {
        let (mut cluster, mut protocol) = self.bare();
        let mut references = Vec::new();
        let rule_policy = self.rule.as_ref().and_then(|rule| rule.spec.traffic_policy.as_ref());
        let policy = EffectivePolicy::of_subset(rule_policy, self.subset_policy(), self.port.number);
        if self.subset.is_none() && self.purpose == Purpose::Calls && self.keeps_draining() {
            keep_draining(&mut cluster);
        }
        if connection_pool::upgrades_to_http2(
            &self.settings,
            self.port.protocol.is_http(),
            policy.connection_pool,
        ) {
            protocol.choose_http2();
        }
        connection_pool::apply(
            &mut cluster,
            &mut protocol,
            &self.settings,
            policy.connection_pool,
            policy.retry_budget,
        );
        let sends_unhealthy = self.sends_unhealthy();
        outlier_detection::apply(&mut cluster, policy.outlier_detection, sends_unhealthy);
        let redis = self.port.protocol == Protocol::Redis;
        load_balancer::apply(
            &mut cluster,
            &self.settings,
            &self.service,
            policy.load_balancer,
            redis,
            sends_unhealthy,
        );
        if self.purpose == Purpose::Calls {
            let sni = if is_dynamic(&self.service) {
                String::new()
            } else {
                sni_name(self.port.number, self.subset_name(), &self.service.host)
            };
            let transport = Transport {
                client: &self.client,
                settings: &self.settings,
                service: &self.service,
                mode: self.mode,
                names: &self.names,
                sni: &sni,
                selective_rule: self.rule.as_ref().is_some_and(|rule| rule.spec.workload_selector.is_some()),
                http_port: self.port.protocol.is_http(),
            };
            transport.apply(&mut cluster, &mut protocol, policy.tls, &mut references);
            transport::wrap_in_proxy_protocol(&mut cluster, policy.proxy_protocol);
        }
        match discovery_type(&cluster) {
            Some(DiscoveryType::OriginalDst) => cluster.set_lb_policy(LbPolicy::ClusterProvided),
            Some(DiscoveryType::Eds) => {
                references.push(Reference::Endpoints(cluster.name.clone()));
                cluster.eds_cluster_config = Some(eds(&cluster.name));
            }
            _ => {}
        }
        if self.client.dialect == Dialect::Istio && self.settings.features.metadata_exchange {
            cluster.filters.push(metadata::exchange_filter());
        }
        if self.subset.is_none() && self.purpose == Purpose::Calls && self.tunnelled {
            metadata::set(&mut cluster, "disable_mx", google::bool_value(true));
        } else if self.subset.is_none() && self.service.external {
            metadata::set(&mut cluster, "external", google::bool_value(true));
        }
        if let Some(rule) = &self.rule {
            metadata::set_rule(&mut cluster, rule);
            if let Some(subset) = &self.subset {
                metadata::set(&mut cluster, "subset", google::string_value(subset.as_str()));
            }
            use istio::networking::client_tls_settings::TlSmode;
            if policy.tls.is_some_and(|tls| matches!(tls.mode(), TlSmode::Simple | TlSmode::Mutual)) {
                metadata::set(&mut cluster, "alpn_override", google::string_value("false"));
            }
        }
        protocol.finish(&mut cluster);
        Rendered { message: cluster, references, issues: Vec::new() }
    }
}

fn eds(name: &str) -> envoy::cluster::cluster::EdsClusterConfig {
    envoy::cluster::cluster::EdsClusterConfig {
        service_name: name.to_owned(),
        eds_config: Some(envoy::core::ConfigSource {
            initial_fetch_timeout: Some(google::seconds(0)),
            resource_api_version: envoy::core::ApiVersion::V3 as i32,
            config_source_specifier: Some(envoy::core::config_source::ConfigSourceSpecifier::Ads(
                envoy::core::AggregatedConfigSource {},
            )),
            ..Default::default()
        }),
    }
}

/// Endpoints that drain stay reachable for the sessions they hold.
fn keep_draining(cluster: &mut envoy::cluster::Cluster) {
    use envoy::core::HealthStatus;
    let statuses =
        [HealthStatus::Healthy, HealthStatus::Draining, HealthStatus::Unknown, HealthStatus::Degraded];
    cluster.common_lb_config.get_or_insert_default().override_host_status =
        Some(envoy::core::HealthStatusSet { statuses: statuses.map(|status| status as i32).into() });
}
