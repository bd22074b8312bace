//! An inbound listener from its chain sets (spec 4.2; rows L11-L14).

use proto::constraints::Violation;
use proto::envoy;
use proto::envoy::google;
use proto::envoy::google::{boolean, string_value, struct_of, uint32};
use proto::envoy::listener::{Filter, FilterChain, FilterChainMatch, ListenerFilter};

use super::matrix::{self, Chain};
use super::{ChainName, ChainSet, InboundListener, Shared, VIRTUAL_INBOUND, inspectors};
use crate::hcm::Slot;
use crate::listener::tcp_proxy::TcpProxy;
use crate::listener::tcp_route::terminal_filters;
use crate::listener::{address, exact_balance, inspector, soundness};
use crate::tls::{ServerStack, server_socket};
use crate::{Input, Reference, Rendered, hcm};

/// The mark of connections whose source address is kept, which the routing rules of TPROXY know.
const TPROXY_MARK: u32 = 1337;

impl Input for InboundListener {
    type Output = envoy::listener::Listener;
    const TAG: &'static str = "InboundListener";

    fn render(&self) -> Rendered<Self::Output> {
        let shared = &self.shared;
        let mut chains = Vec::new();
        if self.redirected {
            chains.push(blackhole(shared, self.port));
        }
        for set in &self.sets {
            chains.extend(rows(set).iter().map(|row| chain(shared, set, row, self.http10)));
        }
        let mut listener_filters = Vec::new();
        if self.redirected {
            listener_filters.push(original_dst());
        }
        if self.transparent && self.redirected {
            listener_filters.push(original_src());
        }
        listener_filters.extend(inspectors::filters(&chains));
        let timeout = self.detection_timeout.map_or_else(|| google::seconds(0), google::Duration::from);
        let mut references: Vec<Reference> =
            self.sets.iter().flat_map(|set| references(shared, set)).collect();
        references.sort();
        references.dedup();
        let listener = envoy::listener::Listener {
            name: self.name.clone(),
            address: Some(address::address(&self.bind, self.port)),
            filter_chains: chains,
            listener_filters,
            listener_filters_timeout: Some(timeout),
            continue_on_listener_filters_timeout: true,
            traffic_direction: envoy::core::TrafficDirection::Inbound as i32,
            transparent: (self.transparent && self.redirected).then(|| boolean(true)),
            connection_balance_config: self.exact_balance.then(exact_balance),
            max_connections_to_accept_per_socket_event: (self.connections_per_event != 0)
                .then(|| uint32(self.connections_per_event)),
            access_log: shared.hcm.telemetry().listener_access_log(),
            ..Default::default()
        };
        Rendered { message: listener, references, issues: shared.policies.issues.clone() }
    }

    fn refusal(&self, message: &envoy::listener::Listener) -> Option<Violation> {
        soundness::refusal(message)
    }
}

/// Connections to the listener's own port, which would otherwise come back to it for ever.
fn blackhole(shared: &Shared, port: u32) -> FilterChain {
    FilterChain {
        name: format!("{VIRTUAL_INBOUND}-blackhole"),
        filter_chain_match: Some(FilterChainMatch {
            destination_port: Some(uint32(port)),
            ..Default::default()
        }),
        filters: tcp_filters(shared, None, vec![TcpProxy::to("BlackHoleCluster").filter(Vec::new())]),
        ..Default::default()
    }
}

fn chain(shared: &Shared, set: &ChainSet, row: &Chain, http10: bool) -> FilterChain {
    let (filters, context) = match row.stack {
        ServerStack::Http => (http_filters(shared, set), &shared.http_tls),
        ServerStack::Tcp => {
            let access_log = shared.hcm.telemetry().tcp_access_log();
            let end = terminal_filters(set.protocol_filter, &set.tcp, access_log);
            (tcp_filters(shared, Some(set), end), &shared.tcp_tls)
        }
    };
    FilterChain {
        name: match (&set.name, row.stack) {
            (ChainName::Port(name), _) => name.clone(),
            (ChainName::Passthrough, ServerStack::Http) => format!("{VIRTUAL_INBOUND}-catchall-http"),
            (ChainName::Passthrough, ServerStack::Tcp) => VIRTUAL_INBOUND.to_owned(),
        },
        filter_chain_match: Some(FilterChainMatch {
            destination_port: set.port.map(uint32),
            transport_protocol: row.transport.to_owned(),
            application_protocols: row.protocols.names(http10),
            ..Default::default()
        }),
        filters,
        transport_socket: row.terminates.then(|| server_socket(set.tls.as_ref().unwrap_or(context))),
        metadata: set.config.as_deref().map(config_metadata),
        ..Default::default()
    }
}

fn rows(set: &ChainSet) -> &'static [Chain] {
    match &set.tls {
        Some(_) => matrix::ended(set.protocol),
        None => matrix::chains(set.mode, set.protocol),
    }
}

/// What the chains of a set ask for.
fn references(shared: &Shared, set: &ChainSet) -> Vec<Reference> {
    let mut all = shared.hcm.extensions().references(set.hcm.port, false);
    if rows(set).iter().any(|row| row.stack == ServerStack::Http) {
        all.extend(set.hcm.references());
    }
    all
}

fn http_filters(shared: &Shared, set: &ChainSet) -> Vec<Filter> {
    let exchange = shared.metadata_exchange.as_ref().map(|filter| (**filter).clone());
    let extensions = shared.hcm.extensions().network_filters(&Slot::EXTENSIONS, set.hcm.port);
    exchange.into_iter().chain(extensions).chain([hcm::network_filter(&set.hcm)]).collect()
}

/// The filters of a TCP chain up to its end; without a set, the chain is for no port of the workload.
fn tcp_filters(shared: &Shared, set: Option<&ChainSet>, end: Vec<Filter>) -> Vec<Filter> {
    let exchange = shared.metadata_exchange.as_ref().map(|filter| (**filter).clone());
    let extensions = |slots: &[Slot]| {
        set.map_or_else(Vec::new, |set| shared.hcm.extensions().network_filters(slots, set.hcm.port))
    };
    let policies =
        |slots: &[Slot]| set.map_or_else(Vec::new, |_| shared.policies.network_filters(slots).collect());
    let stats = shared.hcm.telemetry().stats_network_filters();
    exchange
        .into_iter()
        .chain(policies(&[Slot::CustomAuthorization]))
        .chain(extensions(&Slot::BEFORE_RBAC))
        .chain(policies(&[Slot::Rbac]))
        .chain(extensions(&Slot::AFTER_RBAC))
        .chain(stats)
        .chain(end)
        .collect()
}

fn config_metadata(path: &str) -> envoy::core::Metadata {
    let members = struct_of([("config", string_value(path))]);
    envoy::core::Metadata {
        filter_metadata: [("istio".to_owned(), members)].into_iter().collect(),
        ..Default::default()
    }
}

fn original_dst() -> ListenerFilter {
    let config = envoy::original_dst::OriginalDst::default();
    inspector::filter("envoy.filters.listener.original_dst", proto::pack::any(&config))
}

fn original_src() -> ListenerFilter {
    let config = envoy::original_src::OriginalSrc { mark: TPROXY_MARK, ..Default::default() };
    inspector::filter("envoy.filters.listener.original_src", proto::pack::any(&config))
}
