//! What stands in the WorkloadEntry of a machine: the template of its group and what its proxy says become the entry;
//! annotations tell which replica the proxy is connected to, since when, or since when no longer; a condition tells
//! how its application is. Names and annotations are istiod's (platform specification, 8.3).

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use ca::Identity;
use kube_io::{is_object_name, moment_text, read_moment};
use scope::Proxy;
use serde_json::{Map, Value, json};
use server::WorkloadRefusal;

/// The group whose machine an entry was made for.
pub(super) const GROUP: &str = "istio.io/autoRegistrationGroup";
/// The replica that a proxy is, or was last, connected to.
pub(super) const CONTROLLER: &str = "istio.io/workloadController";
pub(super) const CONNECTED: &str = "istio.io/connectedAt";
pub(super) const DISCONNECTED: &str = "istio.io/disconnectedAt";
/// There, an entry takes reports of health; with `true` they count.
const HEALTH_CHECKS: &str = "proxy.istio.io/health-checks-enabled";
const HEALTHY: &str = "Healthy";
/// In labels it is written otherwise than in `locality`, with characters that values of labels may not have.
const LOCALITY: &str = "istio-locality";
const MAX_NAME: usize = 253;
/// How much of what an agent says of a failure is kept.
const MAX_MESSAGE: usize = 1024;

/// The name of the entry of a proxy: group, address and network.
pub(super) fn name(group: &str, proxy: &Proxy) -> Result<String, WorkloadRefusal> {
    let refused = |what: String| {
        Err(WorkloadRefusal::Invalid(format!("auto-registration of {} failed: {what}", proxy.id)))
    };
    if !is_object_name(group) {
        return refused(format!("AUTO_REGISTER_GROUP {group:?} cannot be the name of a WorkloadGroup"));
    }
    let Some(address) = proxy.ip_addresses.first() else { return refused("it has no address".to_owned()) };
    if is_nobodys(*address) {
        return refused(format!("nobody can be reached at {address}"));
    }
    let mut name = format!("{group}-{}", address.to_string().replace(':', "-"));
    if !proxy.metadata.network.is_empty() {
        name = format!("{name}-{}", proxy.metadata.network);
    }
    if !name.is_ascii()
        || !is_object_name(name.get(name.len().saturating_sub(MAX_NAME)..).unwrap_or_default())
    {
        return refused(format!("a WorkloadEntry cannot be called {name:?}, of group, address and network"));
    }
    Ok(name.split_off(name.len().saturating_sub(MAX_NAME)))
}

fn is_nobodys(address: IpAddr) -> bool {
    address.is_unspecified() || address.is_multicast()
}

/// The entry of a proxy by the template of its group.
pub(super) fn made(name: &str, namespace: &str, group: &Value, proxy: &Proxy) -> Value {
    let object = |path: &str| group.pointer(path).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut spec = object("/spec/template");
    let mut labels = spec.get("labels").and_then(Value::as_object).cloned().unwrap_or_default();
    labels.extend(object("/spec/metadata/labels"));
    let own = &proxy.metadata.labels;
    labels.extend(own.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))));
    if !own.is_empty() {
        labels.remove(LOCALITY);
    }
    if let Some(address) = proxy.ip_addresses.first() {
        spec.insert("address".to_owned(), address.to_string().into());
    }
    if !proxy.metadata.network.is_empty() {
        spec.insert("network".to_owned(), proxy.metadata.network.as_str().into());
    }
    if !proxy.locality.is_empty() {
        spec.insert("locality".to_owned(), proxy.locality.to_string().into());
    }
    if !labels.is_empty() {
        spec.insert("labels".to_owned(), Value::Object(labels.clone()));
    }
    let mut annotations = object("/spec/metadata/annotations");
    annotations.insert(GROUP.to_owned(), group["metadata"]["name"].clone());
    if proxy.metadata.proxy_config.get("readinessProbe").is_some_and(|probe| !probe.is_null()) {
        annotations.insert(HEALTH_CHECKS.to_owned(), "true".into());
    }
    json!({
        "apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations,
            "ownerReferences": [{"apiVersion": group["apiVersion"], "kind": "WorkloadGroup",
                "name": group["metadata"]["name"], "uid": group["metadata"]["uid"], "controller": true}]},
        "spec": spec,
    })
}

/// Whether somebody with this identity may speak for the entry.
pub(super) fn may_speak(entry: &Value, identity: Option<&Identity>, id: &str) -> Result<(), WorkloadRefusal> {
    let text = |path: &str| entry.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let Some(identity) = identity else {
        return Err(WorkloadRefusal::Unproven(format!(
            "WorkloadEntry {namespace}/{name} is not for {id}: it has not proved who it is; let it connect with TLS \
             and a token or certificate"
        )));
    };
    let account = text("/spec/serviceAccount");
    if identity.namespace() != namespace || !account.is_empty() && identity.service_account() != account {
        return Err(WorkloadRefusal::Forbidden(format!(
            "WorkloadEntry {namespace}/{name} is not for {id}: it is for service account {namespace}/{account}, and \
             the proxy has proved to be {}/{}",
            identity.namespace(),
            identity.service_account()
        )));
    }
    Ok(())
}

pub(super) fn annotation<'e>(entry: &'e Value, name: &str) -> Option<&'e str> {
    entry["metadata"]["annotations"][name].as_str().filter(|text| !text.is_empty())
}

