//! Which builds of Envoy a proxy can be. A stock Envoy refuses a listener that names a filter it was not built with,
//! so it is never sent Istio's own ones.

use super::NodeMetadata;

/// The filters a proxy can be sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Envoy with Istio's own filters.
    #[default]
    Istio,
    /// Envoy as its project publishes it.
    Stock,
}

/// Filters that only Istio's build has; one of them is proof enough.
const ISTIO_FILTERS: &[&str] = &[
    "istio.stats",
    "istio.alpn",
    "istio.metadata_exchange",
    "istio_authn",
    "envoy.filters.http.istio_stats",
    "envoy.filters.http.peer_metadata",
    "envoy.filters.network.metadata_exchange",
];

impl Dialect {
    /// A proxy that lists its extensions is known by them; one that lists none by the version of Istio it carries.
    pub fn of(extensions: &[String], metadata: &NodeMetadata) -> Self {
        let istio = if extensions.is_empty() {
            !metadata.istio_version.is_empty()
        } else {
            extensions.iter().any(|name| ISTIO_FILTERS.contains(&name.as_str()))
        };
        if istio { Self::Istio } else { Self::Stock }
    }
}
