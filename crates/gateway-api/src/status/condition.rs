//! One condition.

use crate::fault::Fault;

/// A condition of an object, or of a part of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Its type.
    pub kind: &'static str,
    /// Whether it holds.
    pub holds: bool,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

impl Condition {
    /// One that holds.
    pub(super) fn holding(kind: &'static str, reason: &str, message: impl Into<String>) -> Self {
        Self { kind, holds: true, reason: reason.to_owned(), message: message.into() }
    }

    /// One that holds unless there is a fault.
    pub(super) fn unless(
        fault: Option<&Fault>,
        kind: &'static str,
        reason: &str,
        message: impl Into<String>,
    ) -> Self {
        match fault {
            None => Self::holding(kind, reason, message),
            Some(fault) => {
                Self { kind, holds: false, reason: fault.reason.to_owned(), message: fault.message.clone() }
            }
        }
    }
}
