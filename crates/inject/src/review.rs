//! The webhook's protocol without HTTP: the bytes of an AdmissionReview become the bytes of its answer (platform
//! specification, 6.1). A pod that needs no proxy is let through as it is; one that cannot be injected is refused with
//! the reason.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::config::Object;
use proto::istio::mesh::MeshConfig;
use proto::istio::networking_beta::ProxyConfig as ProxyConfigObject;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::functions::base64;
use crate::{Config, Decision, Environment, Request, decide, inject, owner, pod};

/// Everything that answers to reviews depend on.
#[derive(Clone, Debug)]
pub struct Injector {
    /// Templates, policy and values.
    pub config: Arc<Config>,
    /// The mesh's configuration.
    pub mesh: Arc<MeshConfig>,
    /// All ProxyConfig objects, oldest first.
    pub proxy_configs: Vec<Arc<Object<ProxyConfigObject>>>,
    /// The control plane's revision; empty for the default one.
    pub revision: String,
    /// Whether proxies are init containers, where the pod says nothing.
    pub native_sidecars: NativeSidecars,
    /// Annotations of namespaces, on OpenShift; nothing elsewhere.
    pub openshift: Option<BTreeMap<String, BTreeMap<String, String>>>,
    /// The policy of ciphers that proxies follow; empty for none.
    pub compliance_policy: String,
    /// What templates see of the environment.
    pub environment: Arc<dyn Environment>,
}

/// Where init containers may keep running beside the others.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NativeSidecars {
    /// On every node.
    pub everywhere: bool,
    /// What differs, by node.
    pub nodes: BTreeMap<String, bool>,
}

impl NativeSidecars {
    /// Whether a pod of this node, or of any if it has none yet, may have them.
    fn on(&self, node: &str) -> bool {
        self.nodes.get(node).copied().unwrap_or(self.everywhere)
    }
}

/// What was done, for metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The pod gets a proxy.
    Injected,
    /// The pod stays as it is.
    Skipped(&'static str),
    /// The pod is refused, or the review could not be read.
    Failed(String),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The AdmissionReview, as JSON.
    pub body: Vec<u8>,
    /// What was done.
    pub outcome: Outcome,
    /// The pod, as namespace and name, as far as they are known.
    pub pod: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Review {
    #[serde(default)]
    api_version: String,
    #[serde(default)]
    kind: String,
    request: Option<Asked>,
}

#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    namespace: String,
    #[serde(default)]
    object: Value,
}

const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];

/// Answers a review that came to a path: `/inject`, or with variables for the proxy behind it.
pub fn review(body: &[u8], path: &str, injector: &Injector) -> Answer {
    let review: Review = match serde_json::from_slice(body) {
        Ok(review) => review,
        Err(error) => {
            return failed("", "", String::new(), format!("the body is no AdmissionReview: {error}"));
        }
    };
    let version = review.api_version.as_str();
    if review.kind != "AdmissionReview" || !VERSIONS.contains(&version) {
        let message = format!("unsupported {} {:?}", review.kind, review.api_version);
        return failed("", "", String::new(), message);
    }
    let Some(asked) = review.request else {
        return failed(version, "", String::new(), "the AdmissionReview has no request".to_owned());
    };
    let namespace = match pod::meta(&asked.object, "namespace") {
        "" => asked.namespace.as_str(),
        namespace => namespace,
    };
    let name = match (pod::meta(&asked.object, "name"), pod::meta(&asked.object, "generateName")) {
        ("", prefix) => format!("{namespace}/{prefix}*"),
        (name, _) => format!("{namespace}/{name}"),
    };
    let kind = asked.object.get("kind").and_then(Value::as_str).unwrap_or("Pod");
    if asked.object.is_null() || kind != "Pod" {
        let warning = format!("only Pods are injected: this {kind} stays as it is");
        let response = json!({"uid": asked.uid, "allowed": true, "warnings": [warning]});
        return answer(version, response, Outcome::Skipped("it is no Pod"), name);
    }
    let decision = decide(&asked.object, namespace, &injector.config);
    if let Some(reason) = decision.reason().filter(|_| decision != Decision::Inject) {
        let response = json!({"uid": asked.uid, "allowed": true});
        return answer(version, response, Outcome::Skipped(reason), name);
    }
    let node = asked.object.pointer("/spec/nodeName").and_then(Value::as_str).unwrap_or_default();
    let request = Request {
        pod: &asked.object,
        namespace,
        namespace_annotations: injector
            .openshift
            .as_ref()
            .and_then(|namespaces| namespaces.get(namespace).cloned())
            .unwrap_or_default(),
        owner: owner(&asked.object, namespace),
        mesh: &injector.mesh,
        proxy_configs: &injector.proxy_configs,
        config: &injector.config,
        revision: &injector.revision,
        native_sidecars: injector.native_sidecars.on(node),
        path_variables: variables(path),
        openshift: injector.openshift.is_some(),
        compliance_policy: &injector.compliance_policy,
        environment: Arc::clone(&injector.environment),
    };
    match inject(&request) {
        Ok(injection) => {
            let patch = serde_json::to_vec(&injection.patch).unwrap_or_default();
            let response = json!({
                "uid": asked.uid,
                "allowed": true,
                "patch": base64(&patch),
                "patchType": "JSONPatch",
            });
            answer(version, response, Outcome::Injected, name)
        }
        Err(message) => failed(version, &asked.uid, name, message),
    }
}

fn failed(version: &str, uid: &str, pod: String, message: String) -> Answer {
    let message: String = message.chars().take(8192).collect();
    let response = json!({"uid": uid, "allowed": false, "status": {"metadata": {}, "message": message}});
    answer(version, response, Outcome::Failed(message), pod)
}

fn answer(version: &str, response: Value, outcome: Outcome, pod: String) -> Answer {
    let version = if version.is_empty() { "admission.k8s.io/v1" } else { version };
    let review = json!({"kind": "AdmissionReview", "apiVersion": version, "response": response});
    Answer { body: review.to_string().into_bytes(), outcome, pod }
}

/// The variables that a path has for the proxy: `/inject/cluster/east/net/n1`, any name and value in turn, where
/// `--slash--` stands for a slash; or the older `/inject/:ENV:name=value:ENV:…`.
pub fn variables(path: &str) -> BTreeMap<String, String> {
    let path = path.trim_end_matches('/').trim_start_matches('/');
    let Some((_, rest)) = path.split_once('/') else { return BTreeMap::new() };
    let mut variables = BTreeMap::new();
    let mut add = |name: &str, value: String| {
        let name = match name {
            "cluster" => "ISTIO_META_CLUSTER_ID".to_owned(),
            "net" => "ISTIO_META_NETWORK".to_owned(),
            other => other.to_uppercase(),
        };
        if !name.is_empty() {
            variables.insert(name, value);
        }
    };
    if rest.starts_with(":ENV:") {
        for pair in rest.split(":ENV:") {
            if let Some((name, value)) = pair.split_once('=') {
                add(&decoded(name), decoded(value));
            }
        }
        return variables;
    }
    let mut parts = rest.split('/');
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        add(&decoded(name), decoded(value).replace("--slash--", "/"));
    }
    variables
}

/// Undoes the percent encoding of a path; what is none stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let digits = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(2..).unwrap_or_default() } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
