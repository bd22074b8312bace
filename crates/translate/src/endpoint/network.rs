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
    pub(super) fn select(ctx: &Context<'_>) -> Option<Self> {
        let gateways = ctx.reader.network_gateways();
        let class = ctx.class();
        (!gateways.is_empty()).then(|| Self {
            gateways,
            network: class.network.clone(),
            ip_families: class.ip_families,
        })
    }

    /// Whether some gateway leads to the endpoint.
    pub(super) fn has_gateway(&self, endpoint: &Endpoint) -> bool {
        !self.gateways(endpoint).is_empty()
    }

    fn gateways(&self, endpoint: &Endpoint) -> Vec<&NetworkGateway> {
        let fits = |gateway: &&NetworkGateway| {
            if gateway.address.is_ipv4() { self.ip_families.v4 } else { self.ip_families.v6 }
        };
        self.gateways.of(&endpoint.network, &endpoint.cluster).into_iter().filter(fits).collect()
    }

    /// The group with gateways in place of endpoints in other networks.
    pub(super) fn apply<'a>(&self, group: Group<'a>) -> Group<'a> {
        let mut members = Vec::new();
        let mut gateway_weights: BTreeMap<&NetworkGateway, u32> = BTreeMap::new();
        for mut member in group.members {
            member.weight = member.weight.saturating_mul(self.gateways.scale());
            let gateways = self.gateways(&member.endpoint);
            let network = &member.endpoint.network;
            if network.is_empty() || *network == self.network || gateways.is_empty() {
                if !matches!(member.endpoint.address, EndpointAddress::Network(_)) {
                    members.push(member);
                }
                continue;
            }
            let mode = member.endpoint.tls_mode.as_str();
            if !member.mutual_tls || mode.is_empty() || mode == "disabled" {
                continue;
            }
            let share = member.weight / u32::try_from(gateways.len()).unwrap_or(1);
            for gateway in gateways {
                let weight = gateway_weights.entry(gateway).or_default();
                *weight = weight.saturating_add(share);
            }
        }
        members.extend(
            gateway_weights
                .into_iter()
                .filter(|(_, weight)| *weight > 0)
                .map(|(gateway, weight)| stand_in(gateway, weight)),
        );
        Group::new(group.locality, members, group.priority)
    }
}

/// A gateway as an endpoint.
fn stand_in<'a>(gateway: &NetworkGateway, weight: u32) -> Member<'a> {
    let NetworkGateway { address, port, network, cluster } = gateway;
    let labels = with_topology(&Labels::default(), cluster, &Locality::default(), "", network);
    let endpoint = Endpoint {
        address: EndpointAddress::Ip(address.to_string(), *port),
        labels,
        network: network.clone(),
        cluster: cluster.clone(),
        tls_mode: "istio".to_owned(),
        ..Endpoint::default()
    };
    Member { endpoint: Cow::Owned(endpoint), weight, mutual_tls: true }
}
