//! Which endpoints a client reaches by mutual TLS (spec 2.2; rows E03, E04): what its DestinationRule says, else
//! whether the endpoint has a proxy and its PeerAuthentication does not forbid it on its port.

use mesh::{Endpoint, EndpointAddress, MtlsMode, NamespaceMtls, Service};
use proto::istio::networking::DestinationRule;

use super::destination_policy;
use crate::Context;

/// How it is decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// The client's DestinationRule says so.
    Stated(bool),
    /// Every endpoint for itself.
    OfEndpoint(NamespaceMtls),
}

impl Rule {
    pub(super) fn select(
        ctx: &Context<'_>,
        service: &Service,
        port: u32,
        subset: &str,
        rule: Option<&DestinationRule>,
    ) -> Self {
        match rule.and_then(|rule| destination_policy::mutual_tls(rule, subset, port)) {
            Some(stated) => Self::Stated(stated),
            None => Self::OfEndpoint(ctx.reader.namespace_mtls(&service.namespace)),
        }
    }

    pub(super) fn holds_for(&self, endpoint: &Endpoint) -> bool {
        let policies = match self {
            Self::Stated(stated) => return *stated,
            Self::OfEndpoint(policies) => policies,
        };
        let port = match &endpoint.address {
            EndpointAddress::Ip(_, port)
            | EndpointAddress::Host(_, port)
            | EndpointAddress::Network(port) => *port,
            EndpointAddress::Pipe(_) => 0,
        };
        endpoint.tls_mode == "istio" && policies.workload(&endpoint.labels).of_port(port) != MtlsMode::Disable
    }
}
