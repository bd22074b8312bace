//! What the API server needs to trust our webhooks: the roots, in every webhook configuration of our revision
//! (platform specification, 6.7).

use http::Request;
use k8s_openapi::ByteString;
use kube::Client;
use serde_json::{Value, json};

use crate::RequestError;

const CONFIGURATIONS: &str = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";

/// Makes the entries for injection of all MutatingWebhookConfigurations labelled with a revision, tags included, hold
/// these roots. Returns the names of those that were changed. One that was changed by others meanwhile is left for the
/// next call.
pub async fn keep_injection_roots(
    client: &Client,
    revision: &str,
    roots: &str,
) -> Result<Vec<String>, RequestError> {
    let path = format!("{CONFIGURATIONS}?labelSelector=istio.io%2Frev%3D{revision}");
    let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
    let list: Value = client.request(request).await?;
    let bundle = serde_json::to_value(ByteString(roots.as_bytes().to_vec())).unwrap_or_default();
    let mut changed = Vec::new();
    for configuration in list["items"].as_array().into_iter().flatten() {
        let patch = patch(configuration, &bundle);
        let name = configuration["metadata"]["name"].as_str().unwrap_or_default();
        if patch.is_empty() || name.is_empty() {
            continue;
        }
        let request = Request::patch(format!("{CONFIGURATIONS}/{name}"))
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .body(Value::Array(patch).to_string().into_bytes())
            .map_err(kube::Error::HttpError)?;
        match client.request::<Value>(request).await {
            Ok(_) => changed.push(name.to_owned()),
            // Gone, or its entries are others by now.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409 | 422) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(changed)
}

/// The JSON patch that brings the roots into the entries for injection; empty if they are there.
fn patch(configuration: &Value, bundle: &Value) -> Vec<Value> {
    let mut patch = Vec::new();
    for (index, webhook) in configuration["webhooks"].as_array().into_iter().flatten().enumerate() {
        let is_ours =
            webhook["name"].as_str().is_some_and(|name| name.ends_with("sidecar-injector.istio.io"));
        if is_ours && webhook["clientConfig"]["caBundle"] != *bundle {
            let at = format!("/webhooks/{index}");
            patch.push(json!({"op": "test", "path": format!("{at}/name"), "value": webhook["name"]}));
            patch.push(json!({"op": "add", "path": format!("{at}/clientConfig/caBundle"), "value": bundle}));
        }
    }
    patch
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_entries_for_injection_that_lack_the_roots_are_patched() {
        let entry = |name: &str, bundle: &str| json!({"name": name, "clientConfig": {"caBundle": bundle}});
        let configuration = json!({"webhooks": [
            entry("rev.namespace.sidecar-injector.istio.io", "old"),
            entry("other.test", "old"),
            entry("object.sidecar-injector.istio.io", "new"),
        ]});
        let wanted = json!([
            {"op": "test", "path": "/webhooks/0/name", "value": "rev.namespace.sidecar-injector.istio.io"},
            {"op": "add", "path": "/webhooks/0/clientConfig/caBundle", "value": "new"},
        ]);
        assert_eq!(Value::Array(patch(&configuration, &json!("new"))), wanted);
    }
}
