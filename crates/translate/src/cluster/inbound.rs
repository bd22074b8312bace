//! Clusters of a sidecar's own workload, one per port of the workload (spec 1.1, 1.4, 1.7, rows C22, C23): traffic
//! goes on to its original destination, from an address that redirection leaves alone, or to where a Sidecar's
//! ingress listener says.

use std::collections::BTreeMap;
use std::sync::Arc;

use envoy::cluster::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use istio::networking::ConnectionPoolSettings;
use mesh::{MergedDestinationRule, MeshSettings, OwnService, Service};
use model::Protocol;
use proto::constraints::Violation;
use proto::{envoy, istio};
use scope::{InterceptionMode, IpFamilies};

use super::client::ClientFacts;
use super::http_protocol::ProtocolOptions;
use super::policy::EffectivePolicy;
use super::stat_name::{self, Subject};
use super::{base, connection_pool, mend, metadata, port_override, upstream_protocol};
use crate::{Context, Input, Rendered, Resource};

/// Envoy's longest duration: such clusters forget no connection.
const NEVER: i64 = 9_223_372_035;

/// Where an inbound cluster sends to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Target {
    OriginalDestination,
    Address(String, u32),
    Pipe(String),
}

#[derive(Hash)]
struct InboundClusterInput {
    client: ClientFacts,
    settings: Arc<MeshSettings>,
    /// The port of the workload.
    port: u32,
    /// The service port that decides the protocol.
    service_port: (u32, String, Protocol),
    /// The services on that port, the deciding one first; none for an ingress listener without a service.
    services: Vec<Arc<Service>>,
    /// `name.namespace` of the Sidecar, for statistics without a service.
    sidecar: String,
    rule: Option<Arc<MergedDestinationRule>>,
    pool: Option<ConnectionPoolSettings>,
    target: Target,
}

/// The inbound clusters of the class.
pub(super) fn generate(ctx: &Context<'_>) -> Vec<Resource> {
    let sidecar = ctx.scope.sidecar.as_ref();
    match sidecar {
        Some(sidecar) if !sidecar.spec.ingress.is_empty() => of_ingress(ctx, sidecar),
        _ if ctx.class().metadata.interception_mode == InterceptionMode::None => Vec::new(),
        _ => of_services(ctx),
    }
}

fn of_services(ctx: &Context<'_>) -> Vec<Resource> {
    use istio::mesh::mesh_config::inbound_traffic_policy::Mode;
    let policy = ctx.settings().config.inbound_traffic_policy.as_ref();
    let mut by_port: BTreeMap<u32, Vec<&OwnService>> = BTreeMap::new();
    for own in &ctx.class().own_services {
        by_port.entry(own.target_port).or_default().push(own);
    }
    by_port
        .into_iter()
        .filter_map(|(port, own)| {
            let first = own.first()?;
            let mut services: Vec<Arc<Service>> = Vec::new();
            for other in own.iter().filter(|other| other.port.number == first.port.number) {
                if services.iter().all(|known| known.host != other.service.host) {
                    services.push(Arc::clone(&other.service));
                }
            }
            let target = if policy.is_some_and(|policy| policy.mode() == Mode::Localhost) {
                Target::Address(ctx.class().ip_families.localhost().to_owned(), port)
            } else {
                Target::OriginalDestination
            };
            let input = InboundClusterInput {
                client: ClientFacts::of(ctx),
                settings: Arc::clone(ctx.settings()),
                port,
                service_port: (first.port.number, first.port.name.clone(), first.port.protocol),
                rule: rule_of(ctx, &first.service),
                pool: pool_of(ctx, port),
                sidecar: String::new(),
                services,
                target,
            };
            Some(ctx.resource(name(port), &input))
        })
        .collect()
}

