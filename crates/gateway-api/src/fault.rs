//! Why a part of an object does not hold: the reason of a condition, and its message.

/// What is wrong with a part of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The reason of the condition.
    pub(crate) reason: &'static str,
    /// What the user is told.
    pub(crate) message: String,
}

/// A reference to something that may not be referred to.
pub(crate) const REF_NOT_PERMITTED: &str = "RefNotPermitted";
/// A backend that does not exist.
pub(crate) const BACKEND_NOT_FOUND: &str = "BackendNotFound";
/// A reference to something of a kind that cannot stand there.
pub(crate) const INVALID_KIND: &str = "InvalidKind";
/// A reference that cannot be understood.
pub(crate) const INVALID_DESTINATION: &str = "InvalidDestination";
/// A filter that is not known.
pub(crate) const INVALID_FILTER: &str = "InvalidFilter";
/// A value that is not known.
pub(crate) const INVALID_CONFIGURATION: &str = "InvalidConfiguration";
/// A certificate that cannot be used.
pub(crate) const INVALID_CERTIFICATE: &str = "InvalidCertificateRef";

impl Fault {
    /// A fault.
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }

    /// Both faults, under the first one's reason.
    pub(crate) fn joined(first: Option<Self>, second: Option<Self>) -> Option<Self> {
        match (first, second) {
            (Some(first), Some(second)) => {
                Some(Self { message: format!("{}; {}", first.message, second.message), ..first })
            }
            (first, second) => first.or(second),
        }
    }
}
