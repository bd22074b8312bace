//! What refers to nothing: services, ports, subsets, Gateways and providers that objects name. What is made of such
//! objects stands as it is, since the missing part may still come; users are told (spec 3.4; row T17).

use std::collections::BTreeSet;
use std::sync::Arc;

use config::Object;
use model::{Findings, Host, Namespace, findings};
use proto::istio::networking as api;

use crate::virtual_service::{MESH_GATEWAY, resolve_host};
use crate::{Mesh, Service};

mod objects;
mod servers;
#[cfg(test)]
mod tests;
mod weights;

impl Mesh {
    /// What does not fit together, object by object. Looks at every object of some kinds.
    pub fn findings(&self) -> Findings {
        let mut found = Findings::default();
        for object in self.store().virtual_services() {
            self.destinations_of(object, &mut found);
            self.gateways_of(object, &mut found);
        }
        self.hosts_of_rules(&mut found);
        for (host, object, subset, older) in self.destination_rules().duplicate_subsets() {
            found.count(findings::DUPLICATE_SUBSETS, host.to_string());
            let message = format!(
                "subset {subset} is declared for {host} by the older DestinationRule {older} too; this one is left out"
            );
            found.tell(object, "spec.subsets", message);
        }
        self.providers(&mut found);
        self.custom_providers(&mut found);
        self.log_filters(&mut found);
        self.log_formats(&mut found);
        self.hash_keys(&mut found);
        self.hosts_of_everything(&mut found);
        self.entries(&mut found);
        self.sidecar_hosts(&mut found);
        self.sidecar_listeners(&mut found);
        self.servers(&mut found);
        self.hosts_of_gateways(&mut found);
        self.weights(&mut found);
        found
    }

    /// How many endpoints say that they are not ready.
    pub fn n_unready_endpoints(&self) -> usize {
        self.endpoints().n_unready()
    }

    fn destinations_of(&self, object: &Object<api::VirtualService>, found: &mut Findings) {
        let namespace = &object.meta.namespace;
        for (path, to) in destinations(&object.spec) {
            let mut tell = |field: &str, what: String| {
                let message = format!("there is no {what} (the object is from {})", object.source);
                found.tell(owner("VirtualService", &object.meta), format!("{path}.{field}"), message);
            };
            let host = self.host_of(&to.host, namespace);
            let services: Vec<&Arc<Service>> = self.services().by_host(&host).collect();
            if services.is_empty() {
                if !self.is_covered(&host) {
                    tell("host", format!("service {}", to.host));
                }
                continue;
            }
            let number = to.port.as_ref().map_or(0, |port| port.number);
            let is_alias = services.iter().any(|service| service.resolution == crate::Resolution::Alias);
            if number != 0 && !is_alias && services.iter().all(|service| service.port(number).is_none()) {
                tell("port.number", format!("port {number} of service {}", to.host));
            }
            if !to.subset.is_empty() && !is_alias && !self.has_subset(object, &host, &services, &to.subset) {
                tell("subset", format!("subset {} of {} in a DestinationRule", to.subset, to.host));
            }
        }
    }

    /// Whether callers, in the namespace of the route, of its Gateways or of the service, find the subset.
    fn has_subset(
        &self,
        object: &Object<api::VirtualService>,
        host: &Host,
        services: &[&Arc<Service>],
        subset: &str,
    ) -> bool {
        let mut namespaces =
            BTreeSet::from([object.meta.namespace.clone(), self.settings().root_namespace()]);
        namespaces.extend(services.iter().map(|service| service.namespace.clone()));
        let of_gateways = object.spec.gateways.iter().filter_map(|gateway| gateway.split_once('/'));
        namespaces.extend(of_gateways.map(|(namespace, _)| Namespace::from(namespace)));
        self.destination_rules().has_subset(&namespaces, host, subset)
    }

