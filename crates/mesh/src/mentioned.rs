//! Which label and metadata keys of workloads configuration mentions at all. Only these can make two proxies differ,
//! so only these enter the class of a proxy; a label that every pod has a value of its own for, such as the pod name
//! of a StatefulSet, would otherwise make each a class of one.

use std::collections::{BTreeMap, BTreeSet};

use config::{ConfigStore, Kind};
use proto::istio::networking::{DestinationRule, LoadBalancerSettings, TrafficPolicy, VirtualService};
use proto::istio::types::WorkloadSelector;

use crate::{MeshSettings, Question, Reader, Service, TrafficDistribution};

/// The label by which a node is known.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// Keys that some selector, source match or locality setting names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MentionedKeys {
    /// Label keys.
    pub labels: BTreeSet<String>,
    /// Those of them that can make a difference to what a workload calls, not only to what it serves.
    pub outbound: BTreeSet<String>,
    /// Keys of node metadata, from EnvoyFilters.
    pub metadata: BTreeSet<String>,
    /// Whether the node that a proxy runs on can make a difference.
    pub node: bool,
}

impl MentionedKeys {
    /// The kinds that mention keys.
    pub(crate) const FED_BY: &'static [Kind] = &[
        Kind::Sidecar,
        Kind::EnvoyFilter,
        Kind::DestinationRule,
        Kind::VirtualService,
        Kind::Gateway,
        Kind::PeerAuthentication,
        Kind::RequestAuthentication,
        Kind::AuthorizationPolicy,
        Kind::Telemetry,
        Kind::WasmPlugin,
        Kind::TrafficExtension,
        Kind::ProxyConfig,
    ];

    /// Collects the keys of all objects.
    pub(crate) fn build<'s>(
        store: &ConfigStore,
        settings: &MeshSettings,
        services: impl Iterator<Item = &'s Service>,
    ) -> Self {
        let mut keys = Self::default();
        for sidecar in store.sidecars() {
            keys.add_outbound(sidecar.spec.workload_selector.iter().map(|s| &s.labels));
        }
        for filter in store.envoy_filters() {
            keys.add_outbound(filter.spec.workload_selector.iter().map(|s| &s.labels));
            let proxies =
                filter.spec.config_patches.iter().filter_map(|patch| patch.r#match.as_ref()?.proxy.as_ref());
            keys.metadata.extend(proxies.flat_map(|proxy| proxy.metadata.keys().cloned()));
        }
        for gateway in store.gateways() {
            keys.add_outbound(std::iter::once(&gateway.spec.selector));
        }
        let selectors: Vec<&Option<WorkloadSelector>> = store
            .peer_authentications()
            .iter()
            .map(|o| &o.spec.selector)
            .chain(store.request_authentications().iter().map(|o| &o.spec.selector))
            .chain(store.authorization_policies().iter().map(|o| &o.spec.selector))
            .chain(store.telemetries().iter().map(|o| &o.spec.selector))
            .chain(store.wasm_plugins().iter().map(|o| &o.spec.selector))
            .chain(store.traffic_extensions().iter().map(|o| &o.spec.selector))
            .chain(store.proxy_configs().iter().map(|o| &o.spec.selector))
            .collect();
        keys.add(selectors.into_iter().flatten().map(|s| &s.match_labels));
        let rules = store.destination_rules().iter().filter_map(|o| o.spec.workload_selector.as_ref());
        keys.add_outbound(rules.map(|s| &s.match_labels));
        for service in store.virtual_services() {
            keys.add_outbound(source_labels(&service.spec));
        }
        let of_mesh = settings.config.locality_lb_setting.iter().flat_map(|s| &s.failover_priority);
        let of_rules = store.destination_rules().iter().flat_map(|rule| failover_priorities(&rule.spec));
        let priorities: Vec<&String> = of_mesh.chain(of_rules).collect();
        keys.outbound
            .extend(priorities.into_iter().map(|p| p.split('=').next().unwrap_or_default().to_owned()));
        keys.labels.extend(keys.outbound.iter().cloned());
        keys.node = keys.labels.contains(HOSTNAME)
            || services.into_iter().any(|service| {
                service.kubernetes.node_local
                    || service.traffic_distribution == TrafficDistribution::PreferSameNode
            });
        keys
    }

    fn add_outbound<'a>(&mut self, selectors: impl Iterator<Item = &'a BTreeMap<String, String>>) {
        self.outbound.extend(selectors.flat_map(|labels| labels.keys().cloned()));
    }

    fn add<'a>(&mut self, selectors: impl Iterator<Item = &'a BTreeMap<String, String>>) {
        self.labels.extend(selectors.flat_map(|labels| labels.keys().cloned()));
    }
}

fn source_labels(spec: &VirtualService) -> impl Iterator<Item = &BTreeMap<String, String>> {
    let http = spec.http.iter().flat_map(|route| &route.r#match).map(|m| &m.source_labels);
    let tcp = spec.tcp.iter().flat_map(|route| &route.r#match).map(|m| &m.source_labels);
    let tls = spec.tls.iter().flat_map(|route| &route.r#match).map(|m| &m.source_labels);
    http.chain(tcp).chain(tls)
}

fn failover_priorities(rule: &DestinationRule) -> impl Iterator<Item = &String> {
    let policies =
        rule.traffic_policy.iter().chain(rule.subsets.iter().filter_map(|s| s.traffic_policy.as_ref()));
    policies
        .flat_map(load_balancers)
        .filter_map(|lb| lb.locality_lb_setting.as_ref())
        .flat_map(|s| &s.failover_priority)
}

fn load_balancers(policy: &TrafficPolicy) -> impl Iterator<Item = &LoadBalancerSettings> {
    let of_ports = policy.port_level_settings.iter().filter_map(|port| port.load_balancer.as_ref());
    policy.load_balancer.iter().chain(of_ports)
}

impl<'m> Reader<'m> {
    /// The label and metadata keys that configuration mentions.
    pub fn mentioned_keys(&self) -> &'m MentionedKeys {
        self.note(&Question::MentionedKeys);
        self.mesh().mentioned_keys()
    }
}