pub(super) fn is_going(entry: &Value) -> bool {
    entry["metadata"]["deletionTimestamp"].is_string()
}

/// Whether agents may report on it.
pub(super) fn takes_reports(entry: &Value) -> bool {
    entry["metadata"]["annotations"].get(HEALTH_CHECKS).is_some()
}

/// Whether an earlier or later connection is what the entry tells of, so that one since `at` has nothing to say.
pub(super) fn is_overtaken(entry: &Value, at: SystemTime) -> bool {
    let later = |name| annotation(entry, name).and_then(read_moment).is_some_and(|moment| moment > at);
    later(DISCONNECTED) || later(CONNECTED)
}

/// Whether the entry says that its proxy is connected to this replica since then.
pub(super) fn is_connected(entry: &Value, controller: &str, at: SystemTime) -> bool {
    annotation(entry, CONTROLLER) == Some(controller)
        && annotation(entry, CONNECTED).and_then(read_moment) == Some(at)
}

/// The proxy is connected to this replica.
pub(super) fn connect(entry: &mut Value, controller: &str, at: SystemTime) {
    annotate(entry, |annotations| {
        annotations.insert(CONTROLLER.to_owned(), controller.into());
        annotations.insert(CONNECTED.to_owned(), moment_text(at).into());
        annotations.remove(DISCONNECTED);
    });
}

/// It no longer is.
pub(super) fn disconnect(entry: &mut Value, at: SystemTime) {
    annotate(entry, |annotations| {
        annotations.remove(CONNECTED);
        annotations.insert(DISCONNECTED.to_owned(), moment_text(at).into());
    });
}

/// Changes annotations, which are no object where there are none.
fn annotate(entry: &mut Value, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut annotations = entry["metadata"]["annotations"].as_object().cloned().unwrap_or_default();
    change(&mut annotations);
    entry["metadata"]["annotations"] = Value::Object(annotations);
}

/// What an agent reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Report {
    /// What failed; `None` if nothing did.
    pub(super) failure: Option<String>,
    pub(super) at: SystemTime,
}

/// Puts a report into the status. False if there is a later one.
pub(super) fn report(entry: &mut Value, report: &Report) -> bool {
    let mut conditions = entry["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let is_it = |condition: &Value| condition["type"] == HEALTHY;
    let last = conditions.iter().find(|condition| is_it(condition));
    let last = last.and_then(|condition| read_moment(condition["lastProbeTime"].as_str()?));
    if last.is_some_and(|last| last > report.at) {
        return false;
    }
    let at = moment_text(report.at);
    let mut condition = json!({"type": HEALTHY, "lastProbeTime": at, "lastTransitionTime": at,
                               "status": if report.failure.is_some() { "False" } else { "True" }});
    if let Some(failure) = &report.failure {
        condition["message"] = failure.chars().take(MAX_MESSAGE).collect::<String>().into();
    }
    match conditions.iter_mut().find(|condition| is_it(condition)) {
        Some(there) => *there = condition,
        None => conditions.push(condition),
    }
    set_conditions(entry, conditions);
    true
}

/// Takes what was reported out of the status. False if there was nothing.
pub(super) fn forget(entry: &mut Value) -> bool {
    let mut conditions = entry["status"]["conditions"].as_array().cloned().unwrap_or_default();
    let n_before = conditions.len();
    conditions.retain(|condition| condition["type"] != HEALTHY);
    let is_changed = conditions.len() < n_before;
    set_conditions(entry, conditions);
    is_changed
}

/// Whether a status holds what an agent reported.
pub(super) fn is_reported(status: &Value) -> bool {
    let mut conditions = status["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == HEALTHY)
}

fn set_conditions(entry: &mut Value, conditions: Vec<Value>) {
    if !entry["status"].is_object() {
        entry["status"] = json!({});
    }
    entry["status"]["conditions"] = conditions.into();
}

/// What is to be done with an entry whose proxy did not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: it is not ours, or its proxy may still come.
    Nothing,
    /// It is to be deleted.
    Delete,
    /// Somebody else made it; only what agents reported is to go.
    Forget,
}

/// What annotations say, of an object as stored or as read. `max_age` is how long a connection can last at most, so
/// that who has not come anew by then was lost together with its replica.
pub(super) fn due<'a>(
    annotation: impl Fn(&str) -> Option<&'a str>,
    now: SystemTime,
    grace: Duration,
    max_age: Option<Duration>,
) -> Due {
    let what = match (annotation(GROUP), annotation(CONTROLLER)) {
        (Some(_), _) => Due::Delete,
        (None, Some(_)) => Due::Forget,
        (None, None) => return Due::Nothing,
    };
    let is_past = |text: &str, limit: Duration| {
        read_moment(text).map(|at| now.duration_since(at).is_ok_and(|passed| passed >= limit))
    };
    let is_due = match (annotation(CONNECTED), annotation(DISCONNECTED)) {
        (Some(at), _) => max_age.is_some_and(|limit| is_past(at, limit) == Some(true)),
        // A time that nobody can read never passes.
        (None, Some(at)) => is_past(at, grace).unwrap_or(true),
        (None, None) => false,
    };
    if is_due { what } else { Due::Nothing }
}
