//! Writing into the status of an object, as only controllers of a leader do.

use config::ConfigKey;
use http::Request;
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
        config::Kind::ServiceEntry => "serviceentries",
        config::Kind::WorkloadEntry => "workloadentries",
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
