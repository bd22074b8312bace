//! What single objects say in vain, beyond what they refer to: ports that are none, hosts that an older ServiceEntry
//! has, names that are empty, expressions that are none, hosts of Sidecars that nobody has.

use std::collections::{BTreeMap, BTreeSet};

use model::{Findings, Host, Namespace};
use proto::istio::networking::load_balancer_settings::LbPolicy;
use proto::istio::networking::load_balancer_settings::consistent_hash_lb::HashKey;
use proto::istio::networking::service_entry::Resolution;
use proto::istio::networking::{TrafficPolicy, WorkloadEntry};
use proto::istio::security::authorization_policy::{Action, ActionDetail};

use super::owner;
use crate::Mesh;

impl Mesh {
    /// ServiceEntries: their ports, those of their endpoints, and hosts that an older one of the namespace has.
    pub(super) fn entries(&self, found: &mut Findings) {
        let mut by_age: Vec<_> = self.store().service_entries().iter().collect();
        by_age.sort_by_key(|object| (object.meta.creation, object.meta.name.clone()));
        let mut known: BTreeMap<(Namespace, Host), String> = BTreeMap::new();
        for object in by_age {
            let own = owner("ServiceEntry", &object.meta);
            for (index, port) in object.spec.ports.iter().enumerate() {
                if !is_port(port.number) {
                    let message = format!("{} is no port; it is left out", port.number);
                    found.tell(own.clone(), format!("spec.ports[{index}].number"), message);
                } else if let Some(at) =
                    object.spec.ports[..index].iter().position(|p| p.number == port.number)
                {
                    let message =
                        format!("port {} stands at spec.ports[{at}] already, which holds", port.number);
                    found.tell(own.clone(), format!("spec.ports[{index}].number"), message);
                }
            }
            for (index, address) in object.spec.addresses.iter().enumerate() {
                if address.parse::<ipnet::IpNet>().is_err() && address.parse::<std::net::IpAddr>().is_err() {
                    let message = format!("{address:?} is neither an IP address nor a range; it is left out");
                    found.tell(own.clone(), format!("spec.addresses[{index}]"), message);
                }
            }
            let is_static = object.spec.resolution() == Resolution::Static;
            for (index, endpoint) in object.spec.endpoints.iter().enumerate() {
                let path = format!("spec.endpoints[{index}]");
                ports_of(endpoint, &own, &path, found);
                let address = &endpoint.address;
                let is_remote = address.is_empty() && !endpoint.network.is_empty();
                let is_socket = address.starts_with("unix://");
                if is_static && !is_remote && !is_socket && address.parse::<std::net::IpAddr>().is_err() {
                    let message =
                        format!("{address:?} is no IP address, which STATIC needs; the endpoint is left out");
                    found.tell(own.clone(), format!("{path}.address"), message);
                }
            }
            for (index, host) in object.spec.hosts.iter().enumerate() {
                let key = (object.meta.namespace.clone(), Host::from(host.to_lowercase()));
                match known.get(&key) {
                    Some(older) if *older != own => {
                        let message = format!(
                            "{older} has this host too; it is older, so its settings hold, with those ports of this one that it lacks"
                        );
                        found.tell(own.clone(), format!("spec.hosts[{index}]"), message);
                    }
                    Some(_) => {}
                    None => {
                        known.insert(key, own.clone());
                    }
                }
            }
        }
        for object in self.store().workload_entries() {
            ports_of(&object.spec, &owner("WorkloadEntry", &object.meta), "spec", found);
        }
    }

    /// Hashing by something without a name does not hash.
    pub(super) fn hash_keys(&self, found: &mut Findings) {
        let mut check = |own: &str, path: &str, policy: &TrafficPolicy| {
            let of_ports = policy.port_level_settings.iter().enumerate();
            let of_ports = of_ports.map(|(index, port)| {
                (format!("{path}.portLevelSettings[{index}]"), port.load_balancer.as_ref())
            });
            for (path, balancer) in of_ports.chain([(path.to_owned(), policy.load_balancer.as_ref())]) {
                let Some(LbPolicy::ConsistentHash(hash)) = balancer.and_then(|b| b.lb_policy.as_ref()) else {
                    continue;
                };
                let field = match &hash.hash_key {
                    Some(HashKey::HttpHeaderName(name)) if name.is_empty() => "httpHeaderName",
                    Some(HashKey::HttpQueryParameterName(name)) if name.is_empty() => {
                        "httpQueryParameterName"
                    }
                    Some(HashKey::HttpCookie(cookie)) if cookie.name.is_empty() => "httpCookie.name",
                    _ => continue,
                };
                let path = format!("{path}.loadBalancer.consistentHash.{field}");
                found.tell(own.to_owned(), path, "is empty, so requests are not hashed");
            }
        };
        for object in self.store().destination_rules() {
            let own = owner("DestinationRule", &object.meta);
            if let Some(policy) = &object.spec.traffic_policy {
                check(&own, "spec.trafficPolicy", policy);
            }
            for (index, subset) in object.spec.subsets.iter().enumerate() {
                if let Some(policy) = &subset.traffic_policy {
                    check(&own, &format!("spec.subsets[{index}].trafficPolicy"), policy);
                }
            }
        }
    }

