//! The controllers that write the statuses of objects of the Gateway API (`istio-gateway-status-leader-<revision>`) and
//! of Ingresses (`istio-leader`). What there is to say follows from the mesh; it is laid over what the object has, and
//! written when that is something new.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use config::{ConfigKey, ConfigStore, Kind};
use kube_io::{Client, replace_status};
use mesh::ObjectStatus;

use crate::state::State;

/// The lock of the Gateway API's statuses; the revision follows.
pub(crate) const GATEWAY_LOCK: &str = "istio-gateway-status-leader";
/// The lock of the statuses of Ingresses.
pub(crate) const INGRESS_LOCK: &str = "istio-leader";
/// The pause after a write that failed.
const PAUSE: Duration = Duration::from_secs(2);
const REVISION: &str = "istio.io/rev";
const TAG: &str = "istio.io/tag";

/// Which statuses a controller writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Those of the Gateway API.
    GatewayApi,
    /// Those of Ingresses.
    Ingress,
}

/// Writes what is new now and whenever the mesh changes, until dropped.
pub(crate) async fn run(client: Client, state: Arc<State>, part: Part, revision: String) {
    let mut commits = state.commits();
    let mut written: BTreeMap<ConfigKey, ObjectStatus> = BTreeMap::new();
    loop {
        commits.borrow_and_update();
        let mut has_failed = false;
        let wanted = state.mesh().map(|mesh| wanted(&mesh, part, &revision)).unwrap_or_default();
        written.retain(|key, _| wanted.contains_key(key));
        for (key, status) in wanted {
            if written.get(&key) == Some(&status) {
                continue;
            }
            match replace_status(&client, &key, |existing, now| status.document(existing, now)).await {
                Ok(_) => {
                    written.insert(key, status);
                }
                Err(error) => {
                    tracing::warn!("{error}");
                    has_failed = true;
                }
            }
        }
        let changed = commits.changed();
        let outcome = if has_failed {
            tokio::time::timeout(PAUSE, changed).await.unwrap_or(Ok(()))
        } else {
            changed.await
        };
        if outcome.is_err() {
            return;
        }
    }
}

fn wanted(mesh: &mesh::Mesh, part: Part, revision: &str) -> BTreeMap<ConfigKey, ObjectStatus> {
    let is_of_part =
        |kind| if kind == Kind::Ingress { part == Part::Ingress } else { part == Part::GatewayApi };
    let all = mesh.statuses().into_iter().filter(|status| is_of_part(status.key.kind));
    let ours = all.filter(|status| is_ours(mesh.store(), &status.key, revision));
    ours.map(|status| (status.key.clone(), status)).collect()
}

/// Whether an object belongs to this revision: it, or else its namespace, names the revision or a tag of it that a
/// Service tells of, or names none.
fn is_ours(store: &ConfigStore, key: &ConfigKey, revision: &str) -> bool {
    let revision = if revision.is_empty() { "default" } else { revision };
    let of_namespace = || store.namespaces().get("", &key.namespace)?.meta.label(REVISION).map(str::to_owned);
    let of_object = store.get(key).and_then(|object| object.meta().label(REVISION).map(str::to_owned));
    let Some(wanted) = of_object.or_else(of_namespace) else { return true };
    let is_tag = || {
        let mut services = store.services().iter();
        services.any(|service| {
            service.meta.label(TAG) == Some(&*wanted) && service.meta.label(REVISION) == Some(revision)
        })
    };
    wanted == revision || is_tag()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_of_another_revision_are_left_to_it_unless_a_tag_leads_here() {
        let object = |name: &str, revision: Option<&str>| {
            json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "spec": {},
                "metadata": {"name": name, "namespace": "apps", "labels": revision.map(|rev| json!({"istio.io/rev": rev}))}})
        };
        let tag = json!({"apiVersion": "v1", "kind": "Service", "spec": {}, "metadata": {"name": "istio-revision-tag-prod",
            "namespace": "istio-system", "labels": {"istio.io/tag": "prod", "istio.io/rev": "blue"}}});
        let objects = [
            object("none", None),
            object("own", Some("blue")),
            object("tag", Some("prod")),
            object("other", Some("green")),
            tag,
        ];
        let store: ConfigStore =
            objects.into_iter().map(|object| config::parse(object, "test").unwrap().unwrap()).collect();
        let ours = |name: &str| is_ours(&store, &ConfigKey::new(Kind::HttpRoute, "apps", name), "blue");
        assert_eq!(["none", "own", "tag", "other"].map(ours), [true, true, true, false]);
    }
}
