//! Objects into the cluster and out of it: definitions for our kinds, server-side apply, status, deletion.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, anyhow};
use config::Kind;
use futures::{StreamExt as _, TryStreamExt as _};
use http::Request;
use kube_io::Client;
use serde_json::{Value, json};

/// Requests under way at once, where the order does not matter.
const AT_ONCE: usize = 32;

/// Sends a POST.
pub async fn post(client: &Client, path: &str, body: &Value) -> Result<Value> {
    let request = Request::post(path).header("content-type", "application/json");
    Ok(serde_json::from_str(&send(client, request, Some(body)).await?)?)
}

/// Sends a PUT.
pub async fn put(client: &Client, path: &str, body: &Value) -> Result<Value> {
    let request = Request::put(path).header("content-type", "application/json");
    Ok(serde_json::from_str(&send(client, request, Some(body)).await?)?)
}

/// Sends a GET.
pub async fn get(client: &Client, path: &str) -> Result<String> {
    send(client, Request::get(path), None).await
}

/// The kinds that need a definition.
pub fn custom_kinds() -> Vec<Kind> {
    Kind::ALL.iter().copied().filter(|kind| !is_built_in(*kind)).collect()
}

/// Installs definitions without a schema for every kind that needs one.
pub async fn define_all(client: &Client) -> Result<()> {
    futures::stream::iter(custom_kinds())
        .map(|kind| define(client, kind))
        .buffer_unordered(8)
        .try_collect()
        .await
}

