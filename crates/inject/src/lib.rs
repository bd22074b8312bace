//! A pod, as the API server would create it, becomes the pod with a proxy beside its containers, and the JSON patch that
//! leads there; or the reason why it stays as it is (platform specification, section 6).
//!
//! [`Config`] is what the ConfigMap `istio-sidecar-injector` says, [`Request`] what is known of one pod, and
//! [`inject`] the way from these to an [`Injection`]. Templates come from users and pods from anyone: no text of either
//! may make this crate panic, run long or take much memory.

mod annotations;
mod budget;
mod config;
mod data;
mod decision;
mod functions;
mod image;
mod inject;
mod merge;
mod openshift;
mod overrides;
mod owner;
mod pod;
mod probes;
mod proxy_config;
mod review;
mod scraping;
mod shape;
mod template;
mod value;
mod workload;

pub use crate::config::{Config, Policy, Selector, Values};
pub use decision::{Decision, decide};
pub use inject::{Injection, Request, inject};
pub use owner::{Owner, owner};
pub use review::{Answer, Injector, NativeSidecars, Outcome, review, variables};
pub use template::Template;
pub use workload::{Injected, inject_text};

/// Answers the function `env` of templates: the crate itself never looks at the environment.
pub trait Environment: std::fmt::Debug + Send + Sync {
    /// The value of a variable.
    fn variable(&self, name: &str) -> Option<String>;
}

/// No variables at all.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoEnvironment;

impl Environment for NoEnvironment {
    fn variable(&self, _: &str) -> Option<String> {
        None
    }
}
