//! Scope and mesh to Envoy resources, in two steps: `select` (cheap, per class of proxies) gathers facts into a
//! plain input; `render` takes only that input and returns the message (rule 2: the input is the key).
//!
//! Nothing here fails, blocks, logs or panics on user input: it returns values and [`model::Issue`]s, and drops the
//! smallest broken unit (invariant I3). One Istio field is read in one file; generated types are always qualified
//! (`envoy::cluster::Cluster`, `istio::networking::HttpRoute`).

pub mod cluster;
mod context;
pub mod endpoint;
mod ext_authz;
pub mod extension;
mod fit;
pub mod hcm;
mod input;
mod jwt;
pub mod listener;
pub mod name_table;
mod patch;
pub mod policy_filters;
pub mod proxy_config;
mod rbac;
pub mod route;
mod sealed;
pub mod secret;
pub mod telemetry;
pub mod tls;

pub(crate) use context::declared_by;
pub use context::{Context, RenderCache};
pub use input::{Input, Piece, Reference, Rendered, Resource};
pub use sealed::Sealed;
