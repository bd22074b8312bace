//! A gateway's listener from its input.

use std::sync::Arc;

use proto::constraints::Violation;
use proto::envoy;
use proto::envoy::core::TrafficDirection;
use proto::envoy::google;
use proto::envoy::listener::{Filter, FilterChain, FilterChainMatch, Listener};

use super::GatewayListenerInput;
use super::chain::{Chain, Content, HttpContent, TcpContent};
use crate::hcm::{self, HcmOptions, HcmRoutes, Slot};
use crate::listener::address::{additional_addresses, address, over_udp};
use crate::listener::{inspector, soundness, tcp_route};
use crate::{Input, Reference, Rendered, fit, tls};

impl Input for GatewayListenerInput {
    type Output = Listener;
    const TAG: &'static str = "GatewayListenerInput";

    fn render(&self) -> Rendered<Listener> {
        let common = &self.common;
        let mut references = Vec::new();
        let filter_chains = self.chains.iter().map(|chain| self.chain(chain, &mut references)).collect();
        let mut listener_filters = Vec::new();
        if common.proxy_protocol && !self.quic {
            let config = envoy::proxy_protocol::ProxyProtocol::default();
            let name = "envoy.filters.listener.proxy_protocol";
            listener_filters.push(inspector::filter(name, proto::pack::any(&config)));
        }
        if self.chains.iter().any(|chain| chain.inspected) {
            listener_filters.push(inspector::tls());
        }
        let (first, rest) = self.addresses.split_at(self.addresses.len().min(1));
        let max_connections = common.max_connections_per_event;
        let mut listener = Listener {
            name: self.name(),
            address: first.first().map(|bind| address(bind, self.port)),
            additional_addresses: additional_addresses(rest, self.port),
            traffic_direction: TrafficDirection::Outbound as i32,
            access_log: common.telemetry.listener_access_log(),
            listener_filters,
            filter_chains,
            max_connections_to_accept_per_socket_event: (max_connections > 0)
                .then(|| google::uint32(max_connections)),
            ..Default::default()
        };
        if self.quic {
            over_udp(&mut listener);
            listener.udp_listener_config = Some(envoy::listener::UdpListenerConfig {
                quic_options: Some(envoy::listener::QuicProtocolOptions::default()),
                downstream_socket_config: Some(envoy::core::UdpSocketConfig::default()),
                ..Default::default()
            });
        }
        Rendered { message: listener, references, issues: self.issues.clone() }
    }

    fn refusal(&self, message: &Listener) -> Option<Violation> {
        soundness::refusal(message)
    }

    fn mend(&self, message: &mut Listener, broken: &Violation) -> bool {
        fit::leave_out(&mut message.filter_chains, broken, "filter_chains")
    }
}

impl GatewayListenerInput {
    fn chain(&self, chain: &Chain, references: &mut Vec<Reference>) -> FilterChain {
        let common = &self.common;
        let filters = match &chain.content {
            Content::Http(http) => {
                let options = self.http(http);
                references.extend(options.references());
                // Filters of connections have no place on QUIC.
                let mut filters = if http.http3 { Vec::new() } else { self.extensions() };
                filters.push(hcm::network_filter(&options));
                filters
            }
            Content::Tcp(tcp) => {
                references.extend(common.hcm.extensions().references(self.port, false));
                self.tcp(tcp)
            }
        };
        if let Some(context) = &chain.tls {
            references.extend(tls::secret_references(context.common_tls_context.as_ref()));
        }
        let filter_chain_match = FilterChainMatch {
            server_names: chain.server_names.clone(),
            application_protocols: chain.application_protocols.clone(),
            ..Default::default()
        };
        FilterChain {
            filter_chain_match: (filter_chain_match != FilterChainMatch::default())
                .then_some(filter_chain_match),
            filters,
            transport_socket: chain.tls.as_deref().map(|context| {
                if self.quic { tls::quic_socket(context) } else { tls::server_socket(context) }
            }),
            transport_socket_connect_timeout: (!common.connect_timeout.is_zero())
                .then(|| common.connect_timeout.into()),
            ..Default::default()
        }
    }

    fn http(&self, http: &HttpContent) -> HcmOptions {
        let stat_prefix = match http.stat_prefix.as_str() {
            "" => format!("outbound_{};", self.name()),
            own => own.to_owned(),
        };
        let routes = HcmRoutes::Rds(http.route.clone());
        let hcm = Arc::clone(&self.common.hcm);
        let mut options = HcmOptions::new(hcm, stat_prefix, routes, http.protocol);
        options.port = self.port;
        options.http3 = http.http3;
        options.inserted.clone_from(&self.common.policies.http);
        options
    }

    /// The network filters of extensions.
    fn extensions(&self) -> Vec<Filter> {
        self.common.hcm.extensions().network_filters(&Slot::EXTENSIONS, self.port)
    }

    fn tcp(&self, tcp: &TcpContent) -> Vec<Filter> {
        let common = &self.common;
        let exchange = common.metadata_exchange.as_deref().filter(|_| tcp.from_mesh);
        let mut filters: Vec<Filter> = exchange.cloned().into_iter().collect();
        let policies = |slots: &[Slot]| {
            let filters = common.policies.network_filters(slots).filter(|_| tcp.authorized);
            filters.collect::<Vec<_>>()
        };
        let extensions = |slots: &[Slot]| common.hcm.extensions().network_filters(slots, self.port);
        filters.extend(policies(&[Slot::CustomAuthorization]));
        filters.extend(extensions(&Slot::BEFORE_RBAC));
        filters.extend(policies(&[Slot::Rbac]));
        filters.extend(extensions(&Slot::AFTER_RBAC));
        filters.extend(common.telemetry.stats_network_filters());
        let log = common.telemetry.tcp_access_log();
        filters.extend(tcp_route::terminal_filters(tcp.protocol, &tcp.proxy, log));
        filters
    }
}
