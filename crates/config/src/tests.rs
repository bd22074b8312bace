//! Tests of the crate's door, `parse`, and of the store behind it.

use serde_json::{Value, json};

use crate::{AnyObject, Changeset, ConfigKey, ConfigStore, Kind, Rejection, parse};

fn read(value: Value) -> AnyObject {
    parse(value, "test").unwrap_or_else(|rejection| panic!("{rejection}")).expect("a kind of the mesh")
}

fn rejected(value: Value) -> Rejection {
    match parse(value, "test") {
        Err(rejection) => rejection,
        Ok(object) => panic!("not rejected: {object:?}"),
    }
}

fn service(name: &str, port: u32) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.1", "ports": [{"name": "http", "port": port}]}})
}

#[test]
fn every_kind_is_read_in_each_of_its_versions() {
    for kind in Kind::ALL {
        for version in kind.versions() {
            let api_version = if kind.group().is_empty() {
                (*version).to_owned()
            } else {
                format!("{}/{version}", kind.group())
            };
            let object = read(
                json!({"apiVersion": api_version, "kind": kind.name(), "metadata": {"name": "a"}, "spec": {}}),
            );
            let namespace = if kind.is_namespaced() { "default" } else { "" };
            assert_eq!(object.key(), ConfigKey::new(*kind, namespace, "a"));
            assert_eq!(Kind::from_group_kind(kind.group(), kind.name()), Some(*kind));
        }
    }
}

#[test]
fn a_service_gets_the_defaults_of_the_api_server() {
    let AnyObject::Service(service) = read(service("cart", 80)) else { panic!("a Service") };
    let port = &service.spec.ports[0];
    assert_eq!((port.protocol.as_str(), &port.target_port), ("TCP", &crate::k8s::IntOrString::Int(80)));
    assert_eq!(service.spec.cluster_ips, ["10.0.0.1"]);
}

#[test]
fn what_changes_without_meaning_leaves_the_fingerprint_alone() {
    let first = service("cart", 80);
    let mut second = first.clone();
    second["metadata"]["resourceVersion"] = json!("8");
    second["metadata"]["uid"] = json!("u");
    second["metadata"]["managedFields"] = json!([{"manager": "kubectl"}]);
    second["metadata"]["annotations"] = json!({"kubectl.kubernetes.io/last-applied-configuration": "{}"});
    second["status"] = json!({"conditions": [{"type": "Odd"}]});
    assert_eq!(read(first.clone()).fingerprint(), read(second).fingerprint());
    let mut third = first.clone();
    third["metadata"]["labels"] = json!({"app": "cart"});
    assert_ne!(read(first).fingerprint(), read(third).fingerprint());
}

#[test]
fn a_rejection_names_object_field_and_reason() {
    let mut wrong = service("cart", 80);
    wrong["spec"]["ports"][0]["port"] = json!("eighty");
    let rejection = rejected(wrong);
    assert_eq!(rejection.path, "spec.ports[0].port");
    assert_eq!(rejection.key, Some(ConfigKey::new(Kind::Service, "shop", "cart")));
    let mut mislabelled = service("cart", 80);
    mislabelled["metadata"]["labels"] = json!({"version": 1});
    assert_eq!(rejected(mislabelled).key, rejection.key);
    assert_eq!(
        rejection.to_string(),
        "Service shop/cart from test is rejected: spec.ports[0].port: invalid type: string \"eighty\", expected u32"
    );
}

