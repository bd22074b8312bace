//! What is said about an object that could not be read.

use std::fmt;
use std::sync::Arc;

use crate::ConfigKey;

/// Why a document is not an object: which, from where, the field, the reason.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rejection {
    /// The object, as far as it could be told.
    pub key: Option<ConfigKey>,
    /// Where the document came from: a file, a cluster.
    pub source: Arc<str>,
    /// The field at fault, as in `spec.http[0].retries.attempts`; empty when the whole document is meant.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Rejection {
    /// A rejection of a whole document of which no key is known.
    pub fn of_document(source: &Arc<str>, reason: impl Into<String>) -> Self {
        Self { key: None, source: source.clone(), path: String::new(), reason: reason.into() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.key {
            Some(key) => write!(f, "{key} from {}", self.source)?,
            None => write!(f, "a document from {}", self.source)?,
        }
        f.write_str(" is rejected: ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.reason)
    }
}

impl std::error::Error for Rejection {}
