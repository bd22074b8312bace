//! Benchmarks from outside: a mesh over files or a real API server, a control plane as a process, a swarm in front of
//! it. `cargo xtask bench` runs them; a test runs them small.

mod authority;
pub mod cases;
mod figures;
pub mod mesh;
pub(crate) mod plane;
mod probe;
mod stage;
pub(crate) mod world;

pub use figures::Figures;
pub use stage::Bench;
