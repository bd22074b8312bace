//! What a change does not do: counted from the commit's own report, not timed.

mod world;

use world::{World, endpoint_slice, proxy, service, virtual_service};

#[test]
fn an_endpoint_change_in_a_large_mesh_renders_one_resource_once() {
    let mut world = World::default();
    for index in 0..1000 {
        world.stage(service(&format!("s{index}"), "apps", 80, "http"));
        world.stage(endpoint_slice(&format!("s{index}"), "apps", &["10.1.0.1"]));
    }
    world.commit();
    for index in 0..100 {
        // Ten namespaces make ten classes; the proxies of one namespace share theirs.
        world.connect(index, &proxy(&format!("p{index}"), &format!("ns{}", index % 10)));
    }
    assert_eq!(world.engine.n_classes(), 10);
    world.stage(endpoint_slice("s7", "apps", &["10.1.0.1", "10.1.0.2"]));
    let report = world.commit();
    assert_eq!(report.n_rendered(), 1, "{:?}", report.rendered);
    assert_eq!(report.pushed.len(), 100);
    assert_eq!(report.n_scopes, 0);
    assert_eq!(report.selected.keys().copied().collect::<Vec<_>>(), ["eds"], "{:?}", report.selected);
}

#[test]
fn a_virtual_service_change_renders_only_the_virtual_hosts_it_touches() {
    let mut world = World::default();
    for index in 0..200 {
        world.stage(service(&format!("s{index}"), "apps", 80, "http"));
        world.stage(virtual_service(&format!("s{index}"), "apps", "1s"));
    }
    world.commit();
    for index in 0..20 {
        world.connect(index, &proxy(&format!("p{index}"), "apps"));
    }
    world.stage(virtual_service("s7", "apps", "2s"));
    let report = world.commit();
    let virtual_hosts: usize =
        report.rendered.iter().filter(|(tag, _)| tag.contains("VirtualHost")).map(|(_, n)| n).sum();
    assert_eq!(virtual_hosts, 1, "{:?}", report.rendered);
    // The one other thing that is new is the route table around it, put together from bytes.
    assert!(report.n_rendered() <= 2, "{:?}", report.rendered);
    // Which listeners and clusters a proxy has does not depend on where its HTTP routes lead.
    assert_eq!(report.selected.keys().copied().collect::<Vec<_>>(), ["rds"], "{:?}", report.selected);
    assert_eq!(report.pushed.len(), 20);
}

#[test]
fn an_object_applied_again_unchanged_moves_nothing() {
    let mut world = World::default();
    world.stage(service("s", "apps", 80, "http"));
    world.commit();
    world.connect(0, &proxy("p", "apps"));
    world.stage(service("s", "apps", 80, "http"));
    let report = world.commit();
    assert!(report.changed.is_empty() && report.pushed.is_empty());
    assert_eq!(report.n_rendered(), 0);
}

#[test]
fn a_label_of_one_pod_makes_a_class_of_one_only_while_a_selector_mentions_it() {
    let mut world = World::default();
    for index in 0..5 {
        world.connect(index, &proxy(&format!("p{index}"), "apps"));
    }
    assert_eq!(world.engine.n_classes(), 1);
    let sidecar = serde_json::json!({"apiVersion": "networking.istio.io/v1", "kind": "Sidecar",
        "metadata": {"name": "one", "namespace": "apps"},
        "spec": {"workloadSelector": {"labels": {"statefulset.kubernetes.io/pod-name": "p3"}},
            "egress": [{"hosts": ["./*"]}]}});
    world.stage(sidecar.clone());
    world.commit();
    assert_eq!(world.engine.n_classes(), 5);
    world.unstage(&sidecar);
    world.commit();
    assert_eq!(world.engine.n_classes(), 1);
}

#[test]
fn workloads_of_a_namespace_share_what_they_call_until_a_rule_tells_them_apart() {
    let mut world = World::default();
    for index in 0..10 {
        world.stage(service(&format!("s{index}"), "apps", 80, "http"));
    }
    world.commit();
    for index in 0..10 {
        let mut one = proxy(&format!("p{index}"), "apps");
        one.labels = model::Labels::from([("app", format!("s{index}").as_str())]);
        world.connect(index, &one);
    }
    assert_eq!((world.engine.n_classes(), world.engine.n_outbounds()), (10, 1));
    let rule = serde_json::json!({"apiVersion": "networking.istio.io/v1", "kind": "DestinationRule",
        "metadata": {"name": "one", "namespace": "apps"},
        "spec": {"host": "s0", "workloadSelector": {"matchLabels": {"app": "s3"}}}});
    world.stage(rule.clone());
    world.commit();
    assert_eq!(world.engine.n_outbounds(), 10);
    world.unstage(&rule);
    world.commit();
    assert_eq!(world.engine.n_outbounds(), 1);
    // A policy about what is served tells nothing about calls.
    world.stage(serde_json::json!({"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
        "metadata": {"name": "one", "namespace": "apps"}, "spec": {"selector": {"matchLabels": {"app": "s3"}}}}));
    world.commit();
    assert_eq!(world.engine.n_outbounds(), 1);
}

