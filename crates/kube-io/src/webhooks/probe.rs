//! Whether validation works: a Gateway that every control plane refuses is made as a dry run, which goes the whole way
//! that users' objects go and stores nothing (platform specification, 7.2).

use http::Request;
use kube::Client;
use serde_json::{Value, json};

/// What became of the Gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A webhook for validation refused it.
    Refused,
    /// Nobody can be asked in this way, so that nothing is to be waited for: why.
    Impossible(String),
    /// It was let through, or something else came of it: what.
    Otherwise(String),
}

/// Has a Gateway of this namespace refused that names this revision.
pub async fn probe_validation(client: &Client, namespace: &str, revision: &str) -> Probe {
    let path = format!("/apis/networking.istio.io/v1/namespaces/{namespace}/gateways?dryRun=All");
    let gateway = gateway(namespace, revision);
    let request = Request::post(path).header(http::header::CONTENT_TYPE, "application/json");
    let Ok(request) = request.body(gateway.to_string().into_bytes()) else {
        return Probe::Otherwise(format!("{namespace:?} is no namespace"));
    };
    match client.request::<Value>(request).await {
        Ok(_) => Probe::Otherwise("an invalid Gateway was let through".to_owned()),
        Err(kube::Error::Api(status)) => judge(&status.message),
        Err(error) => Probe::Otherwise(error.to_string()),
    }
}

/// Right but for the annotation, so that no schema refuses it before a webhook is asked.
fn gateway(namespace: &str, revision: &str) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "Gateway",
           "metadata": {"name": "invalid-gateway", "namespace": namespace, "labels": {"istio.io/rev": revision},
                        "annotations": {"internal.istio.io/webhook-always-reject": "true"}},
           "spec": {"servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"},
                                 "hosts": ["invalid-gateway.invalid"]}]}})
}

/// By the words of the API server, which has no others for it.
fn judge(message: &str) -> Probe {
    let message = message.to_owned();
    if message.contains("validation.istio.io\" denied the request") {
        Probe::Refused
    } else if message.contains("the server could not find the requested resource")
        || message.contains("404 page not found")
        || message.contains("does not support dry run")
    {
        Probe::Impossible(message)
    } else {
        Probe::Otherwise(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_by_a_webhook_for_validation_shows_that_it_works() {
        let refused =
            "admission webhook \"rev.validation.istio.io\" denied the request: configuration is invalid";
        assert_eq!(judge(refused), Probe::Refused);
        for other in [
            "admission webhook \"policy.test\" denied the request: no",
            "Internal error occurred: failed calling webhook \"rev.validation.istio.io\": connection refused",
            "gateways.networking.istio.io is forbidden: User \"x\" cannot create resource",
            "gateways.networking.istio.io \"invalid-gateway\" already exists",
            "namespaces \"istio-system\" not found",
        ] {
            assert_eq!(judge(other), Probe::Otherwise(other.to_owned()));
        }
        let missing = "the server could not find the requested resource";
        assert_eq!(judge(missing), Probe::Impossible(missing.to_owned()));
    }

    #[test]
    fn what_is_asked_about_is_wrong_in_nothing_but_the_annotation() {
        let mut gateway = gateway("istio-system", "default");
        let annotations = gateway["metadata"].as_object_mut().unwrap().remove("annotations");
        assert_eq!(annotations.unwrap()["internal.istio.io/webhook-always-reject"], "true");
        assert!(config::parse(gateway, "test").is_ok_and(|object| object.is_some()));
    }
}