    fn gateways_of(&self, object: &Object<api::VirtualService>, found: &mut Findings) {
        let own = object.spec.gateways.iter().enumerate();
        let of_matches = object.spec.http.iter().enumerate().flat_map(|(route, http)| {
            http.r#match.iter().enumerate().flat_map(move |(at, wanted)| {
                let path = move |index| format!("spec.http[{route}].match[{at}].gateways[{index}]");
                wanted.gateways.iter().enumerate().map(move |(index, gateway)| (path(index), gateway))
            })
        });
        let all = own.map(|(index, gateway)| (format!("spec.gateways[{index}]"), gateway)).chain(of_matches);
        for (path, gateway) in all.filter(|(_, gateway)| *gateway != MESH_GATEWAY) {
            let own: &str = &object.meta.namespace;
            let (namespace, name) = match gateway.split_once('/') {
                Some((".", name)) => (own, name),
                Some(parts) => parts,
                None => (own, gateway.as_str()),
            };
            if self.store().gateways().get(namespace, name).is_none() {
                let message =
                    format!("there is no Gateway {namespace}/{name} (the object is from {})", object.source);
                found.tell(owner("VirtualService", &object.meta), path, message);
            }
        }
    }

    fn hosts_of_rules(&self, found: &mut Findings) {
        for object in self.store().destination_rules() {
            let host = self.host_of(&object.spec.host, &object.meta.namespace);
            if host.is_wildcard() || self.services().by_host(&host).next().is_some() || self.is_covered(&host)
            {
                continue;
            }
            let message =
                format!("there is no service {} (the object is from {})", object.spec.host, object.source);
            found.tell(owner("DestinationRule", &object.meta), "spec.host", message);
        }
    }

    /// Providers that Telemetry objects name and the mesh configuration does not define.
    fn providers(&self, found: &mut Findings) {
        let defined = &self.settings().config.extension_providers;
        let is_known = |name: &str| defined.iter().any(|known| known.name.eq_ignore_ascii_case(name));
        for object in self.store().telemetries() {
            let spec = &object.spec;
            let tracing = spec.tracing.iter().enumerate().map(|(at, one)| ("tracing", at, &one.providers));
            let metrics = spec.metrics.iter().enumerate().map(|(at, one)| ("metrics", at, &one.providers));
            let logs =
                spec.access_logging.iter().enumerate().map(|(at, one)| ("accessLogging", at, &one.providers));
            for (part, at, providers) in tracing.chain(metrics).chain(logs) {
                for (index, provider) in providers.iter().enumerate().filter(|(_, one)| !is_known(&one.name))
                {
                    let message = format!(
                        "the mesh configuration defines no extension provider {}; it gets nothing (the object is from {})",
                        provider.name, object.source
                    );
                    let path = format!("spec.{part}[{at}].providers[{index}].name");
                    found.tell(owner("Telemetry", &object.meta), path, message);
                }
            }
        }
    }

    /// The host `*` where sidecars would need it: there it is left out, since they have a rule for unknown hosts.
    fn hosts_of_everything(&self, found: &mut Findings) {
        let store = self.store();
        let services = store.virtual_services().iter().filter(|object| {
            object.spec.gateways.is_empty()
                || object.spec.gateways.iter().any(|gateway| gateway == MESH_GATEWAY)
        });
        let rows = services.map(|object| ("VirtualService", &object.meta, &object.spec.hosts));
        let entries = store.service_entries().iter();
        let rows = rows.chain(entries.map(|object| ("ServiceEntry", &object.meta, &object.spec.hosts)));
        for (kind, meta, hosts) in rows {
            if let Some(index) = hosts.iter().position(|host| host == "*") {
                let message = "`*` cannot be a host in the mesh; sidecars do without it";
                found.tell(owner(kind, meta), format!("spec.hosts[{index}]"), message);
            }
        }
    }

    fn host_of(&self, host: &str, namespace: &Namespace) -> Host {
        Host::from(resolve_host(host, namespace, &self.settings().domain).to_lowercase())
    }

    /// Whether a service with a wildcard stands for the host.
    fn is_covered(&self, host: &Host) -> bool {
        let covers = |known: &str| known.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
        self.all_services().iter().any(|service| covers(service.host.as_str()))
    }
}

fn owner(kind: &str, meta: &config::Meta) -> String {
    format!("{kind} {}/{}", meta.namespace, meta.name)
}

/// Where routes lead to, with the paths.
fn destinations(spec: &api::VirtualService) -> Vec<(String, &api::Destination)> {
    fn routes<'a>(
        kind: &'static str,
        index: usize,
        destinations: impl Iterator<Item = Option<&'a api::Destination>> + 'a,
    ) -> impl Iterator<Item = (String, Option<&'a api::Destination>)> + 'a {
        destinations
            .enumerate()
            .map(move |(at, to)| (format!("spec.{kind}[{index}].route[{at}].destination"), to))
    }
    let http = spec.http.iter().enumerate().flat_map(|(index, route)| {
        let mirrors = route.mirrors.iter().enumerate().map(move |(at, mirror)| {
            (format!("spec.http[{index}].mirrors[{at}].destination"), mirror.destination.as_ref())
        });
        routes("http", index, route.route.iter().map(|one| one.destination.as_ref()))
            .chain([(format!("spec.http[{index}].mirror"), route.mirror.as_ref())])
            .chain(mirrors)
    });
    let tcp = spec.tcp.iter().enumerate();
    let tcp = tcp.flat_map(|(index, route)| {
        routes("tcp", index, route.route.iter().map(|one| one.destination.as_ref()))
    });
    let tls = spec.tls.iter().enumerate();
    let tls = tls.flat_map(|(index, route)| {
        routes("tls", index, route.route.iter().map(|one| one.destination.as_ref()))
    });
    http.chain(tcp).chain(tls).filter_map(|(path, to)| Some((path, to?))).collect()
}
