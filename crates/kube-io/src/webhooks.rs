//! What the API server needs to call our webhooks: the roots in every webhook configuration of our revision, and for
//! validation that a call which fails refuses, once validation is known to work (platform specification, 6.7 and 7.2).
//! A configuration is written whole over the version that was read, so that what others wrote meanwhile stays.

mod probe;

use http::Request;
use k8s_openapi::ByteString;
use kube::Client;
use serde_json::{Value, json};

use crate::RequestError;

pub use probe::{Probe, probe_validation};

const GROUP: &str = "/apis/admissionregistration.k8s.io/v1";

/// Which webhook configurations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookKind {
    /// MutatingWebhookConfigurations, and their entries for injection.
    Injection,
    /// ValidatingWebhookConfigurations, and their entries for objects of the mesh.
    Validation,
}

/// What was found and done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptWebhooks {
    /// The configurations that were written.
    pub changed: Vec<String>,
    /// Those with entries of ours that let through what could not be asked about.
    pub lenient: Vec<String>,
    /// Those that somebody else wrote in between; the next call finds them as they are by then.
    pub overtaken: Vec<String>,
    /// Those that could not be written, and why.
    pub failed: Vec<(String, RequestError)>,
}

/// Tells, of an entry by its configuration and name and of the roots in it, which are to be there instead; `None` if
/// it is right.
pub type Roots<'a> = dyn Fn(&str, &[u8]) -> Option<String> + Send + Sync + 'a;

impl WebhookKind {
    fn resource(self) -> &'static str {
        match self {
            Self::Injection => "mutatingwebhookconfigurations",
            Self::Validation => "validatingwebhookconfigurations",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Injection => "MutatingWebhookConfiguration",
            Self::Validation => "ValidatingWebhookConfiguration",
        }
    }

    /// Configurations may have entries of others, which are left to these.
    fn is_ours(self, entry: &Value) -> bool {
        let end = match self {
            Self::Injection => "sidecar-injector.istio.io",
            Self::Validation => "validation.istio.io",
        };
        entry["name"].as_str().is_some_and(|name| name.ends_with(end))
    }
}