fn of_ingress(ctx: &Context<'_>, sidecar: &config::Object<istio::networking::Sidecar>) -> Vec<Resource> {
    let mut clusters = Vec::new();
    for listener in &sidecar.spec.ingress {
        let Some(port) = &listener.port else { continue };
        let Some(target) = ingress_target(ctx, &listener.default_endpoint) else { continue };
        let own = ctx.class().own_services.iter().find(|own| own.target_port == port.number);
        let input = InboundClusterInput {
            client: ClientFacts::of(ctx),
            settings: Arc::clone(ctx.settings()),
            port: port.number,
            service_port: (port.number, port.name.clone(), Protocol::by_name(&port.protocol)),
            rule: own.and_then(|own| rule_of(ctx, &own.service)),
            pool: pool_of(ctx, port.number),
            sidecar: format!("{}.{}", sidecar.meta.name, sidecar.meta.namespace),
            services: own.map(|own| Arc::clone(&own.service)).into_iter().collect(),
            target,
        };
        clusters.push(ctx.resource(name(port.number), &input));
    }
    clusters
}

/// The default endpoint of an ingress listener; `None` when it cannot be read.
fn ingress_target(ctx: &Context<'_>, endpoint: &str) -> Option<Target> {
    if endpoint.is_empty() {
        return Some(Target::OriginalDestination);
    }
    if let Some(path) = endpoint.strip_prefix("unix://") {
        return Some(Target::Pipe(path.to_owned()));
    }
    let (host, port) = endpoint.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let own =
        |v6: bool| ctx.class().ip_addresses.iter().find(|ip| ip.is_ipv6() == v6).map(ToString::to_string);
    let families = ctx.class().ip_families;
    let local = |v6_first: bool| {
        let v6 = families.v6 && (v6_first || !families.v4);
        if v6 { "::1" } else { "127.0.0.1" }.to_owned()
    };
    let address = match host {
        "0.0.0.0" => own(false).unwrap_or_else(|| "127.0.0.1".to_owned()),
        "[::]" => own(true).unwrap_or_else(|| "::1".to_owned()),
        "127.0.0.1" => local(false),
        "[::1]" => local(true),
        _ => return Some(Target::OriginalDestination),
    };
    Some(Target::Address(address, port))
}

/// `inbound|<port>||`.
pub fn name(port: u32) -> String {
    format!("inbound|{port}||")
}

/// Rules are looked up as for calls, so a service outside of the scope has none; those for selected clients do not
/// count.
fn rule_of(ctx: &Context<'_>, service: &Service) -> Option<Arc<MergedDestinationRule>> {
    let service = ctx.scope.service(&service.host)?;
    ctx.reader
        .inbound_destination_rule(&ctx.class().namespace, service)
        .filter(|rule| rule.spec.traffic_policy.is_some())
}

fn pool_of(ctx: &Context<'_>, port: u32) -> Option<ConnectionPoolSettings> {
    let sidecar = &ctx.scope.sidecar.as_ref()?.spec;
    let listener = sidecar.ingress.iter().find(|l| l.port.as_ref().is_some_and(|p| p.number == port));
    listener.and_then(|l| l.connection_pool).or(sidecar.inbound_connection_pool)
}

impl Input for InboundClusterInput {
    type Output = envoy::cluster::Cluster;
    const TAG: &'static str = "InboundClusterInput";

