//! Consistent hashing of a DestinationRule as Envoy's hash policy (spec 3.4 "DR hash", row R24).

use std::sync::Arc;

use mesh::{Fact, MergedDestinationRule};
use model::Fingerprint;
use proto::envoy::route::route_action::HashPolicy;
use proto::envoy::route::route_action::hash_policy::{
    ConnectionProperties, Cookie, CookieAttribute, Header, PolicySpecifier, QueryParameter,
};
use proto::istio::networking as api;
use proto::istio::networking::load_balancer_settings::consistent_hash_lb::HashKey;
use proto::istio::networking::load_balancer_settings::{ConsistentHashLb, LbPolicy};

use super::timeout::duration;

/// The settings as the user wrote them.
pub(super) type ConsistentHash = ConsistentHashLb;

/// The policy, when the settings say by what to hash. A name that is empty says nothing; its owner is told.
pub(super) fn policy(hash: &ConsistentHash) -> Option<HashPolicy> {
    let specifier = match hash.hash_key.as_ref()? {
        HashKey::HttpHeaderName(name) | HashKey::HttpQueryParameterName(name) if name.is_empty() => {
            return None;
        }
        HashKey::HttpCookie(cookie) if cookie.name.is_empty() => return None,
        HashKey::HttpHeaderName(name) => {
            PolicySpecifier::Header(Header { header_name: name.clone(), ..Default::default() })
        }
        HashKey::HttpCookie(cookie) => PolicySpecifier::Cookie(Cookie {
            name: cookie.name.clone(),
            path: cookie.path.clone(),
            ttl: cookie.ttl.as_ref().map(duration),
            attributes: cookie
                .attributes
                .iter()
                .map(|attribute| CookieAttribute {
                    name: attribute.name.clone(),
                    value: attribute.value.clone(),
                })
                .collect(),
        }),
        HashKey::UseSourceIp(source_ip) => {
            PolicySpecifier::ConnectionProperties(ConnectionProperties { source_ip: *source_ip })
        }
        HashKey::HttpQueryParameterName(name) => {
            PolicySpecifier::QueryParameter(QueryParameter { name: name.clone() })
        }
    };
    Some(HashPolicy { policy_specifier: Some(specifier), ..Default::default() })
}

/// What holds for the default route to a port of a service: the port's settings if they hash, else the rule's.
pub(super) fn of_service(rule: &MergedDestinationRule, port: u32) -> Option<Arc<Fact<ConsistentHash>>> {
    let policy = rule.spec.traffic_policy.as_ref()?;
    fact(of_port(&policy.port_level_settings, Some(port)).or_else(|| of(policy.load_balancer.as_ref())))
}

/// What holds for a destination of a VirtualService: the most specific of the subset's port, the subset, the rule's
/// port, the rule. Port settings count only for a destination that states its port.
pub(super) fn of_destination(
    rule: &MergedDestinationRule,
    subset: &str,
    port: Option<u32>,
) -> Option<Arc<Fact<ConsistentHash>>> {
    let in_policy = |policy: Option<&api::TrafficPolicy>| {
        let policy = policy?;
        of_port(&policy.port_level_settings, port).or_else(|| of(policy.load_balancer.as_ref())).cloned()
    };
    let subset = rule.spec.subsets.iter().find(|known| known.name == subset);
    let found = subset
        .and_then(|subset| in_policy(subset.traffic_policy.as_ref()))
        .or_else(|| in_policy(rule.spec.traffic_policy.as_ref()));
    fact(found.as_ref())
}

fn fact(hash: Option<&ConsistentHash>) -> Option<Arc<Fact<ConsistentHash>>> {
    let hash = hash?;
    Some(Arc::new(Fact::new(hash.clone(), Fingerprint::of(&proto::pack::bytes(hash)))))
}

fn of(settings: Option<&api::LoadBalancerSettings>) -> Option<&ConsistentHash> {
    match settings?.lb_policy.as_ref()? {
        LbPolicy::ConsistentHash(hash) => Some(hash),
        LbPolicy::Simple(_) => None,
    }
}

fn of_port(
    settings: &[api::traffic_policy::PortTrafficPolicy],
    port: Option<u32>,
) -> Option<&ConsistentHash> {
    let port = port?;
    let found = settings.iter().find(|s| s.port.as_ref().is_some_and(|p| p.number == port))?;
    of(found.load_balancer.as_ref())
}
