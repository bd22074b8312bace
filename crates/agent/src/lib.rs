//! What stands beside an Envoy outside Kubernetes, as pilot-agent does inside: it obtains the workload's certificate
//! and renews it, serves it to Envoy, carries Envoy's configuration stream to the control plane under the workload's
//! credential, and starts, watches and drains Envoy. Answers 2.9, 5.1 and 5.3 of the platform specification.
//!
//! ```text
//!            ┌──────────── agent ────────────┐
//!  Envoy ──► │ SDS socket ◄── Secrets ◄── CSR │ ──► CreateCertificate ┐
//!    ▲  └──► │ XDS socket ──── bytes ─────────│ ──► ADS               ├ 15012
//!    └────── │ bootstrap, start, drain        │                       ┘
//!  probe ──► │ 15021 through Envoy, 15020     │
//!  names ──► │ 15053 from the table of names  │ ──► other servers
//! ```
//! Resources pass unread. Keys are made here and leave only by the socket to Envoy.

mod admin;
mod bootstrap;
mod codec;
mod dns;
mod envoy;
mod files;
mod relay;
mod renewal;
mod run;
mod sds;
mod secrets;
mod settings;
mod socket;
mod status;
mod upstream;

pub use bootstrap::{NodeKind, ProxyNode};
pub use run::{AgentError, run};
pub use secrets::KeyKind;
pub use settings::{Certificates, ControlPlane, Drain, EnvoySettings, NameService, Ports, Settings};
