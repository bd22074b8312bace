//! Outbound listeners of a sidecar (spec 4.1; rows L01 to L10, L26 to L30).
//!
//! `select` walks the services of the scope and gathers, by bind and port, `entry`s made of `chain`s, which `tls` and
//! `tcp` take from VirtualServices; each entry becomes one [`OutboundListenerInput`]. `catch_all` is the listener that
//! traffic is redirected to, `http_proxy` the one for explicit proxying.

mod bind;
mod catch_all;
mod chain;
mod entry;
mod http_proxy;
mod select;
mod stream_port;
mod tcp;
mod tls;

use std::sync::Arc;

use mesh::{Fact, MeshSettings};
use model::Protocol;
use proto::constraints::Violation;
use proto::envoy;
use proto::envoy::cluster::cluster::DnsLookupFamily;
use proto::envoy::core::TrafficDirection;
use proto::envoy::google;
use proto::envoy::listener::{Filter, FilterChain, FilterChainMatch, Listener};
use proto::wkt::Duration;

use self::chain::{Chain, Content, HttpContent, TcpContent};
use self::entry::Entry;
use super::address::{additional_addresses, address};
use super::tcp_proxy::{TcpProxy, network_filter};
use super::{inspector, soundness, tcp_route};
use crate::hcm::{self, DnsCache, HcmDefaults, HcmOptions, HcmRoutes, Slot};
use crate::telemetry::{Direction, TelemetryFacts};
use crate::{Context, Input, Rendered, Resource, fit};

/// The chain for what no other chain of a listener takes.
const PASSTHROUGH_CHAIN: &str = "PassthroughFilterChain";

/// Every outbound listener, those of services in the order of their names.
pub(super) fn generate(ctx: &Context<'_>) -> Vec<Resource> {
    let common = Common::select(ctx);
    let of_streams = Arc::new(Fact::of(common.of_streams()));
    let common = Arc::new(Fact::of(common));
    let mut listeners: Vec<Resource> = select::entries(ctx)
        .map(|entry| {
            let reads_http = entry.chains.iter().any(|chain| matches!(chain.content, Content::Http(_)));
            let input = OutboundListenerInput::new(if reads_http { &common } else { &of_streams }, entry);
            ctx.resource(input.name(), &input)
        })
        .collect();
    listeners.extend(http_proxy::generate(ctx, &common));
    listeners.extend(catch_all::generate(ctx, &common));
    listeners
}

/// What all outbound listeners of a class share.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Common {
    hcm: Arc<HcmDefaults>,
    telemetry: Arc<TelemetryFacts>,
    /// Where connections go that nothing else takes.
    unknown: TcpProxy,
    exact_balance: bool,
    http10: bool,
    detection_timeout: Duration,
    connect_timeout: Duration,
    max_connections_per_event: u32,
    lookup_family: i32,
}

impl Common {
    fn select(ctx: &Context<'_>) -> Self {
        let settings: &MeshSettings = ctx.settings();
        let features = &settings.features;
        let class = ctx.class();
        let mut unknown = TcpProxy::to(ctx.scope.unknown_traffic().cluster());
        unknown.idle_timeout = Duration::parse(&class.metadata.idle_timeout);
        let nanos = features.transport_socket_connect_timeout.as_nanos();
        Self {
            hcm: HcmDefaults::select(ctx, Direction::Outbound),
            telemetry: TelemetryFacts::select(ctx, Direction::Outbound),
            unknown,
            exact_balance: class.metadata.outbound_listener_exact_balance,
            http10: features.http10,
            detection_timeout: settings.config.protocol_detection_timeout.unwrap_or_default(),
            connect_timeout: Duration::from_nanos(i64::try_from(nanos).unwrap_or(i64::MAX)),
            max_connections_per_event: features.max_connections_per_socket_event_loop,
            lookup_family: if class.ip_families.only_v6() {
                DnsLookupFamily::V6Only as i32
            } else {
                DnsLookupFamily::V4Only as i32
            },
        }
    }

    /// What of it listeners are made of that look into no request. They are the same for all workloads, while a
    /// workload's traces carry its name.
    fn of_streams(&self) -> Self {
        let telemetry = self.telemetry.of_streams();
        Self { hcm: self.hcm.of_streams(&telemetry), telemetry, ..self.clone() }
    }

    fn connect_timeout(&self) -> Option<google::Duration> {
        (!self.connect_timeout.is_zero()).then(|| self.connect_timeout.into())
    }

    /// The filters of a TCP chain up to its end.
    fn tcp_filters(&self, end: impl IntoIterator<Item = Filter>) -> Vec<Filter> {
        let mut filters = self.telemetry.stats_network_filters();
        filters.extend(end);
        filters
    }

    fn max_connections_per_event(&self) -> Option<google::UInt32Value> {
        (self.max_connections_per_event > 0).then(|| google::uint32(self.max_connections_per_event))
    }
}

/// One outbound listener.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OutboundListenerInput {
    common: Arc<Fact<Common>>,
    /// Where it listens; the first names it.
    addresses: Vec<String>,
    port: u32,
    /// Whether it really binds.
    to_port: bool,
    chains: Vec<Chain>,
    /// Whether it is the explicit HTTP proxy.
    forward_proxy: bool,
}

impl OutboundListenerInput {
    fn new(common: &Arc<Fact<Common>>, entry: Entry) -> Self {
        Self {
            common: Arc::clone(common),
            addresses: entry.bind.addresses,
            port: entry.port,
            to_port: entry.bind.to_port,
            chains: entry.chains,
            forward_proxy: false,
        }
    }

