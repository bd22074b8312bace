//! Endpoints on their way into a load assignment: grouped by the text of their locality, with weights and priorities
//! (spec 2.1).

use std::borrow::Cow;
use std::collections::BTreeMap;

use mesh::Endpoint;
use model::Locality;
use proto::envoy;
use proto::envoy::google;

use super::lb_endpoint::lb_endpoint;

/// An endpoint that was let in.
#[derive(Clone, Debug)]
pub(super) struct Member<'a> {
    pub(super) endpoint: Cow<'a, Endpoint>,
    pub(super) weight: u32,
    pub(super) mutual_tls: bool,
}

impl Member<'_> {
    /// Whether clients will use mutual TLS for it.
    pub(super) fn speaks_mutual_tls(&self) -> bool {
        self.mutual_tls && self.endpoint.tls_mode == "istio"
    }
}

/// Endpoints of one locality.
#[derive(Clone, Debug)]
pub(super) struct Group<'a> {
    pub(super) locality: Locality,
    pub(super) members: Vec<Member<'a>>,
    /// None for a group that lost all its endpoints.
    pub(super) weight: Option<u32>,
    pub(super) priority: u32,
}

impl<'a> Group<'a> {
    /// A group whose weight is that of its members.
    pub(super) fn new(locality: Locality, members: Vec<Member<'a>>, priority: u32) -> Self {
        let weight = members.iter().fold(0_u32, |sum, member| sum.saturating_add(member.weight));
        let weight = (!members.is_empty()).then_some(weight);
        Self { locality, members, weight, priority }
    }

    /// The message.
    pub(super) fn message(&self, telemetry: bool) -> envoy::endpoint::LocalityLbEndpoints {
        let Locality { region, zone, subzone } = self.locality.clone();
        let message =
            |member: &Member<'_>| lb_endpoint(&member.endpoint, member.mutual_tls, member.weight, telemetry);
        envoy::endpoint::LocalityLbEndpoints {
            locality: Some(envoy::core::Locality { region, zone, sub_zone: subzone }),
            lb_endpoints: self.members.iter().filter_map(message).collect(),
            load_balancing_weight: self.weight.map(google::uint32),
            priority: self.priority,
            ..Default::default()
        }
    }
}

/// Groups in the order of their localities' texts.
pub(super) fn by_locality<'a>(members: impl IntoIterator<Item = Member<'a>>) -> Vec<Group<'a>> {
    let mut groups: BTreeMap<String, Vec<Member<'a>>> = BTreeMap::new();
    for member in members {
        groups.entry(member.endpoint.locality_label.clone()).or_default().push(member);
    }
    groups.into_iter().map(|(label, members)| Group::new(Locality::parse(&label), members, 0)).collect()
}
