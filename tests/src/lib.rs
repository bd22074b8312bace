//! Tests that cross crates: golden, parity, real Envoy.
