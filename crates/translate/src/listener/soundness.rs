//! What Envoy refuses of a listener beyond the rules of its proto files: addresses that are none, chains that match
//! the same, filters without content or in an order that cannot be.

use std::net::IpAddr;

use proto::constraints::Violation;
use proto::envoy::core::CidrRange;
use proto::envoy::core::address::Address;
use proto::envoy::core::transport_socket::ConfigType as TransportConfig;
use proto::envoy::listener::filter::ConfigType;
use proto::envoy::listener::listener_filter::ConfigType as ListenerConfigType;
use proto::envoy::listener::{FilterChain, Listener};

/// Filters that must come last.
const TERMINAL: [&str; 2] = [
    "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    "envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
];

/// Why Envoy would refuse the listener.
pub(crate) fn refusal(listener: &Listener) -> Option<Violation> {
    let broken =
        |path: &str, reason: &str| Some(Violation { path: path.to_owned(), reason: reason.to_owned() });
    match listener.address.as_ref().and_then(|address| address.address.as_ref()) {
        Some(Address::SocketAddress(socket)) if socket.address.parse::<IpAddr>().is_err() => {
            return broken("address", &format!("{:?} is no IP address", socket.address));
        }
        None if listener.listener_specifier.is_none() && listener.api_listener.is_none() => {
            return broken("address", "is needed");
        }
        _ => {}
    }
    let is_udp = listener.udp_listener_config.is_some();
    if listener.filter_chains.is_empty() && listener.default_filter_chain.is_none() && !is_udp {
        return broken("filter_chains", "one or more are needed");
    }
    for (index, filter) in listener.listener_filters.iter().enumerate() {
        let is_empty = match &filter.config_type {
            Some(ListenerConfigType::TypedConfig(config)) => config.type_url.is_empty(),
            Some(ListenerConfigType::ConfigDiscovery(_)) => false,
            None => true,
        };
        if is_empty {
            return broken(&format!("listener_filters[{index}]"), "has no typed_config");
        }
    }
    for (index, chain) in listener.filter_chains.iter().enumerate() {
        let path = || format!("filter_chains[{index}]");
        if let Some(reason) = of_chain(chain) {
            return broken(&path(), &reason);
        }
        let matched = |chain: &FilterChain| chain.filter_chain_match.clone().unwrap_or_default();
        let own = matched(chain);
        if listener.filter_chains[..index].iter().any(|earlier| matched(earlier) == own) {
            return broken(&path(), "another chain matches the same");
        }
    }
    let of_default = listener.default_filter_chain.as_ref().and_then(of_chain);
    of_default.and_then(|reason| broken("default_filter_chain", &reason))
}

fn of_chain(chain: &FilterChain) -> Option<String> {
    let matched = chain.filter_chain_match.iter();
    let mut ranges = matched.flat_map(|m| m.prefix_ranges.iter().chain(&m.source_prefix_ranges));
    if let Some(range) = ranges.find(|range| !is_range(range)) {
        return Some(format!("{:?} is no IP address", range.address_prefix));
    }
    if let Some(name) =
        chain.filter_chain_match.iter().flat_map(|m| &m.server_names).find(|name| !is_server_name(name))
    {
        return Some(format!("a server name may have a wildcard as its first part only, {name:?} has not"));
    }
    if let Some(TransportConfig::TypedConfig(config)) =
        chain.transport_socket.as_ref().and_then(|socket| socket.config_type.as_ref())
        && config.type_url.ends_with(".UpstreamTlsContext")
    {
        return Some("its transport socket is one for clusters".to_owned());
    }
    let last = chain.filters.len().saturating_sub(1);
    for (index, filter) in chain.filters.iter().enumerate() {
        let config = match &filter.config_type {
            Some(ConfigType::TypedConfig(config)) if !config.type_url.is_empty() => config,
            Some(ConfigType::ConfigDiscovery(_)) => continue,
            _ => return Some(format!("filter {} has no typed_config", filter.name)),
        };
        let is_terminal = TERMINAL.iter().any(|name| config.type_url.ends_with(name));
        if is_terminal && index < last {
            return Some(format!("filter {} must be the last", filter.name));
        }
    }
    None
}

fn is_range(range: &CidrRange) -> bool {
    range.address_prefix.parse::<IpAddr>().is_ok()
}

/// Envoy knows `*.rest` and plain names.
fn is_server_name(name: &str) -> bool {
    !name.strip_prefix("*.").unwrap_or(name).contains('*')
}