#[test]
fn hostile_documents_are_rejected_and_harmless_neighbours_ignored() {
    for (value, path) in [
        (json!([1]), ""),
        (json!("text"), ""),
        (json!(null), ""),
        (json!({"kind": "Service"}), "apiVersion"),
        (json!({"apiVersion": 1, "kind": "Service"}), "apiVersion"),
        (json!({"apiVersion": "v1", "kind": ["Service"]}), "kind"),
        (
            json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualServise", "metadata": {"name": "a"}}),
            "kind",
        ),
        (
            json!({"apiVersion": "networking.istio.io/v9", "kind": "Sidecar", "metadata": {"name": "a"}}),
            "apiVersion",
        ),
        (json!({"apiVersion": "v1", "kind": "Service"}), "metadata.name"),
        (json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": 7}}), "metadata.name"),
        (json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a/b"}}), "metadata.name"),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a".repeat(1 << 20)}}),
            "metadata.name",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "labels": []}}),
            "metadata.labels",
        ),
        (
            json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a", "creationTimestamp": "soon"}}),
            "metadata.creationTimestamp",
        ),
        (json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": 5}), "spec"),
    ] {
        let rejection = rejected(value);
        assert_eq!(rejection.path, path, "{rejection}");
        assert!(rejection.to_string().len() < 600);
    }
    let mut deep = json!({});
    for _ in 0..110 {
        deep = json!({ "a": deep });
    }
    rejected(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": deep}));
    let ignored =
        parse(json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"}}), "test");
    assert_eq!(ignored, Ok(None));
}

#[test]
fn nulls_count_as_absent() {
    let mut value = service("cart", 80);
    value["spec"]["selector"] = json!(null);
    value["metadata"]["labels"] = json!(null);
    value["metadata"]["creationTimestamp"] = json!(null);
    assert_eq!(read(value).fingerprint(), read(service("cart", 80)).fingerprint());
}

#[test]
fn times_are_read_with_fractions_and_offsets() {
    let seconds = |text: &str| crate::meta::timestamp(text).map(|time| (time.seconds, time.nanos));
    assert_eq!(seconds("1970-01-01T00:00:00Z"), Some((0, 0)));
    assert_eq!(seconds("2024-02-29T12:00:00.25Z"), Some((1_709_208_000, 250_000_000)));
    assert_eq!(seconds("2024-02-29T14:00:00+02:00"), Some((1_709_208_000, 0)));
    for text in
        ["", "2024-02-29", "2024-13-01T00:00:00Z", "2024-02-29T12:00:00", "2024-02-29T12:00:00.Z", "é"]
    {
        assert_eq!(seconds(text), None, "{text}");
    }
}

#[test]
fn secrets_decode_and_are_never_printed() {
    let object = read(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "type": "kubernetes.io/tls",
        "data": {"tls.crt": "aGVsbG8=", "e": "", "two": "aGk="}, "stringData": {"tls.key": "hush"}}),
    );
    assert!(!format!("{object:?}").contains("hush"));
    let AnyObject::Secret(secret) = object else { panic!("a Secret") };
    assert_eq!(&*secret.spec.data["tls.crt"], b"hello");
    assert_eq!(&*secret.spec.data["two"], b"hi");
    assert_eq!(&*secret.spec.data["tls.key"], b"hush");
    let rejection = rejected(
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tls"}, "data": {"tls.key": "hush!"}}),
    );
    assert_eq!(rejection.path, "data.tls.key");
    assert!(!rejection.to_string().contains("hush"));
}

#[test]
fn the_store_drops_what_did_not_change() {
    let mut store = ConfigStore::default();
    let set: Changeset = [read(service("cart", 80)), read(service("bank", 80))].into_iter().collect();
    assert_eq!(store.apply(set.clone()).len(), 2);
    assert!(store.apply(set).is_empty());
    let before = store.clone();
    let mut changes = Changeset::default();
    changes.upsert(read(service("cart", 81)));
    changes.upsert(read(service("bank", 80)));
    changes.delete(ConfigKey::new(Kind::Service, "shop", "absent"));
    let changed = store.apply(changes);
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].key.name.as_ref(), "cart");
    assert!(changed[0].old.is_some() && changed[0].new.is_some());
    let names: Vec<&str> = store.services().in_namespace("shop").map(|service| &*service.meta.name).collect();
    assert_eq!(names, ["bank", "cart"]);
    assert_eq!(store.services().in_namespace("sho").count(), 0);
    assert_eq!(before.services().get("shop", "cart").expect("the old one").spec.ports[0].port, 80);
    assert!(before.pods().is_same(store.pods()));
    let mut deletion = Changeset::default();
    deletion.delete(ConfigKey::new(Kind::Service, "shop", "cart"));
    assert!(store.apply(deletion)[0].new.is_none());
    assert_eq!((store.len(), before.len()), (1, 2));
}

#[test]
fn only_pods_and_slices_make_an_endpoint_only_changeset() {
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}});
    let mut changes: Changeset = [read(pod)].into_iter().collect();
    assert!(changes.is_endpoint_only());
    changes.upsert(read(service("cart", 80)));
    assert!(!changes.is_endpoint_only());
    assert!(!Changeset::default().is_endpoint_only());
}
