//! Inbound listeners of sidecars: `virtualInbound` with a set of chains for each port of the workload, and the bound
//! listeners of Sidecar `ingress` (spec 4.2, security 1; rows L11-L16).
//!
//! Here is decided which chain sets there are (`select`); `matrix` says what chains a set has by mTLS mode and
//! protocol, `render` puts the listener together, `inspectors` switches protocol sniffing off where it is not needed.

mod ingress;
mod inspectors;
mod matrix;
mod render;
mod stat_prefix;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use mesh::{MtlsMode, OwnService, WorkloadMtls};
use model::{Protocol, findings};
use proto::envoy;
use proto::istio::networking::ServerTlsSettings;
use proto::wkt::Duration;
use scope::{InterceptionMode, ProxyType};

use super::tcp_proxy::TcpProxy;
use super::tcp_route::ProtocolFilter;
use crate::hcm::{HcmDefaults, HcmOptions, HcmRoutes};
use crate::policy_filters::PolicyFilters;
use crate::route::{self, InboundRoute};
use crate::telemetry::{self, Direction};
use crate::tls::{self, GatewayServerTls, ServerStack};
use crate::{Context, Resource, Sealed, declared_by};

/// The listener that redirected traffic arrives at.
const VIRTUAL_INBOUND: &str = "virtualInbound";
/// The cluster that connections to undeclared ports go to.
const PASSTHROUGH_CLUSTER: &str = "InboundPassthroughCluster";
/// Where iptables sends inbound traffic unless the mesh says otherwise.
const DEFAULT_PORT: u32 = 15006;

/// The chains of one port of the workload, or of all ports that nothing declares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ChainSet {
    /// The chains' name.
    name: ChainName,
    /// The port of the workload; none matches every port.
    port: Option<u32>,
    mode: MtlsMode,
    protocol: Protocol,
    /// For HTTP chains.
    hcm: HcmOptions,
    /// For TCP chains.
    tcp: TcpProxy,
    protocol_filter: Option<ProtocolFilter>,
    /// Ends the TLS of clients outside the mesh, where a Sidecar says so of a port without mutual TLS.
    tls: Option<Sealed<envoy::tls::DownstreamTlsContext>>,
    /// The path of the object that declared the port, where chains carry it.
    config: Option<String>,
}

/// How the chains of a set are called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum ChainName {
    /// `<bind>_<port>`, all of them.
    Port(String),
    /// By what they do: they stand for whatever is not declared.
    Passthrough,
}

/// One inbound listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct InboundListener {
    name: String,
    bind: String,
    port: u32,
    /// Whether it takes redirected connections; if not, it is bound by itself.
    redirected: bool,
    transparent: bool,
    exact_balance: bool,
    connections_per_event: u32,
    detection_timeout: Option<Duration>,
    http10: bool,
    shared: Arc<Shared>,
    sets: Vec<ChainSet>,
}

/// What all inbound listeners of a class share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Shared {
    hcm: Arc<HcmDefaults>,
    policies: PolicyFilters,
    metadata_exchange: Option<Sealed<envoy::listener::Filter>>,
    http_tls: Sealed<envoy::tls::DownstreamTlsContext>,
    tcp_tls: Sealed<envoy::tls::DownstreamTlsContext>,
}

/// The inbound listeners of a class.
pub(super) fn generate(ctx: &Context<'_>) -> Vec<Resource> {
    if ctx.class().proxy_type != ProxyType::Sidecar {
        return Vec::new();
    }
    let (redirected, bound) = select(ctx);
    redirected.iter().chain(&bound).map(|listener| ctx.resource(listener.name.clone(), listener)).collect()
}

