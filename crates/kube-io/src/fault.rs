//! Why a request did not bring what it should, sorted by what is to be done about it.

use kube::core::Status;

/// A failure of a list or a watch.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The version to go on from is too old, or its stream is spoilt: everything must be listed again.
    Expired(String),
    /// Anything else: ask again later.
    Failed(String),
}

impl Fault {
    /// What a status of the API server means.
    pub(crate) fn of_status(status: &Status) -> Self {
        let message = format!("{} ({})", status.message, status.code);
        if status.code == 410 || matches!(status.reason.as_str(), "Expired" | "Gone") {
            Self::Expired(message)
        } else {
            Self::Failed(message)
        }
    }

    pub(crate) fn message(&self) -> &str {
        match self {
            Self::Expired(message) | Self::Failed(message) => message,
        }
    }
}

impl From<kube::Error> for Fault {
    fn from(error: kube::Error) -> Self {
        match error {
            kube::Error::Api(status) => Self::of_status(&status),
            error => {
                // The chain says "connection refused" at its end only.
                let mut message = error.to_string();
                let mut source = std::error::Error::source(&error);
                while let Some(inner) = source {
                    let text = inner.to_string();
                    if !message.contains(&text) {
                        message = format!("{message}: {text}");
                    }
                    source = inner.source();
                }
                Self::Failed(message)
            }
        }
    }
}
