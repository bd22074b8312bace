//! What is said of an object, and the list that rules add to.

use std::fmt;

use crate::cursor::Node;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Probably not what was meant; the object is accepted.
    Warning,
    /// The object cannot work and is refused.
    Error,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Info => "Info",
            Self::Warning => "Warning",
            Self::Error => "Error",
        })
    }
}

/// One thing found in one object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Finding {
    /// How much it matters.
    pub severity: Severity,
    /// The code, as `istioctl analyze` has it: IST0106 for what is invalid, IST0133 for warnings of the schema.
    pub code: &'static str,
    /// The field, as in `spec.http[0].route[1].weight`; empty for the whole object.
    pub path: String,
    /// What is wrong and what would be right.
    pub message: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

/// Longer values are cut where a message quotes them.
const MAX_QUOTED: usize = 200;
/// More findings of one object help nobody.
const MAX_FINDINGS: usize = 500;

/// A value as messages quote it.
pub(crate) fn quoted(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The findings so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Finding>,
}

impl Findings {
    /// Adds an error at a field.
    pub(crate) fn error(&mut self, at: &Node<'_>, message: impl Into<String>) {
        self.add(Severity::Error, "IST0106", at, message.into());
    }

    /// Adds an error at a field if the check failed.
    pub(crate) fn require(&mut self, at: &Node<'_>, outcome: Result<(), String>) {
        if let Err(message) = outcome {
            self.error(at, message);
        }
    }

    /// Adds a warning at a field.
    pub(crate) fn warn(&mut self, at: &Node<'_>, message: impl Into<String>) {
        self.add(Severity::Warning, "IST0133", at, message.into());
    }

    /// Adds a warning that has a code of its own.
    pub(crate) fn warn_as(&mut self, code: &'static str, at: &Node<'_>, message: impl Into<String>) {
        self.add(Severity::Warning, code, at, message.into());
    }

    fn add(&mut self, severity: Severity, code: &'static str, at: &Node<'_>, message: String) {
        if self.list.len() < MAX_FINDINGS {
            self.list.push(Finding { severity, code, path: at.path().to_owned(), message });
        }
    }
}
