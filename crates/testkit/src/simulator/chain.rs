//! The listener that takes a connection, and the filter chain in it: for each property of the connection in turn, the
//! chains that name it most specifically stay, those that name another go.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

use super::{Call, list, text};

/// Listeners that hand a connection on to the one of its original destination.
const CATCH_ALL: [&str; 2] = ["virtualOutbound", "virtualInbound"];

/// The TCP listener of the exact address, else of the port on any address, else the one for all that is intercepted.
pub(super) fn listener<'a>(listeners: &'a BTreeMap<String, Value>, call: &Call) -> Option<&'a Value> {
    let to: SocketAddr = call.to.parse().ok()?;
    if call.inbound && listeners.contains_key("virtualInbound") {
        return listeners.get("virtualInbound");
    }
    let at = |wanted: IpAddr| {
        listeners.values().filter(|listener| !CATCH_ALL.contains(&text(&listener["name"]))).find(|listener| {
            let more = list(&listener["additionalAddresses"]).iter().map(|more| &more["address"]);
            std::iter::once(&listener["address"]).chain(more).any(|address| {
                let socket = &address["socketAddress"];
                let ip: Option<IpAddr> = text(&socket["address"]).parse().ok();
                let is_tcp = text(&socket["protocol"]) != "UDP";
                is_tcp && ip == Some(wanted) && number(&socket["portValue"]) == u64::from(to.port())
            })
        })
    };
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    at(to.ip()).or_else(|| at(any)).or_else(|| listeners.get("virtualOutbound"))
}

/// The chain that a connection takes, or the default one.
pub(super) fn chain<'a>(listener: &'a Value, call: &Call) -> Option<&'a Value> {
    let to: SocketAddr = call.to.parse().ok()?;
    let all: Vec<&Value> = list(&listener["filterChains"]).iter().collect();
    let transport = if call.sni.is_some() { "tls" } else { "raw_buffer" };
    let inspected = list(&listener["listenerFilters"])
        .iter()
        .any(|filter| text(&filter["name"]).contains("http_inspector"));
    let protocol = (call.sni.is_none() && call.host.is_some() && inspected).then_some("http/1.1");
    let left = narrow(all, |wanted| match &wanted["destinationPort"] {
        Value::Null => Some(0),
        port => (number(port) == u64::from(to.port())).then_some(1),
    });
    let left = narrow(left, |wanted| best(&wanted["prefixRanges"], |range| within(range, to.ip())));
    let left = narrow(left, |wanted| {
        best(&wanted["serverNames"], |name| server_name(text(name), call.sni.as_deref().unwrap_or_default()))
    });
    let left = narrow(left, |wanted| match text(&wanted["transportProtocol"]) {
        "" => Some(0),
        name => (name == transport).then_some(1),
    });
    let left = narrow(left, |wanted| {
        best(&wanted["applicationProtocols"], |name| (Some(text(name)) == protocol).then_some(0))
    });
    let default = &listener["defaultFilterChain"];
    left.first().copied().or_else(|| default.is_object().then_some(default))
}

/// Those chains whose match is the most specific among the ones that fit.
fn narrow(chains: Vec<&Value>, rank: impl Fn(&Value) -> Option<usize>) -> Vec<&Value> {
    let ranked: Vec<(usize, &Value)> =
        chains.into_iter().filter_map(|chain| Some((rank(&chain["filterChainMatch"])?, chain))).collect();
    let most = ranked.iter().map(|(rank, _)| *rank).max();
    ranked.into_iter().filter(|(rank, _)| Some(*rank) == most).map(|(_, chain)| chain).collect()
}

/// No entry fits anything, least specifically; else the best of those that fit.
fn best(entries: &Value, rank: impl Fn(&Value) -> Option<usize>) -> Option<usize> {
    match list(entries) {
        [] => Some(0),
        entries => entries.iter().filter_map(|entry| Some(rank(entry)? + 1)).max(),
    }
}

/// The length of a prefix that an address lies in.
fn within(range: &Value, ip: IpAddr) -> Option<usize> {
    let length = number(&range["prefixLen"]);
    let network: IpAddr = text(&range["addressPrefix"]).parse().ok()?;
    let bits = |ip: IpAddr| match ip {
        IpAddr::V4(ip) => (u128::from(u32::from(ip)) << 96, 32),
        IpAddr::V6(ip) => (u128::from(ip), 128),
    };
    let ((network, width), (ip, own_width)) = (bits(network), bits(ip));
    if width != own_width || length > width {
        return None;
    }
    let mask = u32::try_from(128 - length).ok().and_then(|shift| u128::MAX.checked_shl(shift)).unwrap_or(0);
    (network & mask == ip & mask).then_some(length as usize)
}

/// An exact name beats a wildcard, a longer wildcard a shorter one.
fn server_name(pattern: &str, sni: &str) -> Option<usize> {
    match pattern.strip_prefix('*') {
        Some(suffix) => (!sni.is_empty() && sni.ends_with(suffix)).then_some(suffix.len()),
        None => pattern.eq_ignore_ascii_case(sni).then_some(usize::MAX - 1),
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}
