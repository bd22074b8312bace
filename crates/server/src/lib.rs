//! The shells that proxies and operators talk to: ADS over gRPC, and readiness, metrics and debug pages over HTTP.
//!
//! Everything served comes through two ports: `Discovery` gives each connected proxy its snapshots, `DebugSource` the
//! pages about configuration. What is known here, about connections, is shown by the debug pages of this crate.

mod admission;
mod ads;
mod connections;
mod debug;
mod http;
mod listen;
mod metrics;
mod options;
mod port;
mod process;
mod spread;
mod time;

pub use ads::Ads;
pub use connections::{Connection, Connections};
pub use debug::Debug;
pub use http::{Version, monitoring_router, readiness_router};
pub use listen::{ServeError, serve_ads, serve_ads_over, serve_grpc_over, serve_http};
pub use metrics::Metrics;
pub use options::AdsOptions;
pub use port::{DebugSource, Discovery, Published};
