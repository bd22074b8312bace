//! What names an object in the whole mesh: kind, namespace, name, and the cluster if it is not our own.

use std::fmt;
use std::sync::Arc;

use model::Namespace;

use crate::Kind;

/// The identity of an object. Ordered by kind, then namespace, then name, then cluster.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConfigKey {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace; empty for kinds of the cluster.
    pub namespace: Namespace,
    /// Its name.
    pub name: Arc<str>,
    /// The ID of the remote cluster that holds it; `None` for whatever our own configuration holds.
    pub cluster: Option<Arc<str>>,
}

impl ConfigKey {
    /// The key of that kind, namespace and name, in our own configuration.
    pub fn new(kind: Kind, namespace: impl Into<Namespace>, name: impl Into<Arc<str>>) -> Self {
        Self { kind, namespace: namespace.into(), name: name.into(), cluster: None }
    }

    /// The key of the same name in a remote cluster.
    #[must_use]
    pub fn in_cluster(self, id: &Arc<str>) -> Self {
        Self { cluster: Some(Arc::clone(id)), ..self }
    }
}

impl fmt::Display for ConfigKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }?;
        self.cluster.as_ref().map_or(Ok(()), |id| write!(f, " of cluster {id}"))
    }
}
