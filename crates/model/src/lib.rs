//! The vocabulary of the mesh: hosts, namespaces, labels, protocols, localities, fingerprints.
//!
//! Plain values shared by every crate above. Nothing here reads anything, knows a message of Envoy or a kind of
//! Kubernetes. Host rules follow the "Hosts" paragraph of Istio's traffic model: a leading `*` makes a wildcard.

pub mod findings;
mod fingerprint;
mod host;
mod labels;
mod locality;
mod names;
mod protocol;

pub use findings::{Findings, Gauge};
pub use fingerprint::{Fingerprint, Fingerprinter};
pub use host::Host;
pub use labels::Labels;
pub use locality::Locality;
pub use names::{Issue, Namespace, SpiffeId, Timestamp};
pub use protocol::Protocol;

#[cfg(test)]
mod tests;
