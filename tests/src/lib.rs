//! Tests that cross crates: golden, parity, real Envoy.

pub mod golden;
pub mod parity;
