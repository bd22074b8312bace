//! The API server as a source of configuration: every kind listed and watched, objects decoded one by one, what
//! changed handed on in the words of [`config`]. Answers "Watched objects" and "Leader election" of the platform
//! specification.
//!
//! ```text
//! API server --request--> lines of JSON --decode--> objects --reflector--> Update --Catalog--> SourceEvent
//! ```
//! Kinds whose definition the API server does not have are empty, and are watched from the moment it has. An object
//! that does not parse is a rejection, and the last good version of it stays. Only this crate knows resource versions.

mod catalog;
mod connect;
mod decode;
mod definitions;
mod election;
mod fault;
mod lock;
mod place;
mod prune;
mod reflector;
mod remote;
mod request;
mod signing;
mod snapshot;
mod source;
mod status;
mod trust;
mod webhooks;
mod workloads;

pub use connect::{ConnectError, connect};
pub use election::{Election, Timing};
pub use kube::Client;
pub use lock::{Lock, LockKind};
pub use remote::{KubeconfigFault, RemoteConfig};
pub use signing::{SigningRequest, sign_by_cluster};
pub use snapshot::read_all;
pub use source::{KubernetesSource, Options};
pub use status::{WriteError, merge_status, replace_status};
pub use trust::{
    RequestError, Reviewed, StoredSecret, keep_config_map, may_list_secrets, read_secret, review_token,
    write_secret,
};
pub use webhooks::{KeptWebhooks, Probe, Roots, WebhookKind, keep_webhooks, probe_validation};
pub use workloads::{EntryError, WorkloadEntries, Written, is_object_name, moment_text, read_moment};

#[cfg(test)]
mod tests;