#[test]
fn issues_are_gathered_once_for_each_state() {
    let mut world = World::default();
    world.stage(service("s", "apps", 80, "http"));
    world.commit();
    world.connect(0, &proxy("p0", "apps"));
    let issues = world.engine.issues();
    world.connect(1, &proxy("p1", "apps"));
    assert!(std::sync::Arc::ptr_eq(&issues, &world.engine.issues()), "a known class brings nothing new");
    world.stage(serde_json::json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService",
        "metadata": {"name": "one", "namespace": "apps"},
        "spec": {"hosts": ["s"], "http": [{"route": [{"destination": {"host": "nobody"}}]}]}}));
    world.commit();
    assert!(world.engine.issues().iter().any(|issue| issue.to_string().contains("nobody")));
}

#[test]
fn a_patch_renders_only_what_it_concerns_and_only_where_it_holds() {
    let mut world = World::default();
    for index in 0..50 {
        world.stage(service(&format!("s{index}"), "apps", 80, "http"));
    }
    world.commit();
    world.connect(0, &proxy("p", "apps"));
    world.connect(1, &proxy("q", "others"));
    let filter = |timeout: &str| {
        serde_json::json!({"apiVersion": "networking.istio.io/v1alpha3", "kind": "EnvoyFilter",
            "metadata": {"name": "one", "namespace": "apps"},
            "spec": {"configPatches": [{"applyTo": "CLUSTER",
                "match": {"cluster": {"service": "s7.apps.svc.cluster.local"}},
                "patch": {"operation": "MERGE", "value": {"connect_timeout": timeout}}}]}})
    };
    world.stage(filter("1s"));
    let report = world.commit();
    assert_eq!(report.n_rendered(), 1, "{:?}", report.rendered);
    assert_eq!(report.pushed.len(), 1);
    world.stage(filter("2s"));
    let report = world.commit();
    assert_eq!(report.n_rendered(), 1, "{:?}", report.rendered);
    world.unstage(&filter("2s"));
    let report = world.commit();
    assert_eq!(report.n_rendered(), 0, "{:?}", report.rendered);
    assert_eq!(report.pushed.len(), 1);
}

#[test]
fn a_service_that_nobody_may_see_moves_nothing() {
    let mut world = World::default();
    world.stage(service("s", "apps", 80, "http"));
    world.commit();
    world.connect(0, &proxy("p", "apps"));
    let mut hidden = service("hidden", "apps", 80, "http");
    hidden["metadata"]["annotations"] = serde_json::json!({"networking.istio.io/exportTo": "~"});
    world.stage(hidden);
    world.stage(endpoint_slice("hidden", "apps", &["10.1.0.1"]));
    let report = world.commit();
    assert_eq!(report.changed.len(), 2);
    assert_eq!((report.n_rendered(), report.pushed.len()), (0, 0), "{:?}", report.rendered);
}

#[test]
fn a_pod_that_gains_a_sidecar_moves_the_endpoints_of_its_service_alone() {
    let mut world = World::default();
    let pod = |labels: serde_json::Value| {
        serde_json::json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "s-1", "namespace": "apps", "labels": labels},
            "spec": {"containers": [{"name": "app"}]},
            "status": {"phase": "Running", "podIP": "10.1.0.1", "podIPs": [{"ip": "10.1.0.1"}]}})
    };
    for name in ["s", "t"] {
        world.stage(service(name, "apps", 80, "http"));
    }
    let mut slice = endpoint_slice("s", "apps", &["10.1.0.1"]);
    slice["endpoints"][0]["targetRef"] =
        serde_json::json!({"kind": "Pod", "name": "s-1", "namespace": "apps"});
    world.stage(slice);
    world.stage(pod(serde_json::json!({"app": "s"})));
    world.commit();
    world.connect(0, &proxy("p", "apps"));
    world.stage(pod(serde_json::json!({"app": "s", "security.istio.io/tlsMode": "istio"})));
    let report = world.commit();
    assert_eq!(report.rendered.keys().copied().collect::<Vec<_>>(), ["LoadAssignmentInput"]);
    assert_eq!((report.n_rendered(), report.pushed.len()), (1, 1));
    let assignment = "outbound|80||s.apps.svc.cluster.local";
    let endpoints = report.pushed[0].1.resources(xds::ResourceType::Endpoint);
    let body = endpoints
        .resource(assignment)
        .map(|resource| String::from_utf8_lossy(&resource.body().whole()).into_owned());
    assert!(body.unwrap_or_default().contains("tlsMode"));
}

#[test]
fn a_cluster_that_is_gone_takes_its_endpoints_with_it() {
    let mut world = World::default();
    for name in ["s", "t"] {
        world.stage(service(name, "apps", 80, "http"));
        world.stage(endpoint_slice(name, "apps", &["10.1.0.1"]));
    }
    world.commit();
    world.connect(0, &proxy("p", "apps"));
    world.unstage(&service("t", "apps", 80, "http"));
    let report = world.commit();
    let endpoints = report.pushed[0].1.resources(xds::ResourceType::Endpoint);
    let names: Vec<&str> = endpoints.iter().map(|resource| &**resource.name()).collect();
    assert_eq!(names, ["outbound|80||s.apps.svc.cluster.local"]);
}
