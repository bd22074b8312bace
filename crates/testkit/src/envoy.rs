//! A stock Envoy for tests and the demo: its bootstrap, the process, and what its admin pages say.

mod admin;
mod batch;
mod bootstrap;
mod process;
mod static_resources;
#[cfg(test)]
mod tests;

pub use admin::Admin;
pub use batch::merged_bootstraps;
pub use bootstrap::{Bootstrap, Node, NodeKind, Protocol};
pub use process::{Envoy, NEWEST, OLDEST, binary, validate};
pub use static_resources::static_bootstrap;