    fn primary(&self) -> &str {
        self.addresses.first().map_or("", String::as_str)
    }

    fn name(&self) -> String {
        format!("{}_{}", self.primary(), self.port)
    }

    fn http(&self, http: &HttpContent) -> HcmOptions {
        let mut options = HcmOptions::new(
            Arc::clone(&self.common.hcm),
            format!("outbound_{};", self.name()),
            HcmRoutes::Rds(http.route.clone()),
            http.protocol,
        );
        options.port = self.port;
        options.allow_absolute_url = self.forward_proxy;
        options.dynamic_forward_proxy = http
            .resolves
            .as_ref()
            .map(|host| DnsCache { name: cache_name(host), lookup_family: self.common.lookup_family });
        options
    }

    fn tcp(&self, tcp: &TcpContent) -> Vec<Filter> {
        let resolver = tcp.resolves.as_ref().map(|(host, port)| {
            use envoy::sni_dynamic_forward_proxy::{FilterConfig, filter_config::PortSpecifier};
            let config = FilterConfig {
                dns_cache_config: Some(envoy::dynamic_forward_proxy::DnsCacheConfig {
                    name: cache_name(host),
                    dns_lookup_family: self.common.lookup_family,
                    ..Default::default()
                }),
                port_specifier: Some(PortSpecifier::PortValue(*port)),
                ..Default::default()
            };
            network_filter(
                "envoy.extensions.filters.network.sni_dynamic_forward_proxy",
                proto::pack::any(&config),
            )
        });
        let log = self.common.telemetry.tcp_access_log();
        let end = tcp_route::terminal_filters(tcp.protocol, &tcp.proxy, log);
        let mut filters = self.extensions();
        filters.extend(self.common.tcp_filters(resolver.into_iter().chain(end)));
        filters
    }

    /// The network filters of extensions.
    fn extensions(&self) -> Vec<Filter> {
        self.common.hcm.extensions().network_filters(&Slot::EXTENSIONS, self.port)
    }

    fn unknown_chain(&self) -> FilterChain {
        let log = self.common.telemetry.tcp_access_log();
        FilterChain {
            name: PASSTHROUGH_CHAIN.to_owned(),
            filter_chain_match: Some(FilterChainMatch::default()),
            filters: self.common.tcp_filters([self.common.unknown.filter(log)]),
            ..Default::default()
        }
    }
}

impl Input for OutboundListenerInput {
    type Output = Listener;
    const TAG: &'static str = "OutboundListenerInput";

    fn render(&self) -> Rendered<Listener> {
        let common = &self.common;
        let mut references = Vec::new();
        let mut chains = Vec::new();
        let mut default = None;
        for chain in &self.chains {
            let filters = match &chain.content {
                Content::Http(http) => {
                    let options = self.http(http);
                    references.extend(options.references());
                    let mut filters = self.extensions();
                    filters.push(hcm::network_filter(&options));
                    filters
                }
                Content::Tcp(tcp) => {
                    references.extend(common.hcm.extensions().references(self.port, false));
                    self.tcp(tcp)
                }
            };
            let rendered = chain.around(filters, common.http10, common.connect_timeout());
            if chain.matches_all() {
                default = Some(rendered);
            } else {
                chains.push(rendered);
            }
        }
        // A chain for everything is the default one, unless it is the only one; where there is none, unknown traffic
        // gets one.
        let default = match default {
            Some(only) if chains.is_empty() => {
                chains.push(only);
                None
            }
            Some(default) => Some(default),
            None => Some(self.unknown_chain()),
        };
        let inspects_http = self.chains.iter().any(|chain| chain.sniffed_http);
        let inspects_tls = self.chains.iter().any(|chain| {
            !chain.server_names.is_empty()
                || matches!(&chain.content, Content::Tcp(TcpContent { resolves: Some(_), .. }))
        });
        let mut listener_filters = Vec::new();
        if inspects_tls {
            listener_filters.push(inspector::tls());
        }
        if inspects_http {
            listener_filters.push(inspector::http());
        }
        let timeout = if inspects_http { common.detection_timeout } else { Duration::default() };
        let listener = Listener {
            name: self.name(),
            address: Some(address(self.primary(), self.port)),
            additional_addresses: additional_addresses(
                self.addresses.get(1..).unwrap_or_default(),
                self.port,
            ),
            traffic_direction: TrafficDirection::Outbound as i32,
            continue_on_listener_filters_timeout: true,
            listener_filters_timeout: Some(timeout.into()),
            listener_filters,
            connection_balance_config: common.exact_balance.then(super::exact_balance),
            bind_to_port: (!self.to_port).then(|| google::boolean(false)),
            max_connections_to_accept_per_socket_event: self
                .to_port
                .then(|| common.max_connections_per_event())
                .flatten(),
            filter_chains: chains,
            default_filter_chain: default,
            ..Default::default()
        };
        Rendered { message: listener, references, issues: Vec::new() }
    }

    fn refusal(&self, message: &Listener) -> Option<Violation> {
        soundness::refusal(message)
    }

    fn mend(&self, message: &mut Listener, broken: &Violation) -> bool {
        fit::leave_out(&mut message.filter_chains, broken, "filter_chains")
    }
}

/// The DNS cache of a wildcard host; its cluster has it under the same name.
fn cache_name(host: &str) -> String {
    format!("{host}_dfp_dns_cache")
}

/// The protocol of the explicit HTTP proxy.
const FORWARD_PROXY: Protocol = Protocol::HttpProxy;
