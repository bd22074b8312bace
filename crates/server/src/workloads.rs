//! Machines beside Kubernetes: who keeps the WorkloadEntries that stand for them is told who comes, how it is and when
//! it goes, and may turn a proxy away (platform specification, 2.2 and 2.3; traffic specification, 5.4; rows S17, S18).

use std::sync::Arc;

use prometheus::{IntCounter, Registry};
use tonic::Status;

use crate::{Answer, Connection};

/// How long the message of a status is at most: it travels in a header.
const MAX_MESSAGE: usize = 1024;

/// Who keeps WorkloadEntries.
pub trait Workloads: Send + Sync + 'static {
    /// A proxy has opened a stream, and waits for the answer before it is served. Whoever was turned away, or left
    /// before the answer, is told gone too.
    fn connect(&self, connection: &Arc<Connection>) -> Answer<'static, Result<(), WorkloadRefusal>>;

    /// What the agent found out about its application: `None` if it is well, else what failed. `id` is that of the
    /// connection.
    fn health(&self, id: u64, failure: Option<String>);

    /// The stream has ended.
    fn disconnect(&self, id: u64);
}

/// Why a proxy is turned away.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadRefusal {
    /// It has not proved who it is.
    #[error("{0}")]
    Unproven(String),
    /// It is somebody else than its entry is for.
    #[error("{0}")]
    Forbidden(String),
    /// What it says of itself makes no entry.
    #[error("{0}")]
    Invalid(String),
    /// What it refers to is not there, or not for it.
    #[error("{0}")]
    Missing(String),
}

impl WorkloadRefusal {
    pub(crate) fn status(&self) -> Status {
        // What a stranger says of itself may be long.
        let message: String = self.to_string().chars().take(MAX_MESSAGE).collect();
        match self {
            Self::Unproven(_) => Status::unauthenticated(message),
            Self::Forbidden(_) => Status::permission_denied(message),
            Self::Invalid(_) => Status::invalid_argument(message),
            Self::Missing(_) => Status::failed_precondition(message),
        }
    }
}

/// What became of entries, by the names of istiod.
#[derive(Clone, Debug)]
pub struct RegistrationMetrics {
    /// Entries made.
    pub success: IntCounter,
    /// Entries that were there and are marked as connected.
    pub updates: IntCounter,
    /// Entries marked as disconnected.
    pub unregistered: IntCounter,
    /// Entries removed, since nobody came back.
    pub deletes: IntCounter,
    /// What could not be done.
    pub errors: IntCounter,
}

impl RegistrationMetrics {
    /// New metrics in a registry.
    pub fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
            let counter = IntCounter::new(format!("auto_registration_{name}_total"), help)?;
            registry.register(Box::new(counter.clone()))?;
            Ok(counter)
        };
        Ok(Self {
            success: counter("success", "Total number of successful auto registrations.")?,
            updates: counter("updates", "Total number of auto registration updates.")?,
            unregistered: counter("unregister", "Total number of unregistrations.")?,
            deletes: counter("deletes", "Total number of auto registered entries cleaned up.")?,
            errors: counter("errors", "Total number of auto registration errors.")?,
        })
    }
}