/// Installs a definition without a schema, and waits until the kind is served, and told to those who ask what is: the
/// controller that empties namespaces deletes only what it was told of.
pub async fn define(client: &Client, kind: Kind) -> Result<()> {
    apply_one(client, &definition(kind)).await?;
    let version = format!("/apis/{}/{}", kind.group(), kind.versions()[0]);
    let plural = plural(kind.name());
    let list = format!("{version}/{plural}?limit=1");
    let told = format!("\"name\":\"{plural}\"");
    for _ in 0..600 {
        if get(client, &version).await.is_ok_and(|text| text.contains(&told))
            && get(client, &list).await.is_ok()
        {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Err(anyhow!("{kind} is not served"))
}

/// A definition that takes anything, as installations of old have them.
pub fn definition(kind: Kind) -> Value {
    let versions: Vec<Value> = kind
        .versions()
        .iter()
        .enumerate()
        .map(|(index, version)| {
            json!({"name": version, "served": true, "storage": index == 0, "subresources": {"status": {}},
                   "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}})
        })
        .collect();
    let plural = plural(kind.name());
    let mut metadata = json!({"name": format!("{plural}.{}", kind.group())});
    if kind.group().ends_with(".k8s.io") {
        // Definitions of such groups must say who agreed to them.
        metadata["annotations"] = json!({"api-approved.kubernetes.io": "unapproved, for tests"});
    }
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata,
        "spec": {"group": kind.group(), "scope": if kind.is_namespaced() { "Namespaced" } else { "Cluster" },
                 "names": {"kind": kind.name(), "plural": plural, "singular": kind.name().to_lowercase()},
                 "versions": versions},
    })
}

/// Applies objects in the order of names, each with its status, namespaces that are missing first. Returns them with
/// the moment at which the cluster says that each was made.
pub async fn apply(client: &Client, objects: &[Value]) -> Result<Vec<Value>> {
    let mut namespaces: Vec<String> = objects.iter().filter_map(namespace_of).collect();
    namespaces.sort();
    namespaces.dedup();
    for name in namespaces {
        let is_given = objects.iter().any(|o| o["kind"] == "Namespace" && o["metadata"]["name"] == *name);
        if !is_given && get(client, &format!("/api/v1/namespaces/{name}")).await.is_err() {
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
            apply_one(client, &namespace).await?;
        }
    }
    let mut ordered: Vec<&Value> = objects.iter().collect();
    // Of what conflicts the oldest wins, then the first by name: with this order the two agree.
    ordered.sort_by_key(|o| {
        let text = |key: &str| o["metadata"][key].as_str().unwrap_or_default().to_owned();
        (o["kind"] != "Namespace", text("name"), text("namespace"))
    });
    let mut applied = Vec::new();
    for object in ordered {
        let mut object = object.clone();
        object["metadata"]["creationTimestamp"] = apply_one(client, &object).await?;
        applied.push(object);
    }
    Ok(applied)
}

/// Applies many objects at once, in no order.
pub async fn apply_at_once(client: &Client, objects: &[Value]) -> Result<()> {
    futures::stream::iter(objects)
        .map(async |object| apply_one(client, object).await.map(drop))
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// Applies one object and its status. Returns when it was made.
pub async fn apply_one(client: &Client, object: &Value) -> Result<Value> {
    let query = "?fieldManager=test&force=true";
    let mut spec = object.clone();
    let status = spec.as_object_mut().and_then(|members| members.remove("status"));
    let stored = patch(client, &format!("{}{query}", path_of(object)), &spec).await?;
    if let Some(status) = status.filter(|status| !status.is_null()) {
        let status = json!({"apiVersion": object["apiVersion"], "kind": object["kind"], "status": status,
                            "metadata": {"name": object["metadata"]["name"],
                                         "namespace": object["metadata"]["namespace"]}});
        patch(client, &format!("{}/status{query}", path_of(object)), &status).await?;
    }
    Ok(stored["metadata"]["creationTimestamp"].clone())
}

/// Applies one object that may have neither unknown nor doubled fields.
pub async fn apply_strictly(client: &Client, object: &Value) -> Result<()> {
    let query = "?fieldManager=test&force=true&fieldValidation=Strict";
    patch(client, &format!("{}{query}", path_of(object)), object).await.map(drop)
}

/// Has namespaces deleted, with everything in them: the controllers of the cluster do it some time after.
pub async fn delete_namespace(client: &Client, name: &str) -> Result<()> {
    send(client, Request::delete(format!("/api/v1/namespaces/{name}")), None).await.map(drop)
}

/// What a test has put into a cluster, so that the next set of objects costs only what differs.
#[derive(Default)]
pub struct Stored {
    /// By path: the object as it was given, and when the cluster made it.
    objects: BTreeMap<String, (Value, Value)>,
}

impl Stored {
    /// Makes the cluster hold these objects, each with its status, and none of those that it was given before.
    /// Namespaces that objects need are made, and lose the labels they had. Returns the objects with the moment at
    /// which the cluster says that each was made.
    pub async fn become_these(&mut self, client: &Client, objects: &[Value]) -> Result<Vec<Value>> {
        let mut wanted: BTreeMap<String, Value> = objects
            .iter()
            .filter_map(namespace_of)
            .chain(self.objects.values().filter_map(|(object, _)| namespace_of(object)))
            .map(|name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
            .map(|namespace| (path_of(&namespace), namespace))
            .collect();
        wanted.extend(objects.iter().map(|object| (path_of(object), object.clone())));
        // What changed is made anew: an application would leave a status that is no longer wanted.
        let gone = |path: &str, object: &Value| wanted.get(path) != Some(object);
        let gone: Vec<Value> = self
            .objects
            .extract_if(.., |path, (object, _)| gone(path, object))
            .map(|(_, (object, _))| object)
            .collect();
        delete(client, &gone).await?;
        for namespaces in [true, false] {
            let missing = wanted.iter().filter(|(path, object)| {
                (object["kind"] == "Namespace") == namespaces && !self.objects.contains_key(*path)
            });
            let made: Vec<_> = futures::stream::iter(missing)
                .map(async |(path, object)| {
                    let made = apply_one(client, object).await?;
                    anyhow::Ok((path.clone(), (object.clone(), made)))
                })
                .buffer_unordered(AT_ONCE)
                .try_collect()
                .await?;
            self.objects.extend(made);
        }
        Ok(objects
            .iter()
            .map(|object| {
                let mut object = object.clone();
                let made = self.objects.get(&path_of(&object)).map(|(_, made)| made.clone());
                object["metadata"]["creationTimestamp"] = made.unwrap_or_default();
                object
            })
            .collect())
    }
}

/// Deletes objects at once; those that are gone already are no error. Namespaces stay: emptying them needs a
/// controller.
pub async fn delete(client: &Client, objects: &[Value]) -> Result<()> {
    let some = objects.iter().filter(|object| object["kind"] != "Namespace");
    futures::stream::iter(some)
        .map(async |object| {
            let path = format!("{}?gracePeriodSeconds=0", path_of(object));
            match send(client, Request::delete(&path), None).await {
                Err(error) if !format!("{error:#}").contains("404") => Err(error),
                _ => Ok(()),
            }
        })
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

async fn patch(client: &Client, path: &str, body: &Value) -> Result<Value> {
    let request = Request::patch(path).header("content-type", "application/apply-patch+yaml");
    Ok(serde_json::from_str(&send(client, request, Some(body)).await?)?)
}

async fn send(client: &Client, request: http::request::Builder, body: Option<&Value>) -> Result<String> {
    let request = request.body(body.map(|body| body.to_string().into_bytes()).unwrap_or_default())?;
    let what = format!("{} {}", request.method(), request.uri());
    client.request_text(request).await.with_context(|| what)
}

fn namespace_of(object: &Value) -> Option<String> {
    let namespace = object["metadata"]["namespace"].as_str();
    let kind = object["kind"].as_str().unwrap_or_default();
    match namespace {
        _ if matches!(
            kind,
            "Namespace"
                | "Node"
                | "IngressClass"
                | "GatewayClass"
                | "CustomResourceDefinition"
                | "ClusterRole"
                | "ClusterRoleBinding"
                | "MutatingWebhookConfiguration"
                | "ValidatingWebhookConfiguration"
                | "ValidatingAdmissionPolicy"
                | "ValidatingAdmissionPolicyBinding"
        ) =>
        {
            None
        }
        None | Some("") => Some("default".to_owned()),
        Some(namespace) => Some(namespace.to_owned()),
    }
}

/// The path of an object.
fn path_of(object: &Value) -> String {
    let version = object["apiVersion"].as_str().unwrap_or_default();
    let root = if version.contains('/') { "/apis" } else { "/api" };
    let plural = plural(object["kind"].as_str().unwrap_or_default());
    let name = object["metadata"]["name"].as_str().unwrap_or_default();
    match namespace_of(object) {
        Some(namespace) => format!("{root}/{version}/namespaces/{namespace}/{plural}/{name}"),
        None => format!("{root}/{version}/{plural}/{name}"),
    }
}

fn is_built_in(kind: Kind) -> bool {
    matches!(kind.group(), "" | "discovery.k8s.io" | "networking.k8s.io")
}

/// The plural as Kubernetes forms it for every kind that we read.
fn plural(kind: &str) -> String {
    let kind = kind.to_lowercase();
    match kind.as_bytes() {
        [.., b'a' | b'e' | b'o' | b'u', b'y'] => format!("{kind}s"),
        [.., b'y'] => format!("{}ies", &kind[..kind.len() - 1]),
        [.., b's'] => format!("{kind}es"),
        _ => format!("{kind}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plurals_are_those_of_the_definitions() {
        let plurals = ["ServiceEntry", "Gateway", "BackendTLSPolicy", "Ingress", "WasmPlugin"].map(plural);
        assert_eq!(plurals, ["serviceentries", "gateways", "backendtlspolicies", "ingresses", "wasmplugins"]);
    }
}
