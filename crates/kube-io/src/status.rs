//! Writing into the status of an object, as only controllers of a leader do.

use config::{ConfigKey, Kind};
use http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::Value;

use crate::fault::Fault;
use crate::place::Place;

/// Why a status was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
#[error("the status of {key} cannot be written: {reason}")]
pub struct WriteError {
    /// The object.
    pub key: ConfigKey,
    /// What the API server or the way to it said.
    pub reason: String,
}

/// Merges these members into the status of an object of a kind with a definition; null removes a member. False if the
/// object is gone, which is no error: it was known a moment ago.
pub async fn merge_status(client: &Client, key: &ConfigKey, status: &Value) -> Result<bool, WriteError> {
    let failed = |reason: String| WriteError { key: key.clone(), reason };
    let Some(version) = key.kind.versions().first() else { return Ok(false) };
    let plural = match key.kind {
        Kind::ServiceEntry => "serviceentries",
        Kind::WorkloadEntry => "workloadentries",
        kind => return Err(failed(format!("the status of a {kind} is not ours to write"))),
    };
    let version = Place::of(key.kind, version, plural).api_version();
    let path = format!("/apis/{version}/namespaces/{}/{plural}/{}/status", key.namespace, key.name);
    let request = Request::patch(path)
        .header(http::header::CONTENT_TYPE, "application/merge-patch+json")
        .body(serde_json::json!({"status": status}).to_string().into_bytes())
        .map_err(|error| failed(error.to_string()))?;
    match client.request_text(request).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
        Err(error) => Err(failed(Fault::from(error).message().to_owned())),
    }
}

/// Puts the status in place that `made` makes of the one that is there and of the time, in RFC 3339. Nothing is written
/// when both are equal. False if the object is gone. Somebody else's write in between is an error: what was made is of
/// a status that is no more.
pub async fn replace_status(
    client: &Client,
    key: &ConfigKey,
    made: impl Fn(Option<&Value>, &str) -> Value,
) -> Result<bool, WriteError> {
    let failed = |reason: String| WriteError { key: key.clone(), reason };
    let fault = |error: kube::Error| failed(Fault::from(error).message().to_owned());
    let Some(plural) = plural(key.kind) else {
        return Err(failed(format!("the status of a {} is not ours to write", key.kind)));
    };
    // Which versions are served is up to the definition that is installed.
    for version in key.kind.versions() {
        let version = Place::of(key.kind, version, plural).api_version();
        let path = if key.kind.is_namespaced() {
            format!("/apis/{version}/namespaces/{}/{plural}/{}", key.namespace, key.name)
        } else {
            format!("/apis/{version}/{plural}/{}", key.name)
        };
        let request = Request::get(&path).body(Vec::new()).map_err(|error| failed(error.to_string()))?;
        let mut object: Value = match client.request(request).await {
            Ok(object) => object,
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(fault(error)),
        };
        let existing = object.get("status");
        let status = made(existing, &now());
        if existing == Some(&status) {
            return Ok(true);
        }
        let Some(members) = object.as_object_mut() else {
            return Err(failed("the answer is no object".to_owned()));
        };
        members.insert("status".to_owned(), status);
        let request = Request::put(format!("{path}/status"))
            .header(http::header::CONTENT_TYPE, "application/json")
            .body(object.to_string().into_bytes())
            .map_err(|error| failed(error.to_string()))?;
        return match client.request_text(request).await {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(false),
            Err(error) => Err(fault(error)),
        };
    }
    Ok(false)
}

/// The moment, to the second, as conditions state it.
fn now() -> String {
    Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// The plural of kinds whose status is replaced as a whole.
fn plural(kind: Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::GatewayClass => "gatewayclasses",
        Kind::KubernetesGateway => "gateways",
        Kind::ListenerSet => "listenersets",
        Kind::HttpRoute => "httproutes",
        Kind::GrpcRoute => "grpcroutes",
        Kind::TlsRoute => "tlsroutes",
        Kind::TcpRoute => "tcproutes",
        Kind::BackendTlsPolicy => "backendtlspolicies",
        Kind::XBackendTrafficPolicy => "xbackendtrafficpolicies",
        Kind::Ingress => "ingresses",
        _ => return None,
    })
}
