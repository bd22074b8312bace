//! What Envoy refuses of a listener beyond the rules of its proto files: addresses that are none, chains that match
//! the same, filters without content or in an order that cannot be.

use std::collections::BTreeSet;
use std::net::IpAddr;

use proto::constraints::Violation;
use proto::envoy::core::CidrRange;
use proto::envoy::core::address::Address;
use proto::envoy::core::transport_socket::ConfigType as TransportConfig;
use proto::envoy::listener::filter::ConfigType;
use proto::envoy::listener::listener_filter::ConfigType as ListenerConfigType;
use proto::envoy::listener::{FilterChain, FilterChainMatch, Listener};

use super::cidr::Cidr;

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
    // UDP without QUIC has no connections, so it has no chains.
    let is_connectionless =
        listener.udp_listener_config.as_ref().is_some_and(|udp| udp.quic_options.is_none());
    if listener.filter_chains.is_empty() && listener.default_filter_chain.is_none() && !is_connectionless {
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
        if let Some(ListenerConfigType::TypedConfig(config)) = &filter.config_type
            && let Some(place) = misplaced(&config.type_url, "listener")
        {
            let reason = format!("is a filter for {place}, not for listeners");
            return broken(&format!("listener_filters[{index}]"), &reason);
        }
    }
    let mut seen = BTreeSet::new();
    for (index, chain) in listener.filter_chains.iter().enumerate() {
        let path = || format!("filter_chains[{index}]");
        if let Some(reason) = of_chain(chain) {
            return broken(&path(), &reason);
        }
        if matches(chain.filter_chain_match.as_ref()).into_iter().any(|one| !seen.insert(one)) {
            return broken(&path(), "another chain matches the same");
        }
    }
    let of_default = listener.default_filter_chain.as_ref().and_then(of_chain);
    of_default.and_then(|reason| broken("default_filter_chain", &reason))
}

/// One combination of what a chain matches: each value of each list is one, and no list stands for any.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Match {
    port: u32,
    range: Option<Cidr>,
    server_name: String,
    transport: String,
    protocol: String,
    direct_source: Option<Cidr>,
    source_type: i32,
    source: Option<Cidr>,
    source_port: u32,
}

/// The most combinations of one chain that are looked at.
const MOST_MATCHES: usize = 10_000;

/// What a chain matches. Envoy refuses a listener in which two chains, or two values of one, match the same.
fn matches(of: Option<&FilterChainMatch>) -> Vec<Match> {
    let none = FilterChainMatch::default();
    let of = of.unwrap_or(&none);
    let ranges = |list: &[CidrRange]| -> Vec<Option<Cidr>> {
        let parsed = list.iter().map(|range| {
            let bits = range.prefix_len.as_ref().map_or(0, |bits| bits.value);
            Cidr::parse(&format!("{}/{bits}", range.address_prefix)).map(Cidr::masked)
        });
        or_any(parsed, None)
    };
    let names = or_any(of.server_names.iter().map(|name| name.to_ascii_lowercase()), String::new());
    let protocols = or_any(of.application_protocols.iter().cloned(), String::new());
    let source_ports = or_any(of.source_ports.iter().copied(), 0);
    let (to, direct, from) = (
        ranges(&of.prefix_ranges),
        ranges(&of.direct_source_prefix_ranges),
        ranges(&of.source_prefix_ranges),
    );
    let lengths = [names.len(), protocols.len(), source_ports.len(), to.len(), direct.len(), from.len()];
    if lengths.into_iter().fold(1_usize, usize::saturating_mul) > MOST_MATCHES {
        return Vec::new();
    }
    let mut all = Vec::new();
    for range in &to {
        for server_name in &names {
            for protocol in &protocols {
                for direct_source in &direct {
                    for source in &from {
                        all.extend(source_ports.iter().map(|source_port| Match {
                            port: of.destination_port.as_ref().map_or(0, |port| port.value),
                            range: *range,
                            server_name: server_name.clone(),
                            transport: of.transport_protocol.clone(),
                            protocol: protocol.clone(),
                            direct_source: *direct_source,
                            source_type: of.source_type,
                            source: *source,
                            source_port: *source_port,
                        }));
                    }
                }
            }
        }
    }
    all
}

fn or_any<T>(values: impl Iterator<Item = T>, any: T) -> Vec<T> {
    let mut values: Vec<T> = values.collect();
    if values.is_empty() {
        values.push(any);
    }
    values
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
        if let Some(place) = misplaced(&config.type_url, "network") {
            return Some(format!("filter {} is one for {place}, not for connections", filter.name));
        }
        let is_terminal = TERMINAL.iter().any(|name| config.type_url.ends_with(name));
        if is_terminal && index < last {
            return Some(format!("filter {} must be the last", filter.name));
        }
    }
    None
}

/// Where a filter belongs by its type, if that is elsewhere than in the list of `kind`: `network`, `http`, `listener`.
pub(crate) fn misplaced(type_url: &str, kind: &str) -> Option<&'static str> {
    let places = [("network", "connections"), ("http", "requests"), ("listener", "listeners")];
    let is_of = |of: &str| type_url.contains(&format!("/envoy.extensions.filters.{of}."));
    places.into_iter().find(|(of, _)| *of != kind && is_of(of)).map(|(_, place)| place)
}

fn is_range(range: &CidrRange) -> bool {
    range.address_prefix.parse::<IpAddr>().is_ok()
}

/// Envoy knows `*.rest` and plain names.
fn is_server_name(name: &str) -> bool {
    !name.strip_prefix("*.").unwrap_or(name).contains('*')
}
