//! The object that a lock is: a Lease, or a ConfigMap with the record in an annotation, as istiod keeps them.

use std::fmt;
use std::time::Duration;

use http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};

use crate::fault::Fault;

const ANNOTATION: &str = "control-plane.alpha.kubernetes.io/leader";

/// A lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lock {
    /// What kind of object it is.
    pub kind: LockKind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What a lock is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// `Lease` of `coordination.k8s.io/v1`.
    Lease,
    /// `ConfigMap`, for locks that istiod of any version must see.
    ConfigMap,
}

/// Who holds a lock. Times are text, as they are only compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) holder: String,
    pub(crate) lease_seconds: u64,
    pub(crate) acquired: String,
    pub(crate) renewed: String,
    pub(crate) transitions: u64,
}

/// A lock as it is stored.
pub(crate) struct Held {
    pub(crate) object: Value,
    pub(crate) record: Record,
}

impl Record {
    pub(crate) fn new(holder: &str, lease: Duration, transitions: u64) -> Self {
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
        let lease_seconds = lease.as_secs().max(1);
        Self { holder: holder.to_owned(), lease_seconds, acquired: now.clone(), renewed: now, transitions }
    }

    fn to_json(&self) -> Value {
        json!({"holderIdentity": self.holder, "leaseDurationSeconds": self.lease_seconds,
               "acquireTime": self.acquired, "renewTime": self.renewed, "leaderTransitions": self.transitions})
    }

    fn from_json(value: &Value) -> Self {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let number = |key: &str| value[key].as_u64().unwrap_or_default();
        Self {
            holder: text("holderIdentity"),
            lease_seconds: number("leaseDurationSeconds"),
            acquired: text("acquireTime"),
            renewed: text("renewTime"),
            transitions: number("leaderTransitions"),
        }
    }
}

impl Lock {
    /// The lock as stored; `None` if there is none yet.
    pub(crate) async fn read(&self, client: &Client) -> Result<Option<Held>, Fault> {
        let path = format!("{}/{}", self.collection(), self.name);
        match send(client, Request::get(path), None).await {
            Ok(object) => {
                let record = self.record_of(&object);
                Ok(Some(Held { object, record }))
            }
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes the lock. False if somebody was faster.
    pub(crate) async fn create(&self, client: &Client, record: &Record) -> Result<bool, Fault> {
        let (version, kind) = match self.kind {
            LockKind::Lease => ("coordination.k8s.io/v1", "Lease"),
            LockKind::ConfigMap => ("v1", "ConfigMap"),
        };
        let mut object = json!({"apiVersion": version, "kind": kind,
                                "metadata": {"name": self.name, "namespace": self.namespace}});
        self.put(&mut object, record);
        won(send(client, Request::post(self.collection()), Some(&object)).await)
    }

    /// Writes a record over the object that was read. False if somebody was faster.
    pub(crate) async fn replace(
        &self,
        client: &Client,
        mut object: Value,
        record: &Record,
    ) -> Result<bool, Fault> {
        self.put(&mut object, record);
        let path = format!("{}/{}", self.collection(), self.name);
        won(send(client, Request::put(path), Some(&object)).await)
    }

    fn collection(&self) -> String {
        match self.kind {
            LockKind::Lease => format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace),
            LockKind::ConfigMap => format!("/api/v1/namespaces/{}/configmaps", self.namespace),
        }
    }

    /// A record that cannot be read is nobody's.
    fn record_of(&self, object: &Value) -> Record {
        match self.kind {
            LockKind::Lease => Record::from_json(&object["spec"]),
            LockKind::ConfigMap => object["metadata"]["annotations"][ANNOTATION]
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok())
                .map(|value: Value| Record::from_json(&value))
                .unwrap_or_default(),
        }
    }

    fn put(&self, object: &mut Value, record: &Record) {
        match self.kind {
            LockKind::Lease => object["spec"] = record.to_json(),
            LockKind::ConfigMap => {
                object["metadata"]["annotations"][ANNOTATION] = Value::String(record.to_json().to_string());
            }
        }
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {:?} {}/{}", self.kind, self.namespace, self.name)
    }
}

async fn send(client: &Client, request: http::request::Builder, body: Option<&Value>) -> kube::Result<Value> {
    let request = request
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())
        .map_err(kube::Error::HttpError)?;
    client.request(request).await
}

/// A conflict is a race that was lost, and no fault.
fn won(outcome: kube::Result<Value>) -> Result<bool, Fault> {
    match outcome {
        Ok(_) => Ok(true),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
        Err(error) => Err(error.into()),
    }
}
