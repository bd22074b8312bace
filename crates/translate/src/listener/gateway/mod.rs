//! Listeners of gateways (spec 4.3; rows L17 to L23): one for every address and port that servers are bound to.
//!
//! Here servers become chains, HTTP ones at once; `routes` takes the chains of TCP and passthrough servers from
//! VirtualServices, `http3` those of the UDP listener beside one, `auto_passthrough` makes one for every cluster of the mesh; `chain` keeps two chains of a listener
//! apart, `render` puts the listener together.

mod auto_passthrough;
mod chain;
mod http3;
mod render;
mod routes;

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Issue;
use proto::envoy;
use proto::istio::networking::server_tls_settings::TlSmode;
use proto::wkt::Duration;
use scope::{GatewayServer, ServerGroup};

use self::chain::{Chain, Content, HttpContent, Matches};
use self::routes::Taken;
use crate::hcm::HcmDefaults;
use crate::policy_filters::PolicyFilters;
use crate::telemetry::{self, Direction, TelemetryFacts};
use crate::tls::{self, GatewayServerTls};
use crate::{Context, Resource, Sealed, proxy_config};

/// The first port that needs no privilege.
const FIRST_UNPRIVILEGED: u32 = 1024;

/// What all listeners of a gateway share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Common {
    hcm: Arc<HcmDefaults>,
    policies: PolicyFilters,
    telemetry: Arc<TelemetryFacts>,
    /// Peers of the mesh exchange metadata with the gateway itself.
    metadata_exchange: Option<Sealed<envoy::listener::Filter>>,
    /// Connections begin with a PROXY header.
    proxy_protocol: bool,
    connect_timeout: Duration,
    max_connections_per_event: u32,
}

/// One listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct GatewayListenerInput {
    common: Arc<Common>,
    /// Where it listens; the first names it.
    addresses: Vec<String>,
    port: u32,
    /// Whether it listens for QUIC on UDP.
    quic: bool,
    chains: Vec<Chain>,
    issues: Vec<Issue>,
}

impl GatewayListenerInput {
    fn name(&self) -> String {
        let kind = if self.quic { "udp_" } else { "" };
        format!("{kind}{}_{}", self.addresses.first().map_or("", String::as_str), self.port)
    }
}

/// Every listener of a gateway, in the order of its servers.
pub(super) fn generate(ctx: &Context<'_>) -> Vec<Resource> {
    let Some(gateway) = &ctx.scope.gateway else { return Vec::new() };
    let common = Arc::new(common(ctx));
    let mut listeners: Vec<GatewayListenerInput> = Vec::new();
    let mut matches: BTreeMap<(String, u32), BothMatches> = BTreeMap::new();
    let mut taken: BTreeMap<u32, Taken> = BTreeMap::new();
    let mut issues = gateway.issues.clone();
    issues.extend(common.policies.issues.iter().cloned());
    for group in &gateway.groups {
        if ctx.class().metadata.unprivileged_pod && group.port < FIRST_UNPRIVILEGED {
            issues.extend(group.servers.iter().map(|server| {
                let reason = format!("the gateway's pod may not bind port {}", group.port);
                issue(server, &reason)
            }));
            continue;
        }
        let addresses = addresses(ctx, group);
        let key = (addresses.first().cloned().unwrap_or_default(), group.port);
        let (matches, taken) = (matches.entry(key).or_default(), taken.entry(group.port).or_default());
        if let Some(listener) = listener_at(&mut listeners, &common, group.port, &addresses, false) {
            add(ctx, group, listener, &mut matches.tcp, taken);
        }
        if group.servers.iter().any(|server| server.http3)
            && let Some(listener) = listener_at(&mut listeners, &common, group.port, &addresses, true)
        {
            http3::add(ctx, group, listener, &mut matches.udp);
        }
    }
    listeners.retain(|listener| !listener.chains.is_empty());
    if let Some(first) = listeners.first_mut() {
        first.issues.extend(issues);
    }
    listeners.iter().map(|listener| ctx.resource(listener.name(), listener)).collect()
}

/// What the listeners of one address and port match already.
#[derive(Default)]
struct BothMatches {
    tcp: Matches,
    udp: Matches,
}