/// The listener of redirected connections, if there is redirection, and those that are bound by themselves.
fn select(ctx: &Context<'_>) -> (Option<InboundListener>, Vec<InboundListener>) {
    let class = ctx.class();
    let shared = Arc::new(shared(ctx));
    let mtls = ctx.reader.inbound_mtls(&class.namespace, &class.labels);
    let chains = Chains { ctx, shared: &shared, mtls: &mtls };
    let redirects = class.metadata.interception_mode != InterceptionMode::None;
    let entries = ingress::entries(ctx);
    let mut sets: BTreeMap<u32, ChainSet> = BTreeMap::new();
    let mut bound: Vec<InboundListener> = Vec::new();
    if entries.is_empty() {
        let own = by_age(&class.own_services);
        for own in own.into_iter().filter(|own| !is_reserved(ctx, None, own.target_port)) {
            match sets.entry(own.target_port) {
                Entry::Vacant(free) => {
                    free.insert(chains.of_service(own));
                }
                Entry::Occupied(taken) if taken.get().protocol != own.port.protocol => conflicting(ctx, own),
                Entry::Occupied(_) => {}
            }
        }
    }
    for entry in entries {
        if is_reserved(ctx, Some(&entry.bind), entry.port) {
            continue;
        }
        let set = chains.of_ingress(&entry);
        if entry.bound || !redirects {
            let mut listener = listener(ctx, &shared, vec![set]);
            listener.name = format!("{}_{}", entry.bind, entry.port);
            listener.bind = entry.bind;
            listener.port = entry.port;
            listener.redirected = false;
            bound.push(listener);
        } else {
            sets.entry(entry.port).or_insert(set);
        }
    }
    bound.sort_by(|a, b| (a.port, &a.bind).cmp(&(b.port, &b.bind)));
    bound.dedup_by(|a, b| a.name == b.name);
    if !redirects {
        return (None, bound);
    }
    let mut all = vec![chains.passthrough(None)];
    let is_declared = |port: u32| sets.contains_key(&port) || bound.iter().any(|b| b.port == port);
    let undeclared = mtls.ports.keys().filter(|port| !is_declared(**port));
    all.extend(undeclared.map(|port| chains.passthrough(Some(*port))));
    all.extend(sets.into_values());
    (Some(listener(ctx, &shared, all)), bound)
}

/// A younger service says something else of a port of the workload than the one that counts.
fn conflicting(ctx: &Context<'_>, own: &OwnService) {
    let service = &own.service;
    ctx.count(findings::CONFLICTING_INBOUND, format!("{}:{}", service.host, own.target_port));
    let message = format!(
        "an older service says that port {} of the same workload speaks another protocol, and that holds",
        own.target_port
    );
    ctx.tell(declared_by(service), "spec.ports", message);
}

fn listener(ctx: &Context<'_>, shared: &Arc<Shared>, sets: Vec<ChainSet>) -> InboundListener {
    let class = ctx.class();
    let settings = ctx.settings();
    InboundListener {
        name: VIRTUAL_INBOUND.to_owned(),
        bind: class.ip_families.wildcard().to_owned(),
        port: match settings.config.proxy_inbound_listen_port {
            0 => DEFAULT_PORT,
            port => u32::try_from(port).unwrap_or(DEFAULT_PORT),
        },
        redirected: true,
        transparent: class.metadata.interception_mode == InterceptionMode::Tproxy,
        exact_balance: class.metadata.inbound_listener_exact_balance,
        connections_per_event: settings.features.max_connections_per_socket_event_loop,
        detection_timeout: settings.config.protocol_detection_timeout,
        http10: settings.features.http10,
        shared: Arc::clone(shared),
        sets,
    }
}

fn shared(ctx: &Context<'_>) -> Shared {
    let class = ctx.class();
    let metadata = &class.metadata;
    let context = |stack| {
        let files = &metadata.tls_server;
        tls::mesh_server_context(ctx.settings(), files, metadata.file_credential, stack, class.dialect)
    };
    Shared {
        hcm: HcmDefaults::select(ctx, Direction::Inbound),
        policies: PolicyFilters::select(ctx),
        metadata_exchange: telemetry::metadata_exchange_network_filter(ctx.settings(), class.dialect)
            .map(Sealed::new),
        http_tls: Sealed::new(context(ServerStack::Http)),
        tcp_tls: Sealed::new(context(ServerStack::Tcp)),
    }
}

/// Whether the proxy itself listens on that port of every address.
fn is_reserved(ctx: &Context<'_>, bind: Option<&str>, port: u32) -> bool {
    let class = ctx.class();
    let config = &ctx.settings().config;
    let number = |port: i32, default: u32| match u32::try_from(port) {
        Ok(port) if port != 0 => port,
        _ => default,
    };
    let metadata = &class.metadata;
    bind.is_none_or(|bind| bind == class.ip_families.wildcard())
        && (metadata.envoy_status_port == Some(port)
            || metadata.envoy_prometheus_port == Some(port)
            || number(config.proxy_listen_port, 15001) == port
            || number(config.proxy_inbound_listen_port, DEFAULT_PORT) == port)
}

/// The oldest service first: of two services at one port of the workload it is the one that counts (row L15).
fn by_age(own: &[OwnService]) -> Vec<&OwnService> {
    let mut sorted: Vec<&OwnService> = own.iter().collect();
    sorted.sort_by(|a, b| (a.service.creation, &a.service.host).cmp(&(b.service.creation, &b.service.host)));
    sorted
}

