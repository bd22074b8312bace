//! Backends of routes: which host and port they are, and what is wrong with them. A backend that does not exist or may
//! not be used stays among the others with its weight, so that its share of the requests fails; one that cannot be
//! understood takes the whole route with it, as in istiod.

use config::gateway_api::BackendReference;
use proto::istio::networking::{Destination, PortSelector, RouteDestination};

use crate::fault::{BACKEND_NOT_FOUND, Fault, INVALID_DESTINATION, INVALID_KIND, REF_NOT_PERMITTED};
use crate::names::GroupKind;
use crate::route::RouteContext;

/// A destination, and what is wrong with it.
pub(crate) type Resolved = (Destination, Option<Fault>);

/// The sum of weights.
pub(crate) fn weights<'a>(backends: impl IntoIterator<Item = &'a BackendReference>) -> u64 {
    backends.into_iter().map(|backend| u64::from(backend.weight)).sum()
}

/// Backends that get requests, each with the weight it has in a VirtualService: one alone has none.
pub(crate) fn weighted(backends: &[BackendReference]) -> Vec<(&BackendReference, i32)> {
    let served: Vec<_> = backends.iter().filter(|backend| backend.weight > 0).collect();
    let alone = served.len() == 1;
    let weight = |backend: &BackendReference| i32::try_from(backend.weight).unwrap_or(i32::MAX);
    served.into_iter().map(|backend| (backend, if alone { 0 } else { weight(backend) })).collect()
}

/// The destinations of streams, and what is wrong with one of them.
pub(crate) fn streams(
    ctx: &RouteContext<'_>,
    backends: &[BackendReference],
) -> Result<(Vec<RouteDestination>, Option<Fault>), Fault> {
    if weights(backends) == 0 {
        // Connections are to be refused: no cluster has this name.
        let nowhere = Destination {
            host: "internal.cluster.local".to_owned(),
            subset: "zero-weight".to_owned(),
            port: Some(PortSelector { number: 65_535 }),
        };
        return Ok((vec![RouteDestination { destination: Some(nowhere), weight: 0 }], None));
    }
    let mut last = None;
    let mut destinations = Vec::new();
    for (backend, weight) in weighted(backends) {
        let (destination, fault) = resolve(ctx, backend)?;
        last = fault.or(last);
        destinations.push(RouteDestination { destination: Some(destination), weight });
    }
    Ok((destinations, last))
}

/// The destination that a reference stands for. `Err` is a fault of the whole route.
pub(crate) fn resolve(ctx: &RouteContext<'_>, backend: &BackendReference) -> Result<Resolved, Fault> {
    let kind = GroupKind(&backend.group, &backend.kind);
    let own = ctx.namespace;
    let namespace = backend.namespace.as_deref().unwrap_or(own);
    let is_allowed =
        ctx.mesh || namespace == own || ctx.grants.allow(ctx.kind, own, kind, namespace, &backend.name);
    if !is_allowed {
        let message = format!(
            "backendRef {}/{namespace} not accessible to a {} in namespace \"{own}\" (missing a ReferenceGrant?)",
            backend.name, ctx.kind.1
        );
        return Ok((Destination::default(), Some(Fault::new(REF_NOT_PERMITTED, message))));
    }
    let invalid = |message: &str| Err(Fault::new(INVALID_DESTINATION, message));
    let service = || {
        let host = ctx.lookup.service_host(namespace, &backend.name);
        let is_there = ctx.lookup.service(namespace, &backend.name).is_some();
        (host, is_there)
    };
    let (host, is_there) = match kind {
        GroupKind::SERVICE if backend.name.contains('.') => {
            return invalid("service name invalid; the name of the Service must be used, not the hostname.");
        }
        // Services of other clusters have the same name here, as long as there are no hosts of their own for them.
        GroupKind::SERVICE | GroupKind::SERVICE_IMPORT => service(),
        GroupKind::HOSTNAME if backend.namespace.is_some() => {
            return invalid("namespace may not be set with Hostname type");
        }
        GroupKind::HOSTNAME => (backend.name.clone(), ctx.lookup.declares_host(namespace, &backend.name)),
        GroupKind::INFERENCE_POOL => {
            let message = "InferencePool is not enabled. To enable, set \
                           ENABLE_GATEWAY_API_INFERENCE_EXTENSION to true in istiod";
            return Ok((Destination::default(), Some(Fault::new(INVALID_KIND, message))));
        }
        GroupKind(group, name) => {
            let message = format!("referencing unsupported backendRef: group \"{group}\" kind \"{name}\"");
            return Ok((Destination::default(), Some(Fault::new(INVALID_KIND, message))));
        }
    };
    let Some(port) = backend.port else { return invalid("port is required in backendRef") };
    let fault = (!is_there).then(|| Fault::new(BACKEND_NOT_FOUND, format!("backend({host}) not found")));
    Ok((Destination { host, subset: String::new(), port: Some(PortSelector { number: port }) }, fault))
}
