//! The xDS protocol without IO: resources, snapshots, sessions.
//!
//! A `Snapshot` is everything one class of proxies should have now. A `Session` is one stream: a cursor over
//! snapshots, fed with requests, asked for responses. State-of-the-world and delta streams differ in how requests are
//! read and in what a response may say; what is due is decided in one place (`watch`). Only this crate knows nonces
//! (invariant I5); versions are fingerprints of content, equal on every replica.

mod message;
mod resource;
mod resource_type;
mod session;
mod snapshot;
mod status;
mod watch;

pub use message::{Outcome, Rejection, Request, RequestError, Response};
pub use resource::{Resource, ResourceSet};
pub use resource_type::ResourceType;
pub use session::{Protocol, Session, SessionOptions};
pub use snapshot::{Snapshot, SnapshotBuilder};
pub use status::{SyncState, TypeStatus};
