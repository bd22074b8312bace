//! Extension providers of the mesh configuration, by name, and the clusters of their services (spec 7.1; row T17).

use proto::istio::mesh::{MeshConfig, mesh_config::extension_provider::Provider};

use crate::Context;

/// The provider of that name, in any case.
pub(super) fn named<'a>(config: &'a MeshConfig, name: &str) -> Option<&'a Provider> {
    config
        .extension_providers
        .iter()
        .find(|provider| provider.name.eq_ignore_ascii_case(name))
        .and_then(|provider| provider.provider.as_ref())
}

/// The cluster and host of a provider's service, written `[namespace/]host`. Without a namespace the host must be
/// declared in only one.
pub(crate) fn cluster(ctx: &Context<'_>, service: &str, port: u32) -> Option<(String, String)> {
    let (namespace, host) = match service.split_once('/') {
        Some((namespace, host)) => (Some(namespace), host),
        None => (None, service),
    };
    let declared = ctx.reader.services_of_host(&host.into());
    let found = match namespace {
        Some(namespace) => declared.iter().find(|s| s.namespace.as_str() == namespace),
        None if declared.len() > 1 => None,
        None => declared.first(),
    }?;
    Some((format!("outbound|{port}||{}", found.host), found.host.to_string()))
}
