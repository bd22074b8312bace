//! The webhook's protocol without HTTP: the bytes of an AdmissionReview become the bytes of its answer (platform
//! specification, 7.1). Only what is created or updated is judged. The message of a refusal tells apart what cannot be
//! read, what is of no known kind, and what is invalid.

use config::Kind;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::finding::quoted;
use crate::{Finding, Severity, check};

/// What was done, for metrics and logs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The object may be stored.
    Passed,
    /// Allowed without being judged, which istiod counts as a failure with this reason.
    NotJudged(&'static str),
    /// The object is refused; the reason is one of istiod's, for the metric.
    Refused(&'static str),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The AdmissionReview, as JSON.
    pub body: Vec<u8>,
    /// What was done.
    pub outcome: Outcome,
    /// Group, version and plural name of the kind, for metrics; empty where there is no such kind.
    pub resource: [String; 3],
    /// Whether nothing will be stored; such reviews are in no metric.
    pub is_dry_run: bool,
    /// The message of a refusal; empty otherwise.
    pub message: String,
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

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Asked {
    uid: String,
    operation: String,
    resource: GroupVersionResource,
    namespace: String,
    dry_run: Option<bool>,
    object: Value,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct GroupVersionResource {
    group: String,
    version: String,
    resource: String,
}

const VERSIONS: [&str; 2] = ["admission.k8s.io/v1", "admission.k8s.io/v1beta1"];
/// A longer message is cut.
const MAX_MESSAGE: usize = 8192;

/// Answers a review.
pub fn review(body: &[u8]) -> Answer {
    let review: Review = match serde_json::from_slice(body) {
        Ok(review) => review,
        Err(error) => {
            return refused(
                "",
                Asked::default(),
                "yaml_decode_error",
                format!("the body is no AdmissionReview: {error}"),
            );
        }
    };
    let version = review.api_version;
    if review.kind != "AdmissionReview" || !VERSIONS.contains(&version.as_str()) {
        let message = format!("unsupported {} {}", quoted(&review.kind), quoted(&version));
        return refused("", Asked::default(), "yaml_decode_error", message);
    }
    let Some(mut asked) = review.request else {
        let message = "the AdmissionReview has no request".to_owned();
        return refused(&version, Asked::default(), "yaml_decode_error", message);
    };
    if asked.operation != "CREATE" && asked.operation != "UPDATE" {
        let mut answer = passed(&version, asked, &[]);
        answer.outcome = Outcome::NotJudged("unsupported_operation");
        return answer;
    }
    let object = match prepared(std::mem::take(&mut asked.object), &asked.namespace) {
        Ok(object) => object,
        Err((reason, message)) => return refused(&version, asked, reason, message),
    };
    match check(&object) {
        Err(rejection) => {
            let field =
                if rejection.path.is_empty() { String::new() } else { format!("{}: ", rejection.path) };
            let message = format!("error decoding configuration: {field}{}", rejection.reason);
            refused(&version, asked, "crd_conversion_error", message)
        }
        Ok(findings) => {
            let of = |severity: Severity| -> Vec<&Finding> {
                findings.iter().filter(|finding| finding.severity == severity).collect()
            };
            let errors = of(Severity::Error);
            if errors.is_empty() {
                return passed(&version, asked, &of(Severity::Warning));
            }
            refused(&version, asked, "invalid_resource", invalid(&errors))
        }
    }
}

/// The object with what `config` asks of stored ones, or why it is none of ours.
fn prepared(object: Value, namespace: &str) -> Result<Value, (&'static str, String)> {
    let Value::Object(mut object) = object else {
        return Err(("yaml_decode_error", "cannot decode configuration: the object is missing".to_owned()));
    };
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (api_version, kind_name) = (text("apiVersion"), text("kind"));
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    // Kinds of Kubernetes itself are read, but not ours to judge.
    let is_ours = group.ends_with(".istio.io") || group.contains(".networking.");
    let Some(kind) = Kind::from_group_kind(group, &kind_name).filter(|_| is_ours) else {
        let message = format!("unrecognized type {} of group {}", quoted(&kind_name), quoted(group));
        return Err(("unknown_type", message));
    };
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    if let Some(extra) =
        object.keys().find(|name| group.ends_with("istio.io") && !known.contains(&name.as_str()))
    {
        let message = format!("unknown field {}: the content of a {kind} stands below spec", quoted(extra));
        return Err(("invalid_resource", message));
    }
    // Whichever version it is, one type serves all.
    if let Some(version) = kind.versions().first() {
        let api_version = if group.is_empty() { (*version).to_owned() } else { format!("{group}/{version}") };
        object.insert("apiVersion".to_owned(), Value::String(api_version));
    }
    let metadata = object.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(metadata) = metadata {
        let is_missing = |metadata: &Map<String, Value>, name: &str| {
            metadata.get(name).and_then(Value::as_str).is_none_or(str::is_empty)
        };
        // The API server gives generated names their end after this, so any end will do.
        if is_missing(metadata, "name") {
            let prefix = metadata.get("generateName").and_then(Value::as_str).unwrap_or_default();
            metadata.insert("name".to_owned(), Value::String(format!("{prefix}0")));
        }
        if is_missing(metadata, "namespace") && !namespace.is_empty() {
            metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
        }
    }
    Ok(Value::Object(object))
}

fn invalid(errors: &[&Finding]) -> String {
    match errors {
        [error] => format!("configuration is invalid: {error}"),
        errors => {
            let list: Vec<String> = errors.iter().map(|error| format!("\t* {error}\n")).collect();
            format!("configuration is invalid: {} errors occurred:\n{}", errors.len(), list.concat())
        }
    }
}

fn refused(version: &str, asked: Asked, reason: &'static str, message: String) -> Answer {
    let message: String = message.chars().take(MAX_MESSAGE).collect();
    let response = json!({
        "uid": asked.uid,
        "allowed": false,
        "status": {"metadata": {}, "message": message},
    });
    answer(version, asked, response, Outcome::Refused(reason), message)
}

fn passed(version: &str, asked: Asked, warnings: &[&Finding]) -> Answer {
    let mut response = json!({"uid": asked.uid, "allowed": true});
    if !warnings.is_empty() {
        response["warnings"] = warnings.iter().map(|warning| Value::String(warning.to_string())).collect();
    }
    answer(version, asked, response, Outcome::Passed, String::new())
}

fn answer(version: &str, asked: Asked, response: Value, outcome: Outcome, message: String) -> Answer {
    let version = if version.is_empty() { VERSIONS[0] } else { version };
    let review = json!({"kind": "AdmissionReview", "apiVersion": version, "response": response});
    Answer {
        body: review.to_string().into_bytes(),
        outcome,
        resource: known(asked.resource),
        is_dry_run: asked.dry_run.unwrap_or_default(),
        message,
    }
}

/// What is no kind of ours is left empty: whoever reaches the webhook could make series of metrics without end.
fn known(asked: GroupVersionResource) -> [String; 3] {
    let GroupVersionResource { group, version, resource } = asked;
    let is_known = Kind::ALL.iter().any(|kind| {
        let name = kind.name().to_ascii_lowercase();
        let end = resource.strip_prefix(name.trim_end_matches('y'));
        kind.group() == group
            && kind.versions().contains(&version.as_str())
            && end.is_some_and(|end| matches!(end, "s" | "ys" | "ies"))
    });
    if is_known { [group, version, resource] } else { Default::default() }
}
