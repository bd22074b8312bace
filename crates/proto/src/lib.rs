//! Generated Envoy, Istio and extension messages, type URLs, descriptors and the one packing function; no logic.

pub mod envoy;
pub mod pack;
pub mod type_url;