/// The listener there, made if there is none yet.
fn listener_at<'a>(
    listeners: &'a mut Vec<GatewayListenerInput>,
    common: &Arc<Common>,
    port: u32,
    addresses: &[String],
    quic: bool,
) -> Option<&'a mut GatewayListenerInput> {
    let known = listeners.iter().position(|l| l.addresses == addresses && l.port == port && l.quic == quic);
    let index = known.unwrap_or_else(|| {
        listeners.push(GatewayListenerInput {
            common: Arc::clone(common),
            addresses: addresses.to_vec(),
            port,
            quic,
            chains: Vec::new(),
            issues: Vec::new(),
        });
        listeners.len() - 1
    });
    listeners.get_mut(index)
}

fn common(ctx: &Context<'_>) -> Common {
    let features = &ctx.settings().features;
    let nanos = features.transport_socket_connect_timeout.as_nanos();
    let topology = proxy_config::effective(ctx).gateway_topology;
    Common {
        hcm: HcmDefaults::select(ctx, Direction::Gateway),
        policies: PolicyFilters::select(ctx),
        telemetry: TelemetryFacts::select(ctx, Direction::Gateway),
        metadata_exchange: telemetry::metadata_exchange_network_filter(ctx.settings(), ctx.class().dialect)
            .map(Sealed::new),
        proxy_protocol: topology.is_some_and(|topology| topology.proxy_protocol.is_some()),
        connect_timeout: Duration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)),
        max_connections_per_event: features.max_connections_per_socket_event_loop,
    }
}

fn addresses(ctx: &Context<'_>, group: &ServerGroup) -> Vec<String> {
    if !group.bind.is_empty() {
        return vec![group.bind.clone()];
    }
    let families = ctx.class().ip_families;
    let mut addresses = vec![families.wildcard().to_owned()];
    if ctx.settings().features.dual_stack && families.dual() {
        addresses.push("::".to_owned());
    }
    addresses
}

/// Adds the chains of a group's servers.
fn add(
    ctx: &Context<'_>,
    group: &ServerGroup,
    listener: &mut GatewayListenerInput,
    matches: &mut Matches,
    taken: &mut Taken,
) {
    let mut put = |server: &GatewayServer, chain: Chain| {
        let (chain, reason) = matches.admit(chain);
        listener.chains.extend(chain);
        listener.issues.extend(reason.map(|reason| issue(server, &reason)));
    };
    if group.protocol.is_http() {
        let Some(first) = group.servers.first() else { return };
        let http = HttpContent {
            route: group.route_name.clone(),
            protocol: group.protocol,
            stat_prefix: String::new(),
            http3: false,
        };
        put(first, Chain::of(Content::Http(http)));
        return;
    }
    for server in &group.servers {
        if server.tls_mode() == Some(TlSmode::AutoPassthrough) {
            for chain in auto_passthrough::chains(ctx, server) {
                put(server, chain);
            }
        } else if server.is_passthrough() {
            for chain in routes::passthrough(ctx, server, taken) {
                put(server, chain);
            }
        } else {
            let content = if server.is_https_terminating() {
                Some(Content::Http(https(server, false)))
            } else {
                routes::tcp(ctx, server).map(Content::Tcp)
            };
            if let Some(content) = content {
                let tls = server.is_tls();
                let chain = Chain {
                    server_names: server.server_names(),
                    inspected: tls,
                    tls: tls_context(ctx, server, false),
                    ..Chain::of(content)
                };
                put(server, chain);
            }
        }
    }
}

/// What a server does that terminates TLS for HTTP.
fn https(server: &GatewayServer, http3: bool) -> HttpContent {
    HttpContent {
        route: server.route_name.clone(),
        protocol: server.protocol,
        stat_prefix: server.server.name.clone(),
        http3,
    }
}

/// The context of a server that terminates TLS, over TCP or QUIC.
fn tls_context(
    ctx: &Context<'_>,
    server: &GatewayServer,
    quic: bool,
) -> Option<Sealed<envoy::tls::DownstreamTlsContext>> {
    let class = ctx.class();
    let what = GatewayServerTls {
        tls: server.tls()?,
        tcp: !server.is_https_terminating(),
        quic,
        dialect: class.dialect,
        files: &class.metadata.tls_server,
        credential_socket: class.metadata.credential,
        file_socket: class.metadata.file_credential,
    };
    Some(Sealed::new(tls::gateway_server_context(ctx.settings(), &what)))
}

fn issue(server: &GatewayServer, message: &str) -> Issue {
    let name = server.server.port.as_ref().map_or("", |port| port.name.as_str());
    Issue {
        object: format!("Gateway {}", server.gateway),
        path: format!("spec.servers[port {name}]"),
        message: message.to_owned(),
    }
}
