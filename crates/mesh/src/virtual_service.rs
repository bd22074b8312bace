//! VirtualServices with their relations resolved: short host names made fully qualified, gateways named
//! `namespace/name`, delegates merged into their roots (spec 3.4 "Delegates", rows R23, S08). Leaf settings stay as
//! the user wrote them; `translate` reads them.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use config::{ConfigStore, Object};
use model::{Fingerprint, Host, Namespace, Timestamp};
use proto::istio;

use crate::{ExportTo, MeshSettings};

/// The gateway name that stands for all sidecars.
pub const MESH_GATEWAY: &str = "mesh";

/// One VirtualService, relations resolved. Its `Hash` and equality are those of its fingerprint.
#[derive(Clone, Debug)]
pub struct VirtualService {
    /// The root object's name.
    pub name: String,
    /// The root object's namespace.
    pub namespace: Namespace,
    /// Its age.
    pub creation: Timestamp,
    /// Fully qualified, lower case, in declared order.
    pub hosts: Vec<Host>,
    /// `mesh`, or `namespace/name` of Gateways; never empty.
    pub gateways: Vec<String>,
    /// Who may see it.
    pub export_to: ExportTo,
    /// The specification with destination hosts fully qualified and delegates merged.
    pub spec: istio::networking::VirtualService,
    /// Over the root and every delegate that went in.
    pub fingerprint: Fingerprint,
}

impl VirtualService {
    /// Whether it is bound to the sidecars of the mesh.
    pub fn is_mesh(&self) -> bool {
        self.gateways.iter().any(|g| g == MESH_GATEWAY)
    }
}

impl PartialEq for VirtualService {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for VirtualService {}

impl Hash for VirtualService {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// All VirtualServices with hosts, by age.
#[derive(Clone, Debug, Default)]
pub struct VirtualServiceIndex {
    all: Vec<Arc<VirtualService>>,
}

impl VirtualServiceIndex {
    /// Resolves every VirtualService of the store.
    pub fn build(store: &ConfigStore, settings: &MeshSettings) -> Self {
        let mut all: Vec<Arc<VirtualService>> = store
            .virtual_services()
            .iter()
            .filter(|object| !object.spec.hosts.is_empty())
            .map(|object| Arc::new(resolve(object, settings)))
            .collect();
        all.sort_by(|a, b| (a.creation, &a.name, &a.namespace).cmp(&(b.creation, &b.name, &b.namespace)));
        Self { all }
    }

    /// Those that `namespace` may see: private, exported, public; each by age.
    pub fn visible_to(&self, namespace: &Namespace) -> Vec<Arc<VirtualService>> {
        let class = |vs: &VirtualService| match &vs.export_to {
            ExportTo::Public => 2,
            export if vs.namespace == *namespace && export.is_private(namespace) => 0,
            _ => 1,
        };
        let mut found: Vec<_> =
            self.all.iter().filter(|vs| vs.export_to.visible_to(namespace)).cloned().collect();
        found.sort_by_key(|vs| class(vs));
        found
    }
}

impl PartialEq for VirtualServiceIndex {
    fn eq(&self, other: &Self) -> bool {
        self.all == other.all
    }
}

/// `name` in `namespace` as a fully qualified host: names without a dot that are neither wildcards nor addresses
/// are Kubernetes services of that namespace.
pub fn resolve_host(name: &str, namespace: &Namespace, domain: &str) -> String {
    let short = !name.is_empty()
        && !name.contains('.')
        && !name.starts_with('*')
        && name.parse::<std::net::IpAddr>().is_err();
    if short { format!("{name}.{namespace}.svc.{domain}") } else { name.to_owned() }
}

fn resolve(object: &Object<istio::networking::VirtualService>, settings: &MeshSettings) -> VirtualService {
    let namespace = object.meta.namespace.clone();
    let mut spec = object.spec.clone();
    let host = |name: &str| resolve_host(name, &namespace, &settings.domain);
    let destination = |d: &mut Option<istio::networking::Destination>| {
        if let Some(d) = d {
            d.host = host(&d.host);
        }
    };
    for route in &mut spec.http {
        for target in &mut route.route {
            destination(&mut target.destination);
        }
        destination_of_mirrors(route, &host);
    }
    for target in
        spec.tcp.iter_mut().flat_map(|r| &mut r.route).chain(spec.tls.iter_mut().flat_map(|r| &mut r.route))
    {
        destination(&mut target.destination);
    }
    let gateway = |name: &str| {
        if name == MESH_GATEWAY || name.contains('/') {
            name.to_owned()
        } else {
            format!("{namespace}/{name}")
        }
    };
    let gateways = if spec.gateways.is_empty() {
        vec![MESH_GATEWAY.to_owned()]
    } else {
        spec.gateways.iter().map(|g| gateway(g)).collect()
    };
    VirtualService {
        name: object.meta.name.to_string(),
        creation: object.meta.creation,
        hosts: spec.hosts.iter().map(|h| Host::from(host(h).to_lowercase())).collect(),
        gateways,
        export_to: ExportTo::of(
            spec.export_to.iter().map(String::as_str),
            &namespace,
            &settings.config.default_virtual_service_export_to,
            true,
        ),
        namespace,
        spec,
        fingerprint: Fingerprint::of_hash(&(object.fingerprint, settings.fingerprint)),
    }
}

fn destination_of_mirrors(route: &mut istio::networking::HttpRoute, host: &impl Fn(&str) -> String) {
    let mirrors = route.mirrors.iter_mut().filter_map(|m| m.destination.as_mut());
    for d in mirrors.chain(route.mirror.as_mut()) {
        d.host = host(&d.host);
    }
}
