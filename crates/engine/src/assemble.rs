//! Everything one class gets, from nothing: the plain full build, and the oracle of every shortcut.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use mesh::{Mesh, Reader};
use scope::{Proxy, ProxyClass, ProxyScope, SecretAccess};
use translate::{Context, Reference, RenderCache, Resource};

use crate::cache::Cache;

/// All resources of one class, by type. Closed under reference: every load assignment and route configuration that
/// a cluster or listener names is there.
#[derive(Clone, Debug, Default)]
pub struct Generated {
    /// CDS, in order.
    pub clusters: Vec<Resource>,
    /// EDS, by name.
    pub endpoints: Vec<Resource>,
    /// LDS, in order.
    pub listeners: Vec<Resource>,
    /// RDS, by name.
    pub routes: Vec<Resource>,
    /// NDS.
    pub name_table: Option<Resource>,
    /// ECDS, by name.
    pub extensions: Vec<Resource>,
    /// SDS, by name: those that the proxy may have.
    pub secrets: Vec<Resource>,
}

/// Builds everything for one proxy.
pub fn generate(mesh: &Mesh, proxy: &Proxy) -> Generated {
    let reader = Reader::new(mesh);
    let class = Arc::new(ProxyClass::of(proxy, &reader));
    let scope = ProxyScope::build(class, &reader);
    let cache = Cache::default();
    let findings = RefCell::default();
    generate_for(&Context {
        reader: &reader,
        scope: &scope,
        cache: &cache as &dyn RenderCache,
        findings: &findings,
    })
}

pub(crate) fn generate_for(ctx: &Context<'_>) -> Generated {
    let clusters = translate::cluster::generate(ctx);
    let listeners = translate::listener::generate(ctx);
    let endpoints = endpoint_names(&clusters)
        .iter()
        .filter_map(|name| translate::endpoint::generate(ctx, name))
        .collect();
    let routes =
        route_names(&listeners).iter().filter_map(|name| translate::route::generate(ctx, name)).collect();
    let extensions = extension_names(&listeners)
        .iter()
        .filter_map(|name| translate::extension::generate(ctx, name))
        .collect();
    let secrets = secret_names(ctx.class(), &[&clusters, &listeners])
        .iter()
        .filter_map(|name| translate::secret::generate(ctx, name).ok())
        .collect();
    let sent = |resources: Vec<Resource>| resources.into_iter().filter(|r| !r.piece.is_refused).collect();
    Generated {
        clusters: sent(clusters),
        endpoints: sent(endpoints),
        listeners: sent(listeners),
        routes: sent(routes),
        name_table: translate::name_table::generate(ctx),
        extensions: sent(extensions),
        secrets: sent(secrets),
    }
}

/// The load assignments that clusters name.
pub(crate) fn endpoint_names(clusters: &[Resource]) -> BTreeSet<String> {
    references(clusters, |reference| match reference {
        Reference::Endpoints(name) => Some(name),
        _ => None,
    })
}

/// The route configurations that listeners name.
pub(crate) fn route_names(listeners: &[Resource]) -> BTreeSet<String> {
    references(listeners, |reference| match reference {
        Reference::Routes(name) => Some(name),
        _ => None,
    })
}

/// The extension configurations that listeners name.
pub(crate) fn extension_names(listeners: &[Resource]) -> BTreeSet<String> {
    references(listeners, |reference| match reference {
        Reference::Extension(name) => Some(name),
        _ => None,
    })
}

/// The secrets that clusters and listeners name; none for proxies that have not proved who they are.
pub(crate) fn secret_names(class: &ProxyClass, resources: &[&[Resource]]) -> BTreeSet<String> {
    if class.secret_access == SecretAccess::Unproved {
        return BTreeSet::new();
    }
    let of = |resources: &&[Resource]| {
        references(resources, |reference| match reference {
            Reference::Secret(name) => Some(name),
            _ => None,
        })
    };
    resources.iter().flat_map(of).collect()
}

fn references(resources: &[Resource], pick: impl Fn(&Reference) -> Option<&String>) -> BTreeSet<String> {
    resources.iter().flat_map(|r| r.piece.references.iter()).filter_map(|r| pick(r).cloned()).collect()
}
