//! Endpoints in other networks are reached through the gateways of these (spec 2.5; rows E16, E17): the weight of each
//! is split over the gateways, which stand in the locality of the endpoints behind them.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::{Endpoint, EndpointAddress, NetworkGateway, NetworkGateways, with_topology};
use model::{Labels, Locality};
use scope::IpFamilies;

use super::group::{Group, Member};
use crate::Context;

/// Where the proxy is, and the ways into other networks.
#[derive(Clone, Debug, Hash)]
pub(super) struct Rule {
    gateways: Arc<NetworkGateways>,
    network: String,
    ip_families: IpFamilies,
}

impl Rule {
    /// None without any gateway: then all is reached directly.
    pub(super) fn select(ctx: &Context<'_>, resolves_names: bool) -> Option<Self> {
        let gateways = ctx.reader.network_gateways(resolves_names);
        let class = ctx.class();
        (!gateways.is_empty()).then(|| Self {
            gateways,
            network: class.network.clone(),
            ip_families: class.ip_families,
        })
    }

    /// Whether the proxy's address families reach a gateway.
    fn reaches(&self, gateway: &NetworkGateway) -> bool {
        let IpFamilies { v4, v6, .. } = self.ip_families;
        v4 == v6 || gateway.ip().is_some_and(|ip| if ip.to_canonical().is_ipv4() { v4 } else { v6 })
    }

    /// The group with gateways in place of endpoints in other networks.
    pub(super) fn apply<'a>(&self, group: Group<'a>) -> Group<'a> {
        let mut members = Vec::new();
        let mut gateway_weights: BTreeMap<&NetworkGateway, u32> = BTreeMap::new();
        for mut member in group.members {
            member.weight = member.weight.saturating_mul(self.gateways.scale());
            let network = &member.endpoint.network;
            let mut gateways = self.gateways.of(network, &member.endpoint.cluster);
            if network.is_empty() || *network == self.network || gateways.is_empty() {
                if !matches!(member.endpoint.address, EndpointAddress::Network(_)) {
                    members.push(member);
                }
                continue;
            }
            gateways.retain(|gateway| self.reaches(gateway));
            if gateways.is_empty() || !member.speaks_mutual_tls() {
                continue;
            }
            let share = member.weight / u32::try_from(gateways.len()).unwrap_or(1);
            for gateway in gateways {
                let weight = gateway_weights.entry(gateway).or_default();
                *weight = weight.saturating_add(share);
            }
        }
        members.extend(gateway_weights.into_iter().map(|(gateway, weight)| stand_in(gateway, weight.max(1))));
        Group::new(group.locality, members, group.priority)
    }
}

/// A gateway as an endpoint.
fn stand_in<'a>(gateway: &NetworkGateway, weight: u32) -> Member<'a> {
    let NetworkGateway { address, port, network, cluster } = gateway;
    let labels = with_topology(&Labels::default(), cluster, &Locality::default(), "", network);
    let address = address.clone();
    let endpoint = Endpoint {
        address: match gateway.ip() {
            Some(_) => EndpointAddress::Ip(address, *port),
            None => EndpointAddress::Host(address, *port),
        },
        labels,
        network: network.clone(),
        cluster: cluster.clone(),
        tls_mode: "istio".to_owned(),
        ..Endpoint::default()
    };
    Member { endpoint: Cow::Owned(endpoint), weight, mutual_tls: true }
}
