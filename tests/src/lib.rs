//! Tests that cross crates: golden, parity, real Envoy, and benchmarks.

pub mod bench;
pub mod binary;
pub mod churn;
pub mod examples;
pub mod fuzz;
pub mod golden;
pub mod helm;
pub mod hooks;
pub mod namespaces;
pub mod parity;
pub mod replica;
pub mod report;
pub mod soak;
