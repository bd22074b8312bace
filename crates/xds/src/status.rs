//! Where a stream stands with each type: what `/debug/syncz` and `/debug/config_dump` show.

use std::sync::Arc;

use crate::{Rejection, ResourceType};

/// Whether a client has what it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SyncState {
    /// Nothing was sent.
    NotSent,
    /// The last response was accepted.
    Synced,
    /// The last response was not answered yet.
    Stale,
    /// The last response was rejected.
    Error,
}

/// One type of one stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeStatus {
    /// The type.
    pub resource_type: ResourceType,
    /// Whether all resources are wanted.
    pub wildcard: bool,
    /// How many are wanted by name.
    pub n_names: usize,
    /// Nonce of the last response, empty before the first.
    pub nonce_sent: String,
    /// Version of the last response.
    pub version_sent: String,
    /// Nonce of the last response that was accepted.
    pub nonce_acked: String,
    /// Version of the last response that was accepted.
    pub version_acked: String,
    /// How often the client rejected.
    pub n_rejections: u64,
    /// The last rejection, even if later responses were accepted.
    pub last_rejection: Option<Rejection>,
    /// Resources rejected in the form in which they were last sent, each with what the client said.
    pub rejected: Vec<(Arc<str>, String)>,
}

impl TypeStatus {
    /// Whether the client has what it was sent.
    pub fn state(&self) -> SyncState {
        if self.nonce_sent.is_empty() {
            SyncState::NotSent
        } else if self.nonce_acked == self.nonce_sent {
            SyncState::Synced
        } else if self.last_error().is_some() {
            SyncState::Error
        } else {
            SyncState::Stale
        }
    }

    /// What the client said of the last response, if it rejected it.
    pub fn last_error(&self) -> Option<&str> {
        let rejection = self.last_rejection.as_ref()?;
        (rejection.nonce == self.nonce_sent).then_some(rejection.error.message.as_str())
    }
}
