//! ClusterLoadAssignments (EDS, spec section 2): the endpoints behind one cluster, by locality.
//!
//! `localities` is the heart: what decides which endpoints count ([`LocalitiesInput`], also for clusters that resolve
//! names). The other files each answer one question about them: `mutual_tls`, `network`, `balance` with `distribute`
//! and `failover`, `cluster_local`, `destination_policy`.

mod balance;
mod cluster_local;
mod cluster_name;
mod destination_policy;
mod distribute;
mod failover;
mod group;
mod lb_endpoint;
mod localities;
mod mutual_tls;
mod network;
#[cfg(test)]
mod tests;

use mesh::Resolution;
use model::{Protocol, findings};
use proto::constraints::Violation;
use proto::envoy;

use crate::cluster::soundness;
use crate::{Context, Input, Rendered, Resource, fit};

pub use cluster_name::ClusterName;
pub use lb_endpoint::{address, lb_endpoint};
pub use localities::{LocalitiesInput, PortMatch};

/// The load assignment of one cluster.
#[derive(Hash)]
struct LoadAssignmentInput {
    cluster: String,
    localities: Option<LocalitiesInput>,
}

impl Input for LoadAssignmentInput {
    type Output = envoy::endpoint::ClusterLoadAssignment;

    const TAG: &'static str = "LoadAssignmentInput";

    fn render(&self) -> Rendered<Self::Output> {
        let endpoints = self.localities.as_ref().map(LocalitiesInput::render).unwrap_or_default();
        let cluster_name = self.cluster.clone();
        Self::Output { cluster_name, endpoints, ..Default::default() }.into()
    }

    fn mend(&self, message: &mut Self::Output, broken: &Violation) -> bool {
        fit::leave_out_endpoint(&mut message.endpoints, broken)
    }

    fn refusal(&self, message: &Self::Output) -> Option<Violation> {
        soundness::unresolved(&message.endpoints)
            .map(|path| Violation { path, reason: "the address is no IP address".to_owned() })
    }
}

/// The load assignment of one cluster, by its EDS service name; an unknown one is empty (row E23).
pub fn generate(ctx: &Context<'_>, cluster: &str) -> Option<Resource> {
    let name = ClusterName::parse(cluster);
    let known = name.and_then(|name| {
        let service = ctx.scope.service(name.host)?;
        // A number that UDP shares with another transport stands for the other one.
        let ports = || service.ports.iter().filter(|port| port.number == name.port);
        let port = ports().find(|port| port.protocol != Protocol::Udp).or_else(|| ports().next())?;
        Some((name, service, port))
    });
    let localities = match known {
        Some((_, service, _)) if resolves_names(service.resolution) => return None,
        Some((name, service, port)) => {
            let rule = ctx.scope.destination_rule(ctx.reader, service);
            let matched = PortMatch::Name(port.name.clone());
            let rule = rule.as_deref();
            let input = LocalitiesInput::select(ctx, service, port, name.subset, rule, matched);
            if input.is_empty() {
                ctx.count(findings::NO_INSTANCES, cluster);
            }
            Some(if name.server_name { input.with_mutual_tls_only() } else { input })
        }
        None => None,
    };
    Some(ctx.resource(cluster, &LoadAssignmentInput { cluster: cluster.to_owned(), localities }))
}

/// Clusters of such services carry their endpoints themselves.
fn resolves_names(resolution: Resolution) -> bool {
    match resolution {
        Resolution::Dns | Resolution::DnsRoundRobin | Resolution::DynamicDns => true,
        Resolution::ClientSideLb | Resolution::Passthrough | Resolution::Alias => false,
    }
}
