//! Weights that mean nothing: negative ones, streams none of whose destinations has one, shares of localities that do
//! not add up; and routes that no request reaches. Weights of routes are shares of their sum, whatever that is.

use std::collections::BTreeMap;

use model::Findings;
use proto::istio::networking as api;
use proto::istio::networking::string_match::MatchType;

use super::owner;
use crate::Mesh;

impl Mesh {
    /// Weights of routes and localities.
    pub(super) fn weights(&self, found: &mut Findings) {
        for object in self.store().virtual_services() {
            let own = || owner("VirtualService", &object.meta);
            let spec = &object.spec;
            let mut everything = None;
            for (index, http) in spec.http.iter().enumerate() {
                let weights = http.route.iter().map(|to| to.weight);
                negative(weights, &own(), &format!("spec.http[{index}]"), found);
                match everything {
                    Some(at) => {
                        let message = format!("spec.http[{at}] takes every request, so none gets here");
                        found.tell(own(), format!("spec.http[{index}]"), message);
                    }
                    None if takes_everything(http) => everything = Some(index),
                    None => {}
                }
            }
            let tcp = spec.tcp.iter().enumerate().map(|(index, route)| ("tcp", index, &route.route));
            let tls = spec.tls.iter().enumerate().map(|(index, route)| ("tls", index, &route.route));
            for (kind, index, route) in tcp.chain(tls) {
                let path = format!("spec.{kind}[{index}]");
                negative(route.iter().map(|to| to.weight), &own(), &path, found);
                if route.len() > 1 && route.iter().all(|to| to.weight <= 0) {
                    found.tell(own(), path, "no destination has a weight; the route is left out");
                }
            }
        }
        for object in self.store().destination_rules() {
            let own = owner("DestinationRule", &object.meta);
            let spec = &object.spec;
            let policies = spec.traffic_policy.iter().map(|policy| ("spec".to_owned(), policy));
            let of_subsets = spec.subsets.iter().enumerate().filter_map(|(index, subset)| {
                Some((format!("spec.subsets[{index}]"), subset.traffic_policy.as_ref()?))
            });
            for (path, policy) in policies.chain(of_subsets) {
                let ports = policy.port_level_settings.iter().enumerate().map(|(index, port)| {
                    (format!(".portLevelSettings[{index}]"), port.load_balancer.as_ref())
                });
                for (inner, balancer) in ports.chain([(String::new(), policy.load_balancer.as_ref())]) {
                    let setting = balancer.and_then(|balancer| balancer.locality_lb_setting.as_ref());
                    let path = format!("{path}.trafficPolicy{inner}.loadBalancer.localityLbSetting");
                    shares(setting, &own, &path, found);
                }
            }
        }
        let own = format!("ConfigMap {}/{}", self.base().namespace, self.base().config_map_name());
        shares(self.settings().config.locality_lb_setting.as_ref(), &own, "mesh.localityLbSetting", found);
    }
}

fn negative(weights: impl Iterator<Item = i32>, own: &str, path: &str, found: &mut Findings) {
    for (at, weight) in weights.enumerate().filter(|(_, weight)| *weight < 0) {
        let message = format!("{weight} is no weight; the destination gets nothing");
        found.tell(own.to_owned(), format!("{path}.route[{at}].weight"), message);
    }
}

/// Shares of `distribute` are percentages.
fn shares(setting: Option<&api::LocalityLoadBalancerSetting>, own: &str, path: &str, found: &mut Findings) {
    for (index, distribute) in setting.iter().flat_map(|setting| &setting.distribute).enumerate() {
        let to: &BTreeMap<String, u32> = &distribute.to;
        let sum: u64 = to.values().map(|share| u64::from(*share)).sum();
        if sum != 100 {
            let message = format!("the shares add up to {sum}, not to 100; they count in proportion");
            found.tell(own.to_owned(), format!("{path}.distribute[{index}].to"), message);
        }
    }
}

/// Whether nothing comes behind such a route, whoever asks and whatever for. What delegates say is not known here.
fn takes_everything(http: &api::HttpRoute) -> bool {
    let is_every_path = |wanted: &api::HttpMatchRequest| {
        let is_every = match wanted.uri.as_ref().and_then(|uri| uri.match_type.as_ref()) {
            Some(MatchType::Prefix(prefix)) => prefix == "/",
            Some(MatchType::Regex(regex)) => regex == ".*",
            Some(MatchType::Exact(_)) => false,
            None => wanted.uri.is_none(),
        };
        let nothing_else = api::HttpMatchRequest {
            name: wanted.name.clone(),
            stat_prefix: wanted.stat_prefix.clone(),
            uri: wanted.uri.clone(),
            ignore_uri_case: wanted.ignore_uri_case,
            ..Default::default()
        };
        is_every && *wanted == nothing_else
    };
    http.delegate.is_none() && (http.r#match.is_empty() || http.r#match.iter().any(is_every_path))
}
