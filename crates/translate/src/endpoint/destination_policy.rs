//! What the DestinationRule of the client says about the endpoints of one port and subset: TLS, outlier detection,
//! load balancing (spec 1.4 and the quirks of 2.2).

use proto::istio::networking::{
    ClientTlsSettings, DestinationRule, LoadBalancerSettings, TrafficPolicy, client_tls_settings::TlSmode,
    traffic_policy::PortTrafficPolicy,
};

use crate::cluster::policy::EffectivePolicy;

/// Labels of a subset; none where it is unknown or selects everything.
pub(super) fn subset_labels(
    rule: &DestinationRule,
    subset: &str,
) -> std::collections::BTreeMap<String, String> {
    let found = rule.subsets.iter().find(|candidate| candidate.name == subset && !subset.is_empty());
    found
        .map(|subset| subset.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect())
        .unwrap_or_default()
}

/// Whether the rule demands (`true`) or excludes (`false`) mutual TLS. For a subset its own policy alone is asked; a
/// port entry without TLS falls back to the policy that it stands in.
pub(super) fn mutual_tls(rule: &DestinationRule, subset: &str, port: u32) -> Option<bool> {
    let policy = match subset {
        "" => rule.traffic_policy.as_ref(),
        name => rule.subsets.iter().find(|s| s.name == name).and_then(|s| s.traffic_policy.as_ref()),
    }?;
    let of_port = port_entry(policy, port).and_then(|entry| entry.tls.as_ref());
    let tls: &ClientTlsSettings = of_port.or(policy.tls.as_ref())?;
    Some(tls.mode() == TlSmode::IstioMutual)
}

/// Load balancing settings, and whether outliers are detected.
pub(super) fn balancing<'r>(
    rule: &'r DestinationRule,
    subset: &str,
    port: u32,
) -> (Option<&'r LoadBalancerSettings>, bool) {
    let found = rule.subsets.iter().find(|candidate| candidate.name == subset && !subset.is_empty());
    let of_subset = found.and_then(|subset| subset.traffic_policy.as_ref());
    let policy = EffectivePolicy::of_subset(rule.traffic_policy.as_ref(), of_subset, port);
    (policy.load_balancer, policy.outlier_detection.is_some())
}

fn port_entry(policy: &TrafficPolicy, port: u32) -> Option<&PortTrafficPolicy> {
    policy.port_level_settings.iter().find(|entry| entry.port.as_ref().is_some_and(|p| p.number == port))
}
