//! Lists and maps merge as Kubernetes documents it.

use serde_json::{Value, json};

use super::merge;

fn merged(pod: Value, patch: Value) -> Value {
    let mut pod = pod;
    merge(&mut pod, patch).expect("a patch");
    pod
}

fn spec(member: &str, list: Value) -> Value {
    json!({"spec": {member: list}})
}

#[test]
fn items_with_the_same_key_are_one_and_the_patch_gives_the_order() {
    let pod = spec("volumes", json!([{"name": "a", "x": 1}, {"name": "b"}, {"name": "c"}]));
    let patch = spec("volumes", json!([{"name": "n"}, {"name": "c", "y": 2}, {"name": "a", "x": null}]));
    let wanted = json!([{"name": "n"}, {"name": "b"}, {"name": "c", "y": 2}, {"name": "a"}]);
    assert_eq!(merged(pod, patch), spec("volumes", wanted));
}

#[test]
fn each_list_has_its_own_key() {
    for (member, key) in [("ports", "containerPort"), ("volumeMounts", "mountPath"), ("env", "name")] {
        let container = |items: Value| spec("containers", json!([{"name": "web", member: items}]));
        let pod = container(json!([{key: 1, "name": "x"}]));
        let patch = container(json!([{key: 1, "name": "x", "more": true}, {key: 2, "name": "y"}]));
        let wanted = container(json!([{key: 1, "name": "x", "more": true}, {key: 2, "name": "y"}]));
        if key != "name" {
            assert_eq!(merged(pod, patch), wanted, "{member}");
        }
    }
    let pod = json!({"metadata": {"finalizers": ["a"]}, "spec": {"tolerations": [{"key": "a"}]}});
    let patch = json!({"metadata": {"finalizers": ["b", "a"]}, "spec": {"tolerations": [{"key": "b"}]}});
    let wanted = json!({"metadata": {"finalizers": ["a", "b"]}, "spec": {"tolerations": [{"key": "b"}]}});
    assert_eq!(merged(pod, patch), wanted);
}

#[test]
fn directives_replace_and_delete() {
    let pod = || spec("volumes", json!([{"name": "a"}, {"name": "b", "emptyDir": {"medium": "Memory"}}]));
    let delete = spec("volumes", json!([{"name": "a", "$patch": "delete"}]));
    assert_eq!(
        merged(pod(), delete),
        spec("volumes", json!([{"name": "b", "emptyDir": {"medium": "Memory"}}]))
    );
    let replace = spec("volumes", json!([{"$patch": "replace"}, {"name": "c"}]));
    assert_eq!(merged(pod(), replace), spec("volumes", json!([{"name": "c"}])));
    let inner =
        spec("volumes", json!([{"name": "b", "emptyDir": {"$patch": "replace", "sizeLimit": "1Mi"}}]));
    let wanted = json!([{"name": "a"}, {"name": "b", "emptyDir": {"sizeLimit": "1Mi"}}]);
    assert_eq!(merged(pod(), inner), spec("volumes", wanted));
    let kept = spec(
        "volumes",
        json!([{"name": "b", "$retainKeys": ["name", "hostPath"], "hostPath": {"path": "/"}}]),
    );
    assert_eq!(
        merged(pod(), kept),
        spec("volumes", json!([{"name": "a"}, {"name": "b", "hostPath": {"path": "/"}}]))
    );
    let whole = json!({"spec": {"$patch": "delete"}});
    assert_eq!(merged(pod(), whole), json!({"spec": {}}));
}

#[test]
fn null_removes_and_leaves_nothing_behind() {
    let pod = json!({"metadata": {"labels": {"a": "1", "b": "2"}}});
    let patch =
        json!({"metadata": {"labels": {"a": null}}, "spec": {"volumes": [{"name": "x", "emptyDir": null}]}});
    let wanted = json!({"metadata": {"labels": {"b": "2"}}, "spec": {"volumes": [{"name": "x"}]}});
    assert_eq!(merged(pod, patch), wanted);
}

#[test]
fn an_item_without_its_key_is_refused() {
    for patch in [spec("containers", json!([{"image": "x"}])), spec("containers", json!(["x"])), json!([])] {
        assert!(merge(&mut json!({"spec": {"containers": []}}), patch.clone()).is_err(), "{patch}");
    }
}
