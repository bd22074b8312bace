//! Istio's API protos to messages with serde.

/// Generates the code.
pub(crate) fn build() {}
