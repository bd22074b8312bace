//! What the certificate authority keeps in and asks of the API server: the Secret of its root, the ConfigMap by which
//! workloads learn the roots, whose token this is, and who may read Secrets (platform specification, 2.8 and 5.2).

use std::collections::BTreeMap;

use http::Request;
use k8s_openapi::ByteString;
use kube::Client;
use serde_json::{Value, json};

use crate::fault::Fault;

/// Why the API server did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RequestError(String);

impl RequestError {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }
}

impl From<Fault> for RequestError {
    fn from(fault: Fault) -> Self {
        Self(fault.message().to_owned())
    }
}

impl From<kube::Error> for RequestError {
    fn from(error: kube::Error) -> Self {
        Fault::from(error).into()
    }
}

/// What a Secret holds, and which version of it that is.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredSecret {
    /// Keys and values.
    pub data: BTreeMap<String, Vec<u8>>,
    version: String,
}

/// Whose token it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// `system:serviceaccount:<namespace>:<name>`
    pub user: String,
    /// Whether the user is a service account, as its groups say.
    pub is_service_account: bool,
    /// The pod that the token is bound to; empty where there is none.
    pub pod_name: String,
    /// That pod's uid.
    pub pod_uid: String,
}

/// Reads a Secret; `None` where there is none.
pub async fn read_secret(
    client: &Client,
    namespace: &str,
    name: &str,
) -> Result<Option<StoredSecret>, RequestError> {
    let path = format!("/api/v1/namespaces/{namespace}/secrets/{name}");
    let object = match send(client, Request::get(path), None).await {
        Ok(object) => object,
        Err(kube::Error::Api(status)) if status.code == 404 => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let data: BTreeMap<String, ByteString> =
        serde_json::from_value(object["data"].clone()).unwrap_or_default();
    let version = object["metadata"]["resourceVersion"].as_str().unwrap_or_default().to_owned();
    Ok(Some(StoredSecret { data: data.into_iter().map(|(key, value)| (key, value.0)).collect(), version }))
}

/// Writes a Secret: a new one, or over the version that was read. False if somebody was faster.
pub async fn write_secret(
    client: &Client,
    namespace: &str,
    name: &str,
    kind: &str,
    data: &BTreeMap<String, Vec<u8>>,
    over: Option<&StoredSecret>,
) -> Result<bool, RequestError> {
    let data: BTreeMap<&str, ByteString> =
        data.iter().map(|(key, value)| (key.as_str(), ByteString(value.clone()))).collect();
    let mut object = json!({"apiVersion": "v1", "kind": "Secret", "type": kind,
                            "metadata": {"name": name, "namespace": namespace}, "data": data});
    let collection = format!("/api/v1/namespaces/{namespace}/secrets");
    let request = match over {
        Some(read) => {
            object["metadata"]["resourceVersion"] = Value::String(read.version.clone());
            Request::put(format!("{collection}/{name}"))
        }
        None => Request::post(collection),
    };
    match send(client, request, Some(&object)).await {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Makes a ConfigMap hold one key with this text, and leaves what else it holds. False if its namespace is going, or if
/// somebody else wrote it meanwhile. Reads, creates and updates, which is all that istiod's roles allow.
pub async fn keep_config_map(
    client: &Client,
    namespace: &str,
    name: &str,
    key: &str,
    text: &str,
) -> Result<bool, RequestError> {
    let collection = format!("/api/v1/namespaces/{namespace}/configmaps");
    let path = format!("{collection}/{name}");
    let outcome = match send(client, Request::get(path.as_str()), None).await {
        Ok(mut stored) => {
            stored["data"][key] = text.into();
            stored["metadata"]["labels"]["istio.io/config"] = "true".into();
            send(client, Request::put(path), Some(&stored)).await
        }
        Err(kube::Error::Api(status)) if status.code == 404 => {
            let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {key: text},
                                "metadata": {"name": name, "namespace": namespace,
                                             "labels": {"istio.io/config": "true"}}});
            send(client, Request::post(collection), Some(&object)).await
        }
        Err(error) => Err(error),
    };
    match outcome {
        Ok(_) => Ok(true),
        // Nothing can be made any more in a namespace that is being deleted.
        Err(kube::Error::Api(status))
            if matches!(status.code, 404 | 409)
                || status.code == 403 && status.message.contains("being terminated") =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Asks whose token this is. `None` where the API server does not believe it.
pub async fn review_token(
    client: &Client,
    token: &str,
    audiences: &[String],
) -> Result<Option<Reviewed>, RequestError> {
    let review = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
                        "spec": {"token": token, "audiences": audiences}});
    let answer =
        send(client, Request::post("/apis/authentication.k8s.io/v1/tokenreviews"), Some(&review)).await?;
    let status = &answer["status"];
    // A server that knows nothing of audiences names none: then nobody has checked that the token is meant for us.
    let is_for_us = status["audiences"].as_array().is_some_and(|named| {
        named.iter().filter_map(Value::as_str).any(|one| audiences.iter().any(|audience| audience == one))
    });
    if status["authenticated"] != Value::Bool(true) || !is_for_us {
        return Ok(None);
    }
    let user = &status["user"];
    let extra = |key: &str| user["extra"][key][0].as_str().unwrap_or_default().to_owned();
    Ok(Some(Reviewed {
        user: user["username"].as_str().unwrap_or_default().to_owned(),
        is_service_account: user["groups"]
            .as_array()
            .is_some_and(|groups| groups.iter().any(|group| group == "system:serviceaccounts")),
        pod_name: extra("authentication.kubernetes.io/pod-name"),
        pod_uid: extra("authentication.kubernetes.io/pod-uid"),
    }))
}

/// Asks whether a service account may list the Secrets of its namespace.
pub async fn may_list_secrets(client: &Client, namespace: &str, account: &str) -> Result<bool, RequestError> {
    let review = json!({"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview",
                        "spec": {"user": format!("system:serviceaccount:{namespace}:{account}"),
                                 "resourceAttributes":
                                     {"namespace": namespace, "verb": "list", "resource": "secrets"}}});
    let answer =
        send(client, Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews"), Some(&review))
            .await?;
    Ok(answer["status"]["allowed"] == Value::Bool(true) && answer["status"]["denied"] != Value::Bool(true))
}

pub(crate) async fn send(
    client: &Client,
    request: http::request::Builder,
    body: Option<&Value>,
) -> kube::Result<Value> {
    let request = request
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}
