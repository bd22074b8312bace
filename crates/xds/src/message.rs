//! Requests and responses as plain values, the same for both protocols. The shell converts them from and to the
//! messages on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Resource, ResourceType};

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The type it is about.
    pub resource_type: ResourceType,
    /// State of the world: all names wanted. Delta: names wanted from now on.
    pub subscribe: Vec<String>,
    /// Delta: names not wanted any more.
    pub unsubscribe: Vec<String>,
    /// Delta, first request of a type: what the client has from an earlier stream, name to version.
    pub initial_versions: BTreeMap<String, String>,
    /// The response that this answers, empty for none.
    pub nonce: String,
    /// Why that response was rejected.
    pub error: Option<RequestError>,
}

impl Request {
    /// A first request for nothing in particular.
    pub fn new(resource_type: ResourceType) -> Self {
        Self {
            resource_type,
            subscribe: Vec::new(),
            unsubscribe: Vec::new(),
            initial_versions: BTreeMap::new(),
            nonce: String::new(),
            error: None,
        }
    }
}

/// Why a client rejected a response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestError {
    /// A gRPC code.
    pub code: i32,
    /// What the client says.
    pub message: String,
}

/// What a session says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// The type of all resources in it.
    pub resource_type: ResourceType,
    /// The version of all resources of the type.
    pub version_info: String,
    /// What the client's answer will refer to.
    pub nonce: String,
    /// By name.
    pub resources: Vec<Resource>,
    /// Delta: names of what is gone.
    pub removed: Vec<Arc<str>>,
}

/// What a request turned out to be. Whether something has to be sent is for `Session::next` to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The client wants a type, or more of it.
    Subscribed,
    /// The client accepted the last response.
    Acknowledged,
    /// The client rejected a response.
    Rejected(Rejection),
    /// The request answers a response that is not the last one.
    Stale,
    /// The client wants nothing of this type any more.
    Unsubscribed,
}

/// A rejected response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// The type of its resources.
    pub resource_type: ResourceType,
    /// The response.
    pub nonce: String,
    /// Its version, empty when it is not known any more.
    pub version_info: String,
    /// What the client says.
    pub error: RequestError,
    /// The resources at fault, as far as the message tells.
    pub names: Vec<Arc<str>>,
}
