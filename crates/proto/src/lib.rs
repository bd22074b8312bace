//! Generated Envoy, Istio and extension messages, type URLs, descriptors and the one packing function; no logic.
