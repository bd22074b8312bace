//! VirtualServices with their relations resolved: short host names made fully qualified, gateways named
//! `namespace/name`, delegates merged into their roots (spec 3.4 "Delegates", rows R23, S08). Leaf settings stay as
//! the user wrote them; `translate` reads them.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use config::{ConfigStore, Object};
use model::{Fingerprint, Host, Issue, Labels, Namespace, Timestamp};
use proto::istio;

use crate::delegate::{Delegates, merged};
use crate::{ExportTo, MeshSettings};

/// The gateway name that stands for all sidecars.
pub(crate) const MESH_GATEWAY: &str = "mesh";

/// What a made VirtualService was made of.
const PARENTS: &str = "internal.istio.io/parents";

/// How the routes of a VirtualService are meant; those made of other APIs say so by an annotation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RouteSemantics {
    /// As Istio's own API says.
    #[default]
    VirtualService,
    /// Made of an Ingress.
    Ingress,
    /// Made of a route of the Gateway API.
    GatewayApi,
}

impl RouteSemantics {
    /// The annotation that states it.
    const ANNOTATION: &'static str = "internal.istio.io/route-semantics";

    fn of(annotations: &Labels) -> Self {
        match annotations.value(Self::ANNOTATION) {
            Some("ingress") => Self::Ingress,
            Some("gateway") => Self::GatewayApi,
            _ => Self::VirtualService,
        }
    }

    /// Made of a route of the Gateway API.
    pub fn is_gateway_api(self) -> bool {
        self == Self::GatewayApi
    }

    /// Whether path prefixes end at slashes.
    pub fn separates_paths(self) -> bool {
        self != Self::VirtualService
    }
}

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
    /// How its routes are meant.
    pub semantics: RouteSemantics,
    /// Made of a TLSRoute, whose routes hold behind servers that terminate TLS too.
    pub is_tls_route: bool,
    /// The specification with destination hosts fully qualified and delegates merged.
    pub spec: istio::networking::VirtualService,
    /// Over the root and every delegate that went in.
    pub fingerprint: Fingerprint,
}

impl VirtualService {
    /// Whether it says something of TCP or TLS.
    pub fn routes_streams(&self) -> bool {
        !self.spec.tcp.is_empty() || !self.spec.tls.is_empty()
    }

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
pub(crate) struct VirtualServiceIndex {
    all: Vec<Arc<VirtualService>>,
    issues: Vec<Issue>,
}

impl VirtualServiceIndex {
    /// Resolves every VirtualService of the store; what did not change since `previous` is taken from there.
    pub(crate) fn build(store: &ConfigStore, settings: &MeshSettings, previous: Option<&Self>) -> Self {
        let known: BTreeMap<(&Namespace, &str), &Arc<VirtualService>> = previous
            .iter()
            .flat_map(|index| &index.all)
            .map(|known| ((&known.namespace, known.name.as_str()), known))
            .collect();
        let (roots, leaves): (Vec<_>, Vec<_>) =
            store.virtual_services().iter().partition(|object| !object.spec.hosts.is_empty());
        let delegates = Delegates::new(leaves.into_iter().map(|object| resolve(object, settings)));
        let mut issues = Vec::new();
        let mut all: Vec<Arc<VirtualService>> = roots
            .into_iter()
            .map(|object| match known.get(&(&object.meta.namespace, &*object.meta.name)) {
                // A root with delegates has a fingerprint over all parts, so it never looks unchanged here.
                Some(known) if known.fingerprint == fingerprint(object, settings) => Arc::clone(known),
                _ => Arc::new(merged(resolve(object, settings), &delegates, &mut issues)),
            })
            .collect();
        all.sort_by(|a, b| (a.creation, &a.name, &a.namespace).cmp(&(b.creation, &b.name, &b.namespace)));
        Self { all, issues }
    }

    /// What is wrong with delegates: routes that were left out because of them.
    pub(crate) fn issues(&self) -> &[Issue] {
        &self.issues
    }

