//! Whether a pod gets a proxy: the first rule that has something to say decides (platform specification, 6.2).

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::{Config, Policy};
use crate::pod;

/// Namespaces whose pods the cluster itself needs.
const SYSTEM: [&str; 4] = ["kube-system", "kube-public", "kube-node-lease", "local-path-storage"];
const INJECT: &str = "sidecar.istio.io/inject";

/// What was decided, and by what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The pod gets a proxy.
    Inject,
    /// It uses the network of its node, whose routing must not be changed.
    HostNetwork,
    /// It is in a namespace of the cluster itself.
    SystemNamespace,
    /// It refuses, by label or annotation.
    Refused,
    /// `neverInjectSelector` chooses it.
    NeverSelected,
    /// It says nothing, and the policy is against it.
    Policy,
}

impl Decision {
    /// Why a pod is left as it is, in words for a person; nothing if it is not.
    pub fn reason(self) -> Option<&'static str> {
        match self {
            Self::Inject => None,
            Self::HostNetwork => Some("it has host networking enabled"),
            Self::SystemNamespace => Some("its namespace is one of the cluster itself"),
            Self::Refused => Some("it has sidecar injection disabled"),
            Self::NeverSelected => Some("neverInjectSelector chooses it"),
            Self::Policy => Some("the policy is to inject only pods that ask"),
        }
    }
}

/// Decides for a pod in a namespace.
pub fn decide(pod: &Value, namespace: &str, config: &Config) -> Decision {
    let flag = pod.pointer("/spec/hostNetwork").and_then(Value::as_bool);
    if flag == Some(true) {
        return Decision::HostNetwork;
    }
    if SYSTEM.contains(&namespace) {
        return Decision::SystemNamespace;
    }
    let said = pod::label(pod, INJECT).or_else(|| pod::annotation(pod, INJECT));
    let asks = match said {
        Some("true") => Some(true),
        Some("false") => Some(false),
        // Anything else is as good as nothing.
        _ => selected(&pod::strings(pod, "labels"), config),
    };
    match (config.policy, asks) {
        (Policy::Unknown, _) => Decision::Policy,
        (_, Some(true)) | (Policy::Enabled, None) => Decision::Inject,
        (_, Some(false)) if said == Some("false") => Decision::Refused,
        (_, Some(false)) => Decision::NeverSelected,
        (Policy::Disabled, None) => Decision::Policy,
    }
}

fn selected(labels: &BTreeMap<String, String>, config: &Config) -> Option<bool> {
    if config.never.iter().any(|selector| selector.matches(labels)) {
        Some(false)
    } else if config.always.iter().any(|selector| selector.matches(labels)) {
        Some(true)
    } else {
        None
    }
}
