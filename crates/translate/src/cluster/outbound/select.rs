//! What a cluster depends on beside the service and the rule: accounts behind the service (rows C14, C16), how it takes
//! connections (row C13), and what a cluster of DNS names resolves (row C04).

use std::sync::Arc;

use istio::networking::TrafficPolicy;
use istio::networking::load_balancer_settings::SimpleLb;
use mesh::{MergedDestinationRule, MtlsMode, Resolution, Service, ServicePort};
use proto::istio;

use super::Purpose;
use crate::Context;
use crate::cluster::load_balancer;
use crate::endpoint::{LocalitiesInput, PortMatch};

pub(super) fn is_dynamic(service: &Service) -> bool {
    service.resolution == Resolution::DynamicDns && service.host.is_wildcard()
}

pub(super) fn passes_through(policy: Option<&TrafficPolicy>) -> bool {
    load_balancer::simple(policy.and_then(|policy| policy.load_balancer.as_ref())) == SimpleLb::Passthrough
}

/// The accounts behind a service and the names declared for it, once more for every alias of the trust domain.
pub(super) fn names(ctx: &Context<'_>, service: &Service, purpose: Purpose) -> Arc<[String]> {
    if purpose == Purpose::SniForwarding || is_dynamic(service) {
        return Arc::default();
    }
    let accounts = ctx.reader.service_accounts(&service.host, &service.namespace);
    let aliases = &ctx.settings().config.trust_domain_aliases;
    let mut names = std::collections::BTreeSet::new();
    for account in accounts.iter().chain(&service.subject_alt_names) {
        if let Some((_, path)) = account.strip_prefix("spiffe://").and_then(|rest| rest.split_once('/')) {
            names.extend(aliases.iter().map(|alias| format!("spiffe://{alias}/{path}")));
        }
        names.insert(account.clone());
    }
    names.into_iter().collect()
}

/// How the service takes connections, as far as clients can tell: connections that pass through cannot choose per
/// endpoint, so there one endpoint without mutual TLS is enough to leave it.
pub(super) fn mode(
    ctx: &Context<'_>,
    service: &Service,
    port: &ServicePort,
    policy: Option<&TrafficPolicy>,
) -> MtlsMode {
    if service.external {
        return MtlsMode::Unknown;
    }
    if service.resolution == Resolution::Passthrough || passes_through(policy) {
        let set = ctx.reader.endpoints(&service.host, &service.namespace);
        let mut behind = set.endpoints.iter().filter(|endpoint| endpoint.port_name == port.name).peekable();
        if behind.peek().is_none() || behind.any(|endpoint| endpoint.tls_mode == "disabled") {
            return MtlsMode::Disable;
        }
    }
    ctx.reader.namespace_mtls_mode(&service.namespace)
}

/// What a cluster of DNS names resolves; `None` for other types.
pub(super) fn endpoints(
    ctx: &Context<'_>,
    service: &Service,
    port: &ServicePort,
    rule: Option<&MergedDestinationRule>,
    subset: &str,
) -> Option<LocalitiesInput> {
    let resolves = matches!(service.resolution, Resolution::Dns | Resolution::DnsRoundRobin);
    resolves.then(|| {
        let matched = PortMatch::Number(port.number);
        LocalitiesInput::select(ctx, service, port, subset, rule, matched)
    })
}