    fn render(&self) -> Rendered<Self::Output> {
        let name = name(self.port);
        let mut cluster = base(&name);
        let (number, port_name, protocol) = &self.service_port;
        let mut options = ProtocolOptions::default();
        upstream_protocol(&mut options, &self.client, *protocol);
        match &self.target {
            Target::OriginalDestination => {
                cluster.cluster_discovery_type =
                    Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32));
                cluster.set_lb_policy(LbPolicy::ClusterProvided);
                cluster.cleanup_interval = Some(envoy::google::seconds(NEVER));
                cluster.lb_config = self.services.first().and_then(|service| port_override(service, *number));
            }
            Target::Address(address, port) => {
                cluster.load_assignment = Some(load_assignment(&name, socket_address(address, *port)));
            }
            Target::Pipe(path) => cluster.load_assignment = Some(load_assignment(&name, pipe(path))),
        }
        let described = self.services.first().is_some_and(|service| !service.external);
        if self.settings.features.telemetry_label && described {
            metadata::set_services(&mut cluster, self.services.iter().map(|s| &**s));
        }
        let pattern = &self.settings.config.inbound_cluster_stat_name;
        if !pattern.is_empty() {
            cluster.alt_stat_name = match self.services.first() {
                Some(service) => stat_name::filled(
                    pattern,
                    &Subject { service, port: *number, port_name, target_port: self.port, subset: "" },
                ),
                None => stat_name::filled_for(pattern, &self.sidecar, *number, port_name, self.port),
            };
        }
        let (mut policy, _) = EffectivePolicy::of_port(
            self.rule.as_ref().and_then(|r| r.spec.traffic_policy.as_ref()),
            *number,
        );
        if let Some(rule) = self.rule.as_ref().filter(|_| cluster.metadata.is_some()) {
            metadata::set_rule(&mut cluster, rule);
        }
        policy.connection_pool = self.pool.as_ref().or(policy.connection_pool);
        connection_pool::apply(
            &mut cluster,
            &mut options,
            &self.settings,
            policy.connection_pool,
            policy.retry_budget,
        );
        let local = matches!(&self.target, Target::Address(ip, _) if ip == "127.0.0.1" || ip == "::1");
        if !local {
            let extra = self.settings.features.dual_stack && self.client.families.dual();
            cluster.upstream_bind_config = Some(bind_config(self.client.families, extra));
        }
        options.finish(&mut cluster);
        Rendered::plain(cluster)
    }

    fn mend(&self, message: &mut Self::Output, broken: &Violation) -> bool {
        mend::mend(message, broken)
    }
}

/// The address that redirection leaves alone; `both` adds the other family's.
pub(super) fn bind_config(families: IpFamilies, both: bool) -> envoy::core::BindConfig {
    let source = |address: &str| envoy::core::SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(envoy::core::socket_address::PortSpecifier::PortValue(0)),
        ..Default::default()
    };
    let extra = envoy::core::ExtraSourceAddress { address: Some(source("::6")), ..Default::default() };
    envoy::core::BindConfig {
        source_address: Some(source(if families.only_v6() { "::6" } else { "127.0.0.6" })),
        extra_source_addresses: both.then_some(extra).into_iter().collect(),
        ..Default::default()
    }
}

pub(super) fn socket_address(address: &str, port: u32) -> envoy::core::Address {
    let socket = envoy::core::SocketAddress {
        address: address.to_owned(),
        port_specifier: Some(envoy::core::socket_address::PortSpecifier::PortValue(port)),
        ..Default::default()
    };
    envoy::core::Address { address: Some(envoy::core::address::Address::SocketAddress(socket)) }
}

pub(super) fn pipe(path: &str) -> envoy::core::Address {
    let pipe = envoy::core::Pipe { path: path.to_owned(), ..Default::default() };
    envoy::core::Address { address: Some(envoy::core::address::Address::Pipe(pipe)) }
}

/// A load assignment of one endpoint.
pub(super) fn load_assignment(
    name: &str,
    address: envoy::core::Address,
) -> envoy::endpoint::ClusterLoadAssignment {
    use envoy::endpoint::{Endpoint, LbEndpoint, LocalityLbEndpoints, lb_endpoint::HostIdentifier};
    let endpoint = LbEndpoint {
        host_identifier: Some(HostIdentifier::Endpoint(Endpoint {
            address: Some(address),
            ..Default::default()
        })),
        ..Default::default()
    };
    let group = LocalityLbEndpoints { lb_endpoints: vec![endpoint], ..Default::default() };
    envoy::endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![group],
        ..Default::default()
    }
}