    /// Those that `namespace` may see: private, exported, public; each by age, but with routes of the Gateway API in
    /// `namespace` itself first: callers override what the owner of a Service says.
    pub(crate) fn visible_to(&self, namespace: &Namespace) -> Vec<Arc<VirtualService>> {
        let class = |vs: &VirtualService| match &vs.export_to {
            ExportTo::Public => 2,
            export if vs.namespace == *namespace && export.is_private(namespace) => 0,
            _ => 1,
        };
        let mut found: Vec<_> =
            self.all.iter().filter(|vs| vs.export_to.visible_to(namespace)).cloned().collect();
        let overrides = |vs: &VirtualService| vs.semantics.is_gateway_api() && vs.namespace == *namespace;
        found.sort_by_key(|vs| (class(vs), !overrides(vs)));
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
pub(crate) fn resolve_host(name: &str, namespace: &Namespace, domain: &str) -> String {
    let short = !name.is_empty()
        && !name.contains('.')
        && !name.starts_with('*')
        && name.parse::<std::net::IpAddr>().is_err();
    if short { format!("{name}.{namespace}.svc.{domain}") } else { name.to_owned() }
}

/// Over the object and what of the settings shapes it.
fn fingerprint(object: &Object<istio::networking::VirtualService>, settings: &MeshSettings) -> Fingerprint {
    let default_export = &settings.config.default_virtual_service_export_to;
    Fingerprint::of_hash(&(object.fingerprint, &settings.domain, default_export))
}

fn resolve(object: &Object<istio::networking::VirtualService>, settings: &MeshSettings) -> VirtualService {
    let namespace = object.meta.namespace.clone();
    let semantics = RouteSemantics::of(&object.meta.annotations);
    let mut spec = object.spec.clone();
    if !semantics.is_gateway_api() {
        qualify(&mut spec, &namespace, &settings.domain);
    }
    let gateways =
        if spec.gateways.is_empty() { vec![MESH_GATEWAY.to_owned()] } else { spec.gateways.clone() };
    VirtualService {
        name: object.meta.name.to_string(),
        creation: object.meta.creation,
        hosts: spec.hosts.iter().map(|host| Host::from(host.to_lowercase())).collect(),
        gateways,
        export_to: ExportTo::of(
            spec.export_to.iter().map(String::as_str),
            &namespace,
            &settings.config.default_virtual_service_export_to,
            true,
        ),
        namespace,
        semantics,
        is_tls_route: object.meta.annotation(PARENTS).is_some_and(|parents| parents.starts_with("TLSRoute/")),
        spec,
        fingerprint: fingerprint(object, settings),
    }
}

/// Makes every short name of hosts and gateways a full one.
fn qualify(spec: &mut istio::networking::VirtualService, namespace: &Namespace, domain: &str) {
    let host = |name: &mut String| *name = resolve_host(name, namespace, domain);
    let gateways = |names: &mut Vec<String>| {
        for name in names.iter_mut().filter(|name| *name != MESH_GATEWAY && !name.contains('/')) {
            *name = format!("{namespace}/{name}");
        }
    };
    spec.hosts.iter_mut().for_each(host);
    gateways(&mut spec.gateways);
    for route in &mut spec.http {
        route.r#match.iter_mut().for_each(|wanted| gateways(&mut wanted.gateways));
        let to = route.route.iter_mut().filter_map(|to| to.destination.as_mut());
        let mirrors = route.mirrors.iter_mut().filter_map(|mirror| mirror.destination.as_mut());
        to.chain(mirrors).chain(route.mirror.as_mut()).for_each(|to| host(&mut to.host));
    }
    for route in &mut spec.tcp {
        route.r#match.iter_mut().for_each(|wanted| gateways(&mut wanted.gateways));
        route.route.iter_mut().filter_map(|to| to.destination.as_mut()).for_each(|to| host(&mut to.host));
    }
    for route in &mut spec.tls {
        route.r#match.iter_mut().for_each(|wanted| gateways(&mut wanted.gateways));
        route.route.iter_mut().filter_map(|to| to.destination.as_mut()).for_each(|to| host(&mut to.host));
    }
}
