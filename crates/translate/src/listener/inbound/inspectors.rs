//! Listener filters that sniff TLS and HTTP, switched off for the ports that do not need them, so that a server
//! which speaks first is not waited for (spec 4.2; row L14).

use std::collections::BTreeMap;

use proto::envoy::listener::{
    FilterChain, ListenerFilter, ListenerFilterChainMatchPredicate as Predicate,
    listener_filter_chain_match_predicate::{MatchSet, Rule},
};
use proto::envoy::types::Int32Range;

use crate::listener::inspector;

/// What the chains of one port need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Needs {
    tls: bool,
    http: bool,
}

/// The inspectors of these chains.
pub(super) fn filters(chains: &[FilterChain]) -> Vec<ListenerFilter> {
    let needs = needs(chains);
    let mut filters = Vec::new();
    if needs.values().any(|needs| needs.tls) {
        filters.push(ListenerFilter { filter_disabled: without_tls(&needs), ..inspector::tls() });
    }
    if needs.values().any(|needs| needs.http) {
        let ports = ports(&needs, |needs| !needs.http);
        filters.push(ListenerFilter { filter_disabled: any_of(&ports), ..inspector::http() });
    }
    filters
}

/// By port; 0 stands for all ports that are not named.
fn needs(chains: &[FilterChain]) -> BTreeMap<u32, Needs> {
    let mut by_port: BTreeMap<u32, Needs> = BTreeMap::new();
    for matched in chains.iter().filter_map(|chain| chain.filter_chain_match.as_ref()) {
        let port = matched.destination_port.as_ref().map_or(0, |port| port.value);
        let needs = by_port.entry(port).or_default();
        needs.tls |= matched.transport_protocol == "tls";
        needs.http |= matched.application_protocols.iter().any(|name| name == "http/1.1" || name == "h2c");
    }
    by_port
}

/// Where unnamed ports need it, the ports that do not are listed; else all ports but those that do.
fn without_tls(needs: &BTreeMap<u32, Needs>) -> Option<Predicate> {
    if needs.get(&0).is_some_and(|needs| needs.tls) {
        return any_of(&ports(needs, |needs| !needs.tls));
    }
    let ports = any_of(&ports(needs, |needs| needs.tls))?;
    Some(Predicate { rule: Some(Rule::NotMatch(Box::new(ports))) })
}

fn ports(needs: &BTreeMap<u32, Needs>, of: impl Fn(Needs) -> bool) -> Vec<u32> {
    needs.iter().filter(|(_, needs)| of(**needs)).map(|(port, _)| *port).collect()
}

fn any_of(ports: &[u32]) -> Option<Predicate> {
    match ports {
        [] => None,
        [port] => Some(one(*port)),
        ports => Some(Predicate {
            rule: Some(Rule::OrMatch(MatchSet { rules: ports.iter().map(|port| one(*port)).collect() })),
        }),
    }
}

fn one(port: u32) -> Predicate {
    let start = i32::try_from(port).unwrap_or(i32::MAX - 1);
    Predicate { rule: Some(Rule::DestinationPortRange(Int32Range { start, end: start + 1 })) }
}
