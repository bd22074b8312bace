//! What entries are called, made of, and when they are due; the whole of it over a real API server is in
//! `tests/tests/registration.rs`.

use std::time::{Duration, SystemTime};

use ca::Identity;
use scope::{Node, Proxy};
use serde_json::{Value, json};
use server::WorkloadRefusal;

use super::entry::{self, Due, Report};

fn proxy(metadata: &Value) -> Proxy {
    let node = Node {
        id: "sidecar~10.0.0.7~vm-1.shop~shop.svc.cluster.local".to_owned(),
        metadata: metadata.clone(),
        ..Node::default()
    };
    Proxy::parse(&node).unwrap()
}

fn group() -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup",
        "metadata": {"name": "vm", "namespace": "shop", "uid": "u-1"},
        "spec": {"metadata": {"labels": {"app": "till", "tier": "group"},
                              "annotations": {"note": "kept", "istio.io/autoRegistrationGroup": "another"}},
                 "template": {"serviceAccount": "till", "ports": {"http": 8080}, "network": "old", "locality": "a/b",
                              "address": "1.2.3.4", "labels": {"tier": "template", "only": "template"}}}})
}

#[test]
fn an_entry_is_called_after_group_address_and_network() {
    let named = |group: &str, metadata: Value| entry::name(group, &proxy(&metadata));
    assert_eq!(named("vm", json!({})).unwrap(), "vm-10.0.0.7");
    assert_eq!(named("vm", json!({"NETWORK": "dc-1"})).unwrap(), "vm-10.0.0.7-dc-1");
    assert_eq!(named("vm", json!({"INSTANCE_IPS": "2001:db8::7,10.0.0.7"})).unwrap(), "vm-2001-db8--7");
    let long = named(&"g".repeat(250), json!({})).unwrap();
    assert_eq!((long.len(), &long[long.len() - 10..]), (253, "g-10.0.0.7"));
}

#[test]
fn metadata_that_makes_no_name_is_refused_with_a_reason() {
    let hostile = [
        ("../secrets", json!({}), "AUTO_REGISTER_GROUP"),
        ("VM", json!({}), "AUTO_REGISTER_GROUP"),
        ("vm", json!({"NETWORK": "a/../b"}), "cannot be called"),
        ("vm", json!({"NETWORK": "ä".repeat(200)}), "cannot be called"),
        ("vm", json!({"INSTANCE_IPS": "0.0.0.0"}), "nobody can be reached"),
    ];
    for (group, metadata, reason) in hostile {
        match entry::name(group, &proxy(&metadata)) {
            Err(WorkloadRefusal::Invalid(message)) => assert!(message.contains(reason), "{message}"),
            other => panic!("{group} {metadata}: {other:?}"),
        }
    }
}

#[test]
fn what_the_node_says_goes_before_the_group_and_that_before_the_template() {
    let proxy = proxy(&json!({"NETWORK": "dc-1", "PROXY_CONFIG": {"readinessProbe": {"periodSeconds": 5}},
        "LABELS": {"app": "own", "istio-locality": "eu.west.2"}}));
    let made = entry::made("vm-10.0.0.7-dc-1", "shop", &group(), &proxy);
    assert_eq!(
        made,
        json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
            "metadata": {"name": "vm-10.0.0.7-dc-1", "namespace": "shop",
                "labels": {"app": "own", "tier": "group", "only": "template"},
                "annotations": {"note": "kept", "istio.io/autoRegistrationGroup": "vm",
                                "proxy.istio.io/health-checks-enabled": "true"},
                "ownerReferences": [{"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup", "name": "vm",
                                     "uid": "u-1", "controller": true}]},
            "spec": {"serviceAccount": "till", "ports": {"http": 8080}, "network": "dc-1", "locality": "eu/west/2",
                     "address": "10.0.0.7", "labels": {"app": "own", "tier": "group", "only": "template"}}})
    );
}

#[test]
fn only_the_account_of_the_template_speaks_for_an_entry() {
    let made = entry::made("vm-10.0.0.7", "shop", &group(), &proxy(&json!({})));
    let identity = |namespace, account| Identity::new("cluster.local", namespace, account).unwrap();
    let may = |identity: Option<Identity>| entry::may_speak(&made, identity.as_ref(), "vm-1.shop");
    assert_eq!(may(Some(identity("shop", "till"))), Ok(()));
    assert!(matches!(may(None), Err(WorkloadRefusal::Unproven(_))));
    for other in [identity("shop", "bank"), identity("town", "till")] {
        assert!(matches!(may(Some(other)), Err(WorkloadRefusal::Forbidden(_))));
    }
}

#[test]
fn an_entry_is_due_when_nobody_came_back_in_time() {
    let now = SystemTime::now();
    let ago = |seconds| kube_io::moment_text(now - Duration::from_secs(seconds));
    let grace = Duration::from_secs(10);
    let due = |annotations: Value| {
        let max_age = Some(Duration::from_secs(100));
        entry::due(|name| annotations[name].as_str(), now, grace, max_age)
    };
    let ours = |key: &str, value: String| json!({entry::GROUP: "vm", entry::CONTROLLER: "one", key: value});
    assert_eq!(due(ours(entry::DISCONNECTED, ago(11))), Due::Delete);
    assert_eq!(due(ours(entry::DISCONNECTED, ago(9))), Due::Nothing);
    assert_eq!(due(ours(entry::DISCONNECTED, "yesterday".to_owned())), Due::Delete);
    assert_eq!(due(ours(entry::CONNECTED, ago(99))), Due::Nothing);
    assert_eq!(due(ours(entry::CONNECTED, ago(101))), Due::Delete, "its replica is lost");
    assert_eq!(due(ours(entry::CONNECTED, "yesterday".to_owned())), Due::Nothing);
    assert_eq!(due(json!({entry::CONTROLLER: "one", entry::DISCONNECTED: ago(11)})), Due::Forget);
    assert_eq!(due(json!({entry::DISCONNECTED: ago(11)})), Due::Nothing, "somebody else's");
    assert_eq!(due(json!({entry::GROUP: "vm"})), Due::Nothing);
}

#[test]
fn a_report_replaces_an_earlier_one_and_nothing_else() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    let mut stored =
        json!({"metadata": {}, "status": {"other": 1, "conditions": [{"type": "Seen", "status": "True"}]}});
    let failure = Report { failure: Some("x".repeat(5000)), at: at(100) };
    assert!(entry::report(&mut stored, &failure));
    assert_eq!(stored["status"]["conditions"][1]["message"].as_str().unwrap().len(), 1024);
    assert_eq!(stored["status"]["conditions"][1]["status"], "False");
    assert!(!entry::report(&mut stored, &Report { failure: None, at: at(99) }), "older than what is there");
    assert!(entry::report(&mut stored, &Report { failure: None, at: at(101) }));
    let time = "1970-01-01T00:01:41Z";
    assert_eq!(
        stored["status"],
        json!({"other": 1, "conditions": [{"type": "Seen", "status": "True"},
            {"type": "Healthy", "status": "True", "lastProbeTime": time, "lastTransitionTime": time}]})
    );
    assert!(entry::forget(&mut stored) && !entry::forget(&mut stored));
    assert_eq!(stored["status"]["conditions"], json!([{"type": "Seen", "status": "True"}]));
    let mut odd = json!({"metadata": {}, "status": "text"});
    assert!(entry::report(&mut odd, &failure));
}