/// Goes through all configurations labelled with a revision, those of tags included, and writes what is not as it
/// should be. `is_strict`: entries for validation refuse what could not be asked about.
pub async fn keep_webhooks(
    client: &Client,
    kind: WebhookKind,
    revision: &str,
    roots: &Roots<'_>,
    is_strict: bool,
) -> Result<KeptWebhooks, RequestError> {
    let collection = format!("{GROUP}/{}", kind.resource());
    let path = format!("{collection}?labelSelector=istio.io%2Frev%3D{revision}");
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let mut list: Value = client.request(request).await?;
    let mut kept = KeptWebhooks::default();
    let items = list["items"].as_array_mut().map(std::mem::take).unwrap_or_default();
    for mut configuration in items {
        let name = configuration["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let is_changed = correct(&mut configuration, kind, &name, roots, is_strict);
        if kind == WebhookKind::Validation && is_lenient(&configuration) {
            kept.lenient.push(name.clone());
        }
        if !is_changed || name.is_empty() {
            continue;
        }
        // Items of a list do not say what they are.
        configuration["apiVersion"] = json!("admissionregistration.k8s.io/v1");
        configuration["kind"] = json!(kind.name());
        let request = Request::put(format!("{collection}/{name}"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(configuration.to_string().into_bytes())
            .map_err(kube::Error::HttpError)?;
        match client.request::<Value>(request).await {
            Ok(_) => kept.changed.push(name),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => kept.overtaken.push(name),
            Err(error) => kept.failed.push((name, error.into())),
        }
    }
    Ok(kept)
}

/// Makes the entries of ours what they should be; false if they are.
fn correct(
    configuration: &mut Value,
    kind: WebhookKind,
    name: &str,
    roots: &Roots<'_>,
    is_strict: bool,
) -> bool {
    let mut is_changed = false;
    let entries = configuration["webhooks"].as_array_mut().into_iter().flatten();
    for entry in entries.filter(|entry| kind.is_ours(entry)) {
        let place = format!("{name}/{}", entry["name"].as_str().unwrap_or_default());
        let bundle = serde_json::from_value::<ByteString>(entry["clientConfig"]["caBundle"].clone());
        if let Some(wanted) = roots(&place, &bundle.unwrap_or_default().0) {
            entry["clientConfig"]["caBundle"] = json!(ByteString(wanted.into_bytes()));
            is_changed = true;
        }
        if kind == WebhookKind::Validation && is_strict && lets_through(entry) {
            entry["failurePolicy"] = json!("Fail");
            is_changed = true;
        }
    }
    is_changed
}

fn is_lenient(configuration: &Value) -> bool {
    let mut entries = configuration["webhooks"].as_array().into_iter().flatten();
    entries.any(|entry| WebhookKind::Validation.is_ours(entry) && lets_through(entry))
}

/// Where nothing is said, the API server has `Fail`.
fn lets_through(entry: &Value) -> bool {
    entry["failurePolicy"].as_str().is_some_and(|policy| policy != "Fail")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, bundle: &str, policy: &str) -> Value {
        let bundle = ByteString(bundle.as_bytes().to_vec());
        json!({"name": name, "clientConfig": {"caBundle": bundle}, "failurePolicy": policy})
    }

    fn new_roots(_: &str, bundle: &[u8]) -> Option<String> {
        (bundle != b"new").then(|| "new".to_owned())
    }

    #[test]
    fn only_entries_for_injection_that_lack_the_roots_are_changed() {
        let (ours, right) = ("rev.namespace.sidecar-injector.istio.io", "object.sidecar-injector.istio.io");
        let mut configuration = json!({"webhooks": [
            entry(ours, "old", "Ignore"), entry("other.test", "old", "Ignore"), entry(right, "new", "Fail"),
            {"name": "namespace.sidecar-injector.istio.io"}, {"name": 7}, null]});
        assert!(correct(&mut configuration, WebhookKind::Injection, "injector", &new_roots, true));
        let mut added = entry("namespace.sidecar-injector.istio.io", "new", "");
        added.as_object_mut().unwrap().remove("failurePolicy");
        let wanted = json!({"webhooks": [
            entry(ours, "new", "Ignore"), entry("other.test", "old", "Ignore"), entry(right, "new", "Fail"),
            added, {"name": 7}, null]});
        assert_eq!(configuration, wanted, "what a Pod meets without us is the user's to say");
        assert!(!correct(&mut configuration, WebhookKind::Injection, "injector", &new_roots, true));
    }

    #[test]
    fn validation_becomes_strict_only_when_told_and_never_lenient() {
        let (lenient, strict) = ("validation.istio.io", "rev.validation.istio.io");
        let mut configuration = json!({"webhooks": [
            entry(lenient, "new", "Ignore"), entry(strict, "new", "Fail"), entry("other.test", "", "Ignore")]});
        let before = configuration.clone();
        assert!(!correct(&mut configuration, WebhookKind::Validation, "validator", &new_roots, false));
        assert_eq!(configuration, before);
        assert!(is_lenient(&configuration));
        assert!(correct(&mut configuration, WebhookKind::Validation, "validator", &new_roots, true));
        assert_eq!(configuration["webhooks"][0]["failurePolicy"], "Fail");
        assert_eq!(configuration["webhooks"][2], before["webhooks"][2]);
        assert!(!is_lenient(&configuration), "entries of others do not count");
    }

    #[test]
    fn a_configuration_without_entries_is_left_alone() {
        for mut configuration in
            [json!({}), json!({"webhooks": null}), json!({"webhooks": "text"}), json!(null)]
        {
            assert!(!correct(&mut configuration, WebhookKind::Validation, "odd", &new_roots, true));
        }
    }
}