    /// Filters of access logs that are no expressions.
    pub(super) fn log_filters(&self, found: &mut Findings) {
        for object in self.store().telemetries() {
            for (index, logging) in object.spec.access_logging.iter().enumerate() {
                let Some(filter) = logging.filter.as_ref().filter(|filter| !filter.expression.is_empty())
                else {
                    continue;
                };
                if let Err(error) = proto::cel::check(&filter.expression) {
                    let message =
                        format!("is no expression of CEL, so what it would filter is not logged: {error}");
                    let path = format!("spec.accessLogging[{index}].filter.expression");
                    found.tell(owner("Telemetry", &object.meta), path, message);
                }
            }
        }
    }

    /// Formats of access logs in the mesh configuration that Envoy would refuse; the default one stands in for them.
    pub(super) fn log_formats(&self, found: &mut Findings) {
        use proto::istio::mesh::mesh_config::AccessLogEncoding;
        use proto::istio::mesh::mesh_config::extension_provider::Provider;
        use proto::istio::mesh::mesh_config::extension_provider::envoy_file_access_log_provider::log_format::LogFormat;
        let config = &self.settings().config;
        let own = format!("ConfigMap {}/{}", self.base().namespace, self.base().config_map_name());
        let mut check = |path: String, text: &str| {
            if let Some(reason) = proto::operators::refusal(text, &["REQ_WITHOUT_QUERY", "METADATA", "CEL"]) {
                found.tell(own.clone(), path, format!("{reason}; lines have the default format"));
            }
        };
        if config.access_log_encoding() == AccessLogEncoding::Text {
            check("mesh.accessLogFormat".to_owned(), &config.access_log_format);
        }
        for provider in &config.extension_providers {
            let Some(Provider::EnvoyFileAccessLog(file)) = &provider.provider else { continue };
            if let Some(LogFormat::Text(text)) = file.log_format.as_ref().and_then(|f| f.log_format.as_ref())
            {
                let name = &provider.name;
                check(format!("mesh.extensionProviders[{name}].envoyFileAccessLog.logFormat.text"), text);
            }
        }
    }

    /// Providers of authorization that are not defined: what such a policy covers is denied.
    pub(super) fn custom_providers(&self, found: &mut Findings) {
        let defined = &self.settings().config.extension_providers;
        for object in self.store().authorization_policies() {
            if object.spec.action() != Action::Custom {
                continue;
            }
            let name = match &object.spec.action_detail {
                Some(ActionDetail::Provider(provider)) => provider.name.as_str(),
                None => "",
            };
            if !defined.iter().any(|known| known.name == name) {
                let message = format!(
                    "the mesh configuration defines no extension provider {name:?}, so what the policy covers is denied"
                );
                found.tell(owner("AuthorizationPolicy", &object.meta), "spec.provider.name", message);
            }
        }
    }

    /// Hosts of Sidecars: an exact one that no service has, a namespace without services.
    pub(super) fn sidecar_hosts(&self, found: &mut Findings) {
        let namespaces: BTreeSet<&str> =
            self.all_services().iter().map(|service| &*service.namespace).collect();
        for object in self.store().sidecars() {
            for (listener, egress) in object.spec.egress.iter().enumerate() {
                for (index, written) in egress.hosts.iter().enumerate() {
                    let Some((namespace, name)) = written.split_once('/') else { continue };
                    let namespace = if namespace == "." { &*object.meta.namespace } else { namespace };
                    let message = if matches!(namespace, "*" | "~") {
                        None
                    } else if !namespaces.contains(namespace) {
                        Some(format!("there is no service in namespace {namespace}"))
                    } else {
                        let host = Host::from(name.to_lowercase());
                        let is_there = host.is_wildcard()
                            || self.services().by_host(&host).next().is_some()
                            || self.is_covered(&host);
                        (!is_there).then(|| format!("there is no service {name}"))
                    };
                    if let Some(message) = message {
                        let path = format!("spec.egress[{listener}].hosts[{index}]");
                        found.tell(owner("Sidecar", &object.meta), path, message);
                    }
                }
            }
        }
    }
}

fn is_port(number: u32) -> bool {
    (1..=65_535).contains(&number)
}

fn ports_of(endpoint: &WorkloadEntry, own: &str, path: &str, found: &mut Findings) {
    let broken: BTreeMap<_, _> = endpoint.ports.iter().filter(|(_, number)| !is_port(**number)).collect();
    for (name, number) in broken {
        let message = format!("{number} is no port; the endpoint is left out for it");
        found.tell(own.to_owned(), format!("{path}.ports.{name}"), message);
    }
}
