//! Which services a gateway sends something to, for meshes that give gateways no other clusters
//! (`PILOT_FILTER_GATEWAY_CLUSTER_CONFIG`; spec 1.1).

use std::collections::BTreeSet;

use mesh::Service;
use proto::istio::mesh::mesh_config::extension_provider::Provider;

use crate::ProxyScope;
use crate::services::destinations;

/// Services by host, some of one namespace only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routed {
    hosts: BTreeSet<String>,
    of_namespace: BTreeSet<(String, String)>,
}

impl Routed {
    /// What the routes that are bound to a router's Gateways name, extension providers, and what EnvoyFilters say they
    /// need. `None` where nothing is left out; a router that no Gateway selects needs nothing.
    pub fn of(scope: &ProxyScope) -> Option<Self> {
        if !scope.class.is_router() || !scope.settings.features.filter_gateway_cluster_config {
            return None;
        }
        let mut routed = Self::default();
        let Some(gateway) = &scope.gateway else { return Some(routed) };
        let names: BTreeSet<&str> =
            gateway.groups.iter().flat_map(|group| &group.servers).map(|server| &*server.gateway).collect();
        for vs in scope.egress.iter().flat_map(|listener| &listener.virtual_services) {
            if vs.gateways.iter().any(|name| names.contains(name.as_str())) {
                let hosts = destinations(vs, &scope.class.namespace);
                routed.hosts.extend(hosts.into_keys().map(|host| host.to_string()));
            }
        }
        let providers = scope.settings.config.extension_providers.iter();
        providers.filter_map(|provider| service_of(provider.provider.as_ref()?)).for_each(|s| routed.add(s));
        scope.envoy_patches.referenced_services.iter().for_each(|service| routed.add(service));
        Some(routed)
    }

    /// `host` or `namespace/host`.
    fn add(&mut self, service: &str) {
        match service.split_once('/') {
            Some((namespace, host)) => {
                self.of_namespace.insert((namespace.to_owned(), host.to_owned()));
            }
            None => {
                self.hosts.insert(service.to_owned());
            }
        }
    }

    /// Whether a service is among them.
    pub fn has(&self, service: &Service) -> bool {
        self.hosts.contains(&*service.host)
            || (!self.of_namespace.is_empty()
                && self.of_namespace.contains(&(service.namespace.to_string(), service.host.to_string())))
    }
}

/// The service that a provider is asked at.
fn service_of(provider: &Provider) -> Option<&str> {
    Some(match provider {
        Provider::EnvoyExtAuthzHttp(provider) => &provider.service,
        Provider::EnvoyExtAuthzGrpc(provider) => &provider.service,
        Provider::Zipkin(provider) => &provider.service,
        Provider::Lightstep(provider) => &provider.service,
        Provider::Datadog(provider) => &provider.service,
        Provider::Opencensus(provider) => &provider.service,
        Provider::Skywalking(provider) => &provider.service,
        Provider::Opentelemetry(provider) => &provider.service,
        Provider::EnvoyHttpAls(provider) => &provider.service,
        Provider::EnvoyTcpAls(provider) => &provider.service,
        Provider::EnvoyOtelAls(provider) => &provider.service,
        Provider::Prometheus(_) | Provider::Stackdriver(_) | Provider::EnvoyFileAccessLog(_) => return None,
        Provider::Sds(provider) => &provider.service,
    })
}
