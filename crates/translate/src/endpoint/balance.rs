//! Preference by locality (spec 2.4; rows E10 to E14): which setting holds - the DestinationRule's, the service's
//! traffic distribution, the mesh's - and what it does to weights and priorities. A setting that does nothing leaves
//! the proxy's place out of the input, so that proxies everywhere share the result.

use std::collections::BTreeMap;

use mesh::{Service, TrafficDistribution, with_topology};
use model::{Labels, Locality};
use proto::istio::networking::{
    DestinationRule, LocalityLoadBalancerSetting, locality_load_balancer_setting::Distribute,
};

use super::group::Group;
use super::{destination_policy, distribute, failover};
use crate::Context;

const NETWORK: &str = "topology.istio.io/network";
const REGION: &str = "topology.kubernetes.io/region";
const ZONE: &str = "topology.kubernetes.io/zone";
const SUBZONE: &str = "topology.istio.io/subzone";
const HOST_NAME: &str = "kubernetes.io/hostname";

/// What is done for a proxy at its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Rule {
    /// Localities have these shares.
    Distribute(BTreeMap<String, u32>),
    /// The proxy's labels and the keys (or `key=value`) by which endpoints are near, then what a further failover
    /// by locality says.
    Priorities(Labels, Vec<String>, Option<Localities>),
    /// Nearer localities first.
    Failover(Localities),
}

/// Failover by locality: where the proxy is, and to which region its own fails over, if that is stated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Localities {
    pub(super) locality: Locality,
    pub(super) to: Option<String>,
}

impl Rule {
    pub(super) fn select(
        ctx: &Context<'_>,
        service: &Service,
        port: u32,
        subset: &str,
        rule: Option<&DestinationRule>,
    ) -> Option<Self> {
        let (balancer, outliers) =
            rule.map(|rule| destination_policy::balancing(rule, subset, port)).unwrap_or_default();
        let stated = balancer.and_then(|balancer| balancer.locality_lb_setting.as_ref());
        let distribution = distribution(service.traffic_distribution);
        if stated.is_none()
            && let Some(keys) = distribution
        {
            return Self::priorities(ctx, keys.iter().map(|key| (*key).to_owned()).collect(), None);
        }
        let setting = stated.or(ctx.settings().config.locality_lb_setting.as_ref())?;
        if setting.enabled.as_ref().is_some_and(|enabled| !enabled.value) {
            return None;
        }
        let locality = &ctx.class().locality;
        if !setting.distribute.is_empty() {
            let applies = |distribute: &&Distribute| distribute::covers(&distribute.from, locality);
            let shares = &setting.distribute.iter().find(applies)?.to;
            return Some(Self::Distribute(shares.iter().map(|(to, share)| (to.clone(), *share)).collect()));
        }
        if !outliers {
            return None;
        }
        if setting.failover_priority.is_empty() {
            return Some(Self::Failover(localities(setting, locality)));
        }
        let further = (!setting.failover.is_empty()).then(|| localities(setting, locality));
        Self::priorities(ctx, setting.failover_priority.clone(), further)
    }

    fn priorities(ctx: &Context<'_>, keys: Vec<String>, further: Option<Localities>) -> Option<Self> {
        let class = ctx.class();
        let labels = with_topology(
            &class.labels,
            &class.metadata.cluster_id,
            &class.locality,
            &class.node_name,
            &class.topology_network,
        );
        if labels.is_empty() {
            return None;
        }
        let asked = |label: &String| keys.iter().any(|key| key == label);
        let mentioned = labels.iter().filter(|(key, _)| asked(key)).map(|(k, v)| (k.clone(), v.clone()));
        Some(Self::Priorities(Labels::new(mentioned.collect()), keys, further))
    }

    pub(super) fn apply<'a>(&self, groups: Vec<Group<'a>>) -> Vec<Group<'a>> {
        match self {
            Self::Distribute(shares) => distribute::apply(shares, groups),
            Self::Priorities(labels, keys, further) => {
                let groups = failover::by_labels(labels, keys, groups);
                match further {
                    Some(localities) => failover::by_locality(localities, groups),
                    None => groups,
                }
            }
            Self::Failover(localities) => failover::by_locality(localities, groups),
        }
    }
}

fn localities(setting: &LocalityLoadBalancerSetting, locality: &Locality) -> Localities {
    let to = setting.failover.iter().find(|failover| failover.from == locality.region);
    Localities { locality: locality.clone(), to: to.map(|failover| failover.to.clone()) }
}

fn distribution(distribution: TrafficDistribution) -> Option<&'static [&'static str]> {
    match distribution {
        TrafficDistribution::Any => None,
        TrafficDistribution::PreferSameZone => Some(&[NETWORK, REGION, ZONE]),
        TrafficDistribution::PreferSameNode => Some(&[NETWORK, REGION, ZONE, SUBZONE, HOST_NAME]),
    }
}