/// Makes chain sets.
struct Chains<'a> {
    ctx: &'a Context<'a>,
    shared: &'a Shared,
    mtls: &'a WorkloadMtls,
}

impl Chains<'_> {
    fn of_service(&self, own: &OwnService) -> ChainSet {
        let service = &own.service;
        let bind = self.ctx.class().ip_families.wildcard();
        let subject = stat_prefix::Subject {
            host: &service.host,
            short: &if service.is_kubernetes() {
                format!("{}.{}", service.name, service.namespace)
            } else {
                service.host.to_string()
            },
            name: &service.name,
            port: own.port.number,
            port_name: &own.port.name,
        };
        self.of_port(bind, own.target_port, own.port.protocol, &subject, None)
    }

    fn of_ingress(&self, entry: &ingress::Entry) -> ChainSet {
        let subject = stat_prefix::Subject {
            host: &entry.host,
            short: &entry.host,
            name: &entry.host,
            port: entry.port,
            port_name: &entry.port_name,
        };
        let tls = entry.tls.as_ref().filter(|_| self.mtls.of_port(entry.port) == MtlsMode::Disable);
        let protocol = if tls.is_some() { entry.protocol.after_tls() } else { entry.protocol };
        let set = self.of_port(&entry.bind, entry.port, protocol, &subject, Some(entry.config.clone()));
        ChainSet { tls: tls.map(|tls| self.ends_tls(tls, protocol)), ..set }
    }

    fn ends_tls(
        &self,
        tls: &ServerTlsSettings,
        protocol: Protocol,
    ) -> Sealed<envoy::tls::DownstreamTlsContext> {
        let class = self.ctx.class();
        let what = GatewayServerTls {
            tls,
            tcp: !protocol.is_http(),
            quic: false,
            dialect: class.dialect,
            files: &class.metadata.tls_server,
            credential_socket: class.metadata.credential,
            file_socket: class.metadata.file_credential,
        };
        Sealed::new(tls::gateway_server_context(self.ctx.settings(), &what))
    }

    fn of_port(
        &self,
        bind: &str,
        port: u32,
        protocol: Protocol,
        subject: &stat_prefix::Subject<'_>,
        config: Option<String>,
    ) -> ChainSet {
        let route = InboundRoute {
            cluster: format!("inbound|{port}||"),
            host: subject.host.to_owned(),
            port: subject.port,
            protocol,
        };
        ChainSet {
            name: ChainName::Port(format!("{bind}_{port}")),
            port: (port != 0).then_some(port),
            mode: self.mtls.of_port(port),
            protocol,
            tcp: self.tcp(&route.cluster, subject),
            hcm: self.hcm(format!("inbound_{bind}_{port};"), port, &route),
            protocol_filter: ProtocolFilter::of(self.ctx, protocol),
            tls: None,
            config,
        }
    }

    fn passthrough(&self, port: Option<u32>) -> ChainSet {
        let route = InboundRoute {
            cluster: PASSTHROUGH_CLUSTER.to_owned(),
            host: String::new(),
            port: 0,
            protocol: Protocol::Unsupported,
        };
        let subject =
            stat_prefix::Subject { host: "", short: "", name: "", port: 0, port_name: VIRTUAL_INBOUND };
        ChainSet {
            name: ChainName::Passthrough,
            port,
            mode: port.map_or(self.mtls.mode, |port| self.mtls.of_port(port)),
            protocol: Protocol::Unsupported,
            tcp: self.tcp(PASSTHROUGH_CLUSTER, &subject),
            hcm: self.hcm(format!("{PASSTHROUGH_CLUSTER};"), port.unwrap_or(0), &route),
            protocol_filter: None,
            tls: None,
            config: None,
        }
    }

    fn hcm(&self, stat_prefix: String, port: u32, route: &InboundRoute) -> HcmOptions {
        let routes = HcmRoutes::Inline(Sealed::new(route::inbound(route)));
        let hcm = Arc::clone(&self.shared.hcm);
        let mut options = HcmOptions::new(hcm, stat_prefix, routes, route.protocol);
        options.port = port;
        options.inserted.clone_from(&self.shared.policies.http);
        options
    }

    fn tcp(&self, cluster: &str, subject: &stat_prefix::Subject<'_>) -> TcpProxy {
        let mut proxy = TcpProxy::to(cluster);
        proxy.idle_timeout = Duration::parse(&self.ctx.class().metadata.idle_timeout);
        let pattern = &self.ctx.settings().config.inbound_cluster_stat_name;
        if !pattern.is_empty() {
            proxy.stat_prefix = stat_prefix::filled(pattern, subject);
        }
        proxy
    }
}
