//! WorkloadEntries as they are kept for machines that register themselves: read, made, written over the version that
//! was read, and deleted if nobody wrote them since (platform specification, 8.3). Names come from strangers, so none
//! that an object cannot have becomes part of a path.

use std::time::{Duration, SystemTime};

use http::Request;
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::fault::Fault;
use crate::trust::send;

const GROUP: &str = "/apis/networking.istio.io/v1";
/// Requests under way at once: the API server has more to do.
const AT_ONCE: usize = 16;
/// An answer that has not come by then will not come.
const LIMIT: Duration = Duration::from_secs(10);

/// Why an entry was not read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError {
    /// The API server will never take it.
    #[error("{0}")]
    Refused(String),
    /// Anything else: it may go later.
    #[error("{0}")]
    Failed(String),
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Done,
    /// Somebody else made, wrote or deleted the object since it was read.
    Overtaken,
}

/// The WorkloadEntries and WorkloadGroups of an API server. Objects are JSON as stored; whoever changes one leaves in
/// place what they do not know.
pub struct WorkloadEntries {
    client: Client,
    permits: Semaphore,
}

impl WorkloadEntries {
    /// Those behind a client.
    pub fn new(client: Client) -> Self {
        Self { client, permits: Semaphore::new(AT_ONCE) }
    }

    /// An entry; `None` if there is none.
    pub async fn entry(&self, namespace: &str, name: &str) -> Result<Option<Value>, EntryError> {
        self.read("workloadentries", namespace, name).await
    }

    /// A group; `None` if there is none.
    pub async fn group(&self, namespace: &str, name: &str) -> Result<Option<Value>, EntryError> {
        self.read("workloadgroups", namespace, name).await
    }

    /// Makes an entry.
    pub async fn create(&self, entry: &Value) -> Result<Written, EntryError> {
        let (namespace, _) = place(entry)?;
        self.write(Request::post(format!("{GROUP}/namespaces/{namespace}/workloadentries")), entry).await
    }

    /// Writes an entry over the version that it was read as.
    pub async fn update(&self, entry: &Value) -> Result<Written, EntryError> {
        self.write(Request::put(path_of(entry)?), entry).await
    }

    /// Writes the status of an entry over the version that it was read as.
    pub async fn update_status(&self, entry: &Value) -> Result<Written, EntryError> {
        self.write(Request::put(format!("{}/status", path_of(entry)?)), entry).await
    }

    /// Deletes an entry if it is as it was read.
    pub async fn delete(&self, entry: &Value) -> Result<Written, EntryError> {
        let metadata = &entry["metadata"];
        let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {
            "uid": metadata["uid"], "resourceVersion": metadata["resourceVersion"]}});
        self.write(Request::delete(path_of(entry)?), &options).await
    }

    async fn read(&self, plural: &str, namespace: &str, name: &str) -> Result<Option<Value>, EntryError> {
        if !is_object_name(namespace) || !is_object_name(name) {
            return Ok(None);
        }
        let path = format!("{GROUP}/namespaces/{namespace}/{plural}/{name}");
        match self.send(Request::get(path), None).await {
            Ok(object) => Ok(Some(object)),
            Err(Answer::Status(404, _)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, request: http::request::Builder, object: &Value) -> Result<Written, EntryError> {
        match self.send(request, Some(object)).await {
            Ok(_) => Ok(Written::Done),
            Err(Answer::Status(404 | 409, _)) => Ok(Written::Overtaken),
            Err(error) => Err(error.into()),
        }
    }

    async fn send(&self, request: http::request::Builder, body: Option<&Value>) -> Result<Value, Answer> {
        let exchange = async {
            let _permit = self.permits.acquire().await;
            send(&self.client, request, body).await
        };
        match tokio::time::timeout(LIMIT, exchange).await {
            Ok(Ok(object)) => Ok(object),
            Ok(Err(kube::Error::Api(status))) => Err(Answer::Status(status.code, status.message.clone())),
            Ok(Err(error)) => Err(Answer::None(Fault::from(error).message().to_owned())),
            Err(_) => Err(Answer::None(format!("no answer within {LIMIT:?}"))),
        }
    }
}

/// What came instead of an object.
enum Answer {
    Status(u16, String),
    None(String),
}

impl From<Answer> for EntryError {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Status(400 | 422, message) => Self::Refused(message),
            Answer::Status(code, message) => Self::Failed(format!("{message} ({code})")),
            Answer::None(message) => Self::Failed(message),
        }
    }
}

/// Whether an object of this kind can be called so.
pub fn is_object_name(name: &str) -> bool {
    let is_part = |part: &str| {
        part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !part.is_empty()
            && !part.starts_with('-')
            && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_part)
}

/// A moment as annotations and conditions state it: RFC 3339 with as much of a second as there is.
pub fn moment_text(moment: SystemTime) -> String {
    Timestamp::try_from(moment).unwrap_or_default().to_string()
}

/// The moment that an annotation states; `None` if it is none.
pub fn read_moment(text: &str) -> Option<SystemTime> {
    Some(text.parse::<Timestamp>().ok()?.into())
}

fn place(entry: &Value) -> Result<(&str, &str), EntryError> {
    let member = |name: &str| entry["metadata"][name].as_str().filter(|text| is_object_name(text));
    member("namespace")
        .zip(member("name"))
        .ok_or_else(|| EntryError::Refused("a WorkloadEntry cannot have this namespace or name".to_owned()))
}

fn path_of(entry: &Value) -> Result<String, EntryError> {
    let (namespace, name) = place(entry)?;
    Ok(format!("{GROUP}/namespaces/{namespace}/workloadentries/{name}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_would_lead_elsewhere_is_none() {
        for name in ["vm", "vm-10.0.0.1", "vm-2001-db8--1-net", "a.b"] {
            assert!(is_object_name(name), "{name}");
        }
        let long = "a".repeat(254);
        for name in
            ["", ".", "..", "../secrets/x", "a/b", "a?b", "A", "-a", "a-", "a..b", "a%2fb", "ä", &long]
        {
            assert!(!is_object_name(name), "{name}");
            let entry = json!({"metadata": {"namespace": "shop", "name": name}});
            assert!(path_of(&entry).is_err(), "{name}");
        }
    }

    #[test]
    fn moments_are_read_as_they_are_written() {
        let moment = SystemTime::UNIX_EPOCH + Duration::new(1_790_000_000, 120_450_000);
        let text = moment_text(moment);
        assert_eq!(text, "2026-09-21T14:13:20.12045Z");
        assert_eq!(read_moment(&text), Some(moment));
        assert_eq!(read_moment("2026-09-21T16:13:20.120450+02:00"), Some(moment));
        assert_eq!(read_moment("yesterday"), None);
    }
}
