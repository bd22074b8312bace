//! Certificates that a signer of the cluster signs: a CertificateSigningRequest is made, approved, awaited and taken
//! away again (platform specification, 5.2).

use std::time::Duration;

use http::Request;
use k8s_openapi::ByteString;
use kube::Client;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::RequestError;
use crate::trust::send;

const COLLECTION: &str = "/apis/certificates.k8s.io/v1/certificatesigningrequests";
/// The first pause before a request is looked at again, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What shall be signed, and by whom.
#[derive(Clone, Debug)]
pub struct SigningRequest {
    /// What its name begins with.
    pub prefix: &'static str,
    /// The request in PEM.
    pub pem: String,
    /// `domain/path`
    pub signer: String,
    /// In seconds; the API server takes 600 at least. Signers may give less.
    pub lifetime: i64,
    /// `digital signature`, `server auth` and the like.
    pub usages: &'static [&'static str],
    /// How long to wait for the signer.
    pub patience: Duration,
}

/// Lets a signer sign and returns what it issued, in PEM. Nothing of it stays in the API server.
pub async fn sign_by_cluster(client: &Client, request: &SigningRequest) -> Result<String, RequestError> {
    let object = json!({"apiVersion": "certificates.k8s.io/v1", "kind": "CertificateSigningRequest",
        "metadata": {"generateName": request.prefix},
        "spec": {"request": ByteString(request.pem.clone().into_bytes()), "signerName": request.signer,
                 "expirationSeconds": request.lifetime, "usages": request.usages}});
    let made = send(client, Request::post(COLLECTION), Some(&object)).await?;
    let name = made["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let path = format!("{COLLECTION}/{name}");
    let outcome = approve_and_wait(client, request, made, &path).await;
    // Signed or not, nobody needs it any more; what cannot be taken away the cluster collects after a while.
    if let Err(error) = send(client, Request::delete(path.as_str()), None).await {
        tracing::debug!(scope = "ca", "the request {name} stays: {error}");
    }
    outcome
}

async fn approve_and_wait(
    client: &Client,
    request: &SigningRequest,
    mut made: Value,
    path: &str,
) -> Result<String, RequestError> {
    made["status"]["conditions"] = json!([{"type": "Approved", "status": "True",
        "reason": "Trierarch", "message": "the identity of the caller was verified"}]);
    send(client, Request::put(format!("{path}/approval")), Some(&made)).await?;
    let deadline = Instant::now() + request.patience;
    let mut pause = PAUSES.0;
    loop {
        let found = send(client, Request::get(path), None).await?;
        let status = &found["status"];
        for condition in status["conditions"].as_array().into_iter().flatten() {
            if matches!(condition["type"].as_str(), Some("Denied" | "Failed")) {
                let said = condition["message"].as_str().or(condition["reason"].as_str()).unwrap_or_default();
                let said: String = said.chars().take(300).collect();
                return Err(RequestError::new(format!("the signer {} refused: {said}", request.signer)));
            }
        }
        if let Ok(issued) = serde_json::from_value::<ByteString>(status["certificate"].clone())
            && !issued.0.is_empty()
        {
            let not_text = |_| RequestError::new(format!("the signer {} answered no text", request.signer));
            return String::from_utf8(issued.0).map_err(not_text);
        }
        if Instant::now() >= deadline {
            let (signer, patience) = (&request.signer, request.patience);
            return Err(RequestError::new(format!("the signer {signer} did not sign within {patience:?}")));
        }
        sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}
