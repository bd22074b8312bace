//! Generated Envoy, Istio and extension messages, type URLs, descriptors and the one packing function; no logic.

pub mod body;
pub mod cel;
pub mod constraints;
pub mod descriptors;
pub mod envoy;
pub mod istio;
pub mod json;
pub mod merge;
pub mod operators;
pub mod pack;
pub mod raw;
pub mod regexp;
pub mod supplement;
pub mod type_url;
pub mod wkt;

/// The MySQL proxy.
pub use supplement::envoy::extensions::filters::network::mysql_proxy::v3 as mysql_proxy;
/// Private keys on wide vector instructions.
pub use supplement::envoy::extensions::private_key_providers::cryptomb::v3alpha as cryptomb;
/// Private keys on an accelerator card.
pub use supplement::envoy::extensions::private_key_providers::qat::v3alpha as qat;
/// Settings of the TCP metadata exchange filter.
pub use supplement::envoy::tcp::metadataexchange::config as metadata_exchange;
/// Settings of the HTTP peer metadata filter.
pub use supplement::io::istio::http::peer_metadata;
/// Settings of the filter that overrides ALPN.
pub use supplement::istio::envoy::config::filter::http::alpn::v2alpha1 as alpn;
/// The table of names for the agent's DNS proxy.
pub use supplement::istio::networking::nds::v1 as nds;
/// Settings of the proxy's statistics.
pub use supplement::stats;
/// The typed struct under its older name, by which Istio's own filters travel.
pub use supplement::udpa::r#type::v1 as udpa;
/// Match trees by address, number range and server name, and the CEL matcher.
pub use supplement::xds::r#type::matcher::v3 as xds_matchers;
/// The typed struct under its newer name, and ranges.
pub use supplement::xds::r#type::v3 as xds_types;
