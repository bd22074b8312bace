//! The endpoints of one service port for one class of proxies, by locality: which of them count, with which weight
//! and priority (spec 2.1). Load assignments and clusters that resolve names are made of it alike.

use std::borrow::Cow;
use std::collections::BTreeMap;

use mesh::{Endpoint, EndpointAddress, EndpointSet, Health, MergedDestinationRule, Service, ServicePort};
use proto::envoy;

use super::group::{self, Group, Member};
use super::{balance, cluster_local, destination_policy, mutual_tls, network};
use crate::Context;

/// By what endpoints belong to a service port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PortMatch {
    /// The port's name: load assignments.
    Name(String),
    /// Its number: clusters that resolve names (spec 2.6).
    Number(u32),
}

/// Everything that decides about the endpoints of one cluster.
#[derive(Clone, Debug, Hash)]
pub struct LocalitiesInput {
    endpoints: EndpointSet,
    port: PortMatch,
    subset: BTreeMap<String, String>,
    /// The node that endpoints must be on.
    node: Option<String>,
    /// The cluster that endpoints must be in.
    cluster: Option<String>,
    /// The networks that the proxy asks for; empty for all.
    network_view: Vec<String>,
    unhealthy: bool,
    draining: bool,
    draining_label: String,
    mutual_tls: mutual_tls::Rule,
    /// Only endpoints that take mutual TLS stay.
    mutual_tls_only: bool,
    networks: Option<network::Rule>,
    balance: Option<balance::Rule>,
    telemetry: bool,
}

impl LocalitiesInput {
    /// What decides about the endpoints of a port and subset of a service. `rule` is the client's DestinationRule.
    pub fn select(
        ctx: &Context<'_>,
        service: &Service,
        port: &ServicePort,
        subset: &str,
        rule: Option<&MergedDestinationRule>,
        matched: PortMatch,
    ) -> Self {
        let class = ctx.class();
        let features = &ctx.settings().features;
        let spec = rule.map(|rule| &rule.spec);
        let resolves_names = matches!(matched, PortMatch::Number(_));
        let is_local = cluster_local::is_cluster_local(&service.host, ctx.settings());
        Self {
            endpoints: ctx.reader.endpoints(&service.host, &service.namespace),
            port: matched,
            subset: spec.map(|spec| destination_policy::subset_labels(spec, subset)).unwrap_or_default(),
            node: service.kubernetes.node_local.then(|| class.node_name.clone()),
            cluster: (is_local || service.kubernetes.node_local).then(|| class.metadata.cluster_id.clone()),
            network_view: class.metadata.requested_network_view.clone(),
            unhealthy: service.sends_unhealthy_endpoints(features),
            draining: service.has_session_cookie(features),
            draining_label: features.draining_label.clone(),
            mutual_tls: mutual_tls::Rule::select(ctx, service, port.number, subset, spec),
            mutual_tls_only: false,
            networks: network::Rule::select(ctx, resolves_names),
            balance: balance::Rule::select(ctx, service, port.number, subset, spec),
            telemetry: features.telemetry_label,
        }
    }

    /// The same, but without endpoints that do not take mutual TLS (row E19).
    #[must_use]
    pub fn with_mutual_tls_only(mut self) -> Self {
        self.mutual_tls_only = true;
        self
    }

    /// The endpoints as Envoy reads them.
    pub fn render(&self) -> Vec<envoy::endpoint::LocalityLbEndpoints> {
        let members = self.endpoints.endpoints.iter().filter(|e| self.admits(e)).map(|endpoint| Member {
            endpoint: if self.is_marked_draining(endpoint) {
                Cow::Owned(Endpoint { health: Health::Draining, ..endpoint.clone() })
            } else {
                Cow::Borrowed(endpoint)
            },
            weight: endpoint.weight.max(1),
            mutual_tls: self.mutual_tls.holds_for(endpoint),
        });
        let mut groups = group::by_locality(members);
        if let Some(networks) = &self.networks {
            groups = groups.into_iter().map(|group| networks.apply(group)).collect();
        }
        if self.mutual_tls_only {
            groups = groups.into_iter().map(only_mutual_tls).collect();
        }
        if let Some(balance) = &self.balance {
            groups = balance.apply(groups);
        }
        groups.iter().map(|group| group.message(self.telemetry)).collect()
    }

    /// Whether no endpoint is let in at all.
    pub fn is_empty(&self) -> bool {
        !self.endpoints.endpoints.iter().any(|endpoint| self.admits(endpoint))
    }

    fn is_marked_draining(&self, endpoint: &Endpoint) -> bool {
        endpoint.labels.value(&self.draining_label).is_some_and(|value| !value.is_empty())
    }

    fn admits(&self, endpoint: &Endpoint) -> bool {
        let is_of_port = match &self.port {
            PortMatch::Name(name) => endpoint.port_name == *name,
            PortMatch::Number(number) => endpoint.service_port == *number,
        };
        let is_reachable = match &endpoint.address {
            EndpointAddress::Ip(..) | EndpointAddress::Pipe(_) => true,
            EndpointAddress::Host(..) => matches!(self.port, PortMatch::Number(_)),
            EndpointAddress::Network(_) => self.networks.is_some(),
        };
        let is_draining = endpoint.health == Health::Draining || self.is_marked_draining(endpoint);
        let is_in_health = match endpoint.health {
            Health::Unknown | Health::Healthy | Health::Draining => true,
            Health::Unhealthy => self.unhealthy,
            Health::Terminating => false,
        };
        let view = &self.network_view;
        is_of_port
            && is_reachable
            && is_in_health
            && (self.draining || !is_draining)
            && endpoint.labels.selected_by(&self.subset)
            && self.node.as_ref().is_none_or(|node| *node == endpoint.node_name)
            && self.cluster.as_ref().is_none_or(|cluster| *cluster == endpoint.cluster)
            && (view.is_empty() || endpoint.network.is_empty() || view.contains(&endpoint.network))
    }
}

fn only_mutual_tls(group: Group<'_>) -> Group<'_> {
    Group::new(
        group.locality,
        group.members.into_iter().filter(Member::speaks_mutual_tls).collect(),
        group.priority,
    )
}
