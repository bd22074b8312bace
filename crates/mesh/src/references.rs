//! VirtualServices that name destinations without a service. The routes stand as they are, since the missing part may still come; users are told (spec 3.4).

use model::{Host, Issue, Namespace};
use proto::istio::networking as api;

use crate::Mesh;
use crate::virtual_service::resolve_host;

impl Mesh {
    /// What refers to nothing, object by object. Looks at every VirtualService.
    pub fn dangling_references(&self) -> Vec<Issue> {
        let mut issues = Vec::new();
        for object in self.store().virtual_services() {
            let namespace = &object.meta.namespace;
            let mut tell = |path: String, what: String| {
                issues.push(Issue {
                    object: format!("VirtualService {namespace}/{}", object.meta.name),
                    path,
                    message: format!("there is no {what} (the object is from {})", object.source),
                });
            };
            for (path, host) in destinations(&object.spec) {
                if !self.has_service(host, namespace) {
                    tell(path, format!("service {host}"));
                }
            }
        }
        issues.extend(self.hosts_of_everything());
        issues
    }

    /// The host `*` where sidecars would need it: there it is left out, since they have a rule for unknown hosts.
    fn hosts_of_everything(&self) -> Vec<Issue> {
        let store = self.store();
        let services = store.virtual_services().iter().filter(|object| {
            object.spec.gateways.is_empty() || object.spec.gateways.iter().any(|gateway| gateway == "mesh")
        });
        let rows = services.map(|object| ("VirtualService", &object.meta, &object.spec.hosts));
        let entries = store.service_entries().iter();
        rows.chain(entries.map(|object| ("ServiceEntry", &object.meta, &object.spec.hosts)))
            .filter_map(|(kind, meta, hosts)| {
                let index = hosts.iter().position(|host| host == "*")?;
                Some(Issue {
                    object: format!("{kind} {}/{}", meta.namespace, meta.name),
                    path: format!("spec.hosts[{index}]"),
                    message: "`*` cannot be a host in the mesh; sidecars do without it".to_owned(),
                })
            })
            .collect()
    }

    fn has_service(&self, host: &str, namespace: &Namespace) -> bool {
        let host = resolve_host(host, namespace, &self.settings().domain).to_lowercase();
        let covers = |known: &str| known.strip_prefix('*').is_some_and(|suffix| host.ends_with(suffix));
        self.services().by_host(&Host::from(host.as_str())).next().is_some()
            || self.all_services().iter().any(|service| covers(service.host.as_str()))
    }
}

/// The hosts that routes lead to, with their paths.
fn destinations(spec: &api::VirtualService) -> Vec<(String, &str)> {
    let http = spec.http.iter().enumerate().flat_map(|(index, route)| {
        let of = route.route.iter().map(|one| one.destination.as_ref());
        of.enumerate().map(move |(at, to)| (format!("spec.http[{index}].route[{at}].destination.host"), to))
    });
    let tcp = spec.tcp.iter().enumerate().flat_map(|(index, route)| {
        let of = route.route.iter().map(|one| one.destination.as_ref());
        of.enumerate().map(move |(at, to)| (format!("spec.tcp[{index}].route[{at}].destination.host"), to))
    });
    let tls = spec.tls.iter().enumerate().flat_map(|(index, route)| {
        let of = route.route.iter().map(|one| one.destination.as_ref());
        of.enumerate().map(move |(at, to)| (format!("spec.tls[{index}].route[{at}].destination.host"), to))
    });
    let named = http.chain(tcp).chain(tls);
    named.filter_map(|(path, to)| Some((path, to?.host.as_str()))).collect()
}
