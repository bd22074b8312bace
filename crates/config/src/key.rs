//! What names an object in the whole mesh: kind, namespace, name.

use std::fmt;
use std::sync::Arc;

use model::Namespace;

use crate::Kind;

/// The identity of an object. Ordered by kind, then namespace, then name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for kinds of the cluster.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
}

impl ConfigKey {
    /// The key of that kind, namespace and name.
    pub fn new(kind: Kind, namespace: impl Into<Namespace>, name: impl Into<Arc<str>>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into() }
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}
