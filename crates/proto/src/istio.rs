//! Istio's own API: the specs of its objects, the mesh settings and what node proxies read. Each package stands under
//! one plain name. One type serves all served versions of a kind, since these differ in nothing but their name.

#[allow(clippy::all, clippy::pedantic, unreachable_pub, unused_qualifications, missing_docs)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/istio_modules.rs"));
}

#[cfg(test)]
mod tests;

/// Messages of the analyzers, as status carries them.
pub use generated::istio::analysis::v1alpha1 as analysis;
/// `WasmPlugin` and `TrafficExtension`.
pub use generated::istio::extensions::v1alpha1 as extensions;
/// `MeshConfig`, the agent's `ProxyConfig`, `MeshNetworks`.
pub use generated::istio::mesh::v1alpha1 as mesh;
/// `IstioStatus`.
pub use generated::istio::meta::v1alpha1 as meta;
/// Routing, destinations, gateways, hosts, workloads and Envoy patches.
pub use generated::istio::networking::v1alpha3 as networking;
/// The `ProxyConfig` object.
pub use generated::istio::networking::v1beta1 as networking_beta;
/// `Authorization`, as node proxies read it.
pub use generated::istio::security as authorization;
/// `AuthorizationPolicy`, `PeerAuthentication`, `RequestAuthentication`.
pub use generated::istio::security::v1beta1 as security;
/// `Telemetry`.
pub use generated::istio::telemetry::v1alpha1 as telemetry;
/// How policies choose workloads.
pub use generated::istio::r#type::v1beta1 as types;
/// The signing call that agents make.
pub use generated::istio::v1::auth as certificates;
/// `Address`: workloads and services, as node proxies read them.
pub use generated::istio::workload;

/// Where the JSON of a kind holds free-form structs, inside which a null means something: the paths that
/// [`crate::wkt::strip_nulls`] leaves alone.
pub fn struct_paths(kind: &str) -> &'static [&'static str] {
    match kind {
        "EnvoyFilter" => &["configPatches.patch.value"],
        "WasmPlugin" => &["pluginConfig"],
        "TrafficExtension" => &["wasm.pluginConfig"],
        "MeshConfig" => &[
            "extensionProviders.envoyFileAccessLog.logFormat.labels",
            "extensionProviders.envoyOtelAls.logFormat.labels",
        ],
        _ => &[],
    }
}
