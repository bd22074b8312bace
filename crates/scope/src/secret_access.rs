//! Which Secrets a proxy may be sent (security specification, 6). It follows from who the proxy has proved to be, never
//! from what it says of itself, and is a property of its class: bytes of a Secret are only ever in the snapshots of
//! classes that may have them.

use std::sync::Arc;

/// What was found out about a proxy's right to Secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum SecretAccess {
    /// Nobody has proved anything: nothing is sent.
    #[default]
    Unproved,
    /// The proxy is this service account of the namespace whose configuration it gets.
    Proved {
        /// The service account.
        account: Arc<str>,
        /// Whether it may read Secrets of its namespace. Without that it gets certificates of authorities alone.
        reads_secrets: bool,
    },
}

impl SecretAccess {
    /// The service account, if one was proved.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Unproved => None,
            Self::Proved { account, .. } => Some(account),
        }
    }

    /// Whether it may read Secrets of its own namespace.
    pub fn reads_secrets(&self) -> bool {
        matches!(self, Self::Proved { reads_secrets: true, .. })
    }
}
