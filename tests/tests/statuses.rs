//! The leader among the replicas tells Gateways and routes in a real API server what has become of them, beside what
//! others say, and only when there is something new.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use config::Kind;
use kube_io::Client;
use serde_json::{Value, json};
use testkit::cluster::{Cluster, binaries, objects};
use tests::binary::binary;
use tests::replica::{Options, Replica};

const GATEWAY: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/edge/gateways/door";
const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/edge/httproutes/way";

fn object(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "gateway.networking.k8s.io/v1", "kind": kind,
        "metadata": {"name": name, "namespace": "edge"}, "spec": spec})
}

fn service(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "edge"},
        "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})
}

fn endpoints(service: &str) -> Value {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": format!("{service}-1"), "namespace": "edge",
            "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": ["10.1.0.1"]}], "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]})
}

async fn read(client: &Client, path: &str) -> Result<Value> {
    Ok(serde_json::from_str(&objects::get(client, path).await?)?)
}

/// Waits until a condition of an object is so; `of` finds the list of conditions in its status.
async fn until(
    client: &Client,
    replica: &mut Replica,
    path: &str,
    of: &str,
    kind: &str,
    wanted: (&str, &str),
) -> Result<Value> {
    for _ in 0..1200 {
        let object = read(client, path).await?;
        let conditions = object.pointer(of).and_then(Value::as_array).cloned().unwrap_or_default();
        let is_so = |c: &Value| c["type"] == kind && c["status"] == wanted.0 && c["reason"] == wanted.1;
        if conditions.iter().any(is_so) {
            return Ok(object);
        }
        replica.check()?;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("{kind} of {path} did not become {wanted:?}: {}", read(client, path).await?["status"])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_and_routes_are_told_what_has_become_of_them() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let binary = binary()?;
    let cluster = Cluster::start(&programs, "statuses").await?;
    let client = cluster.client().await?;
    for kind in [Kind::KubernetesGateway, Kind::HttpRoute] {
        objects::define(&client, kind).await?;
    }
    let mut route = object(
        "HTTPRoute",
        "way",
        json!({"parentRefs": [{"name": "door"}], "rules": [{"backendRefs": [{"name": "shop", "port": 80}]}]}),
    );
    let other =
        json!({"parentRef": {"name": "door"}, "controllerName": "example.com/other", "conditions": []});
    route["status"] = json!({ "parents": [other] });
    let gateway = object(
        "Gateway",
        "door",
        json!({"gatewayClassName": "istio", "addresses": [{"type": "Hostname", "value": "door"}],
            "listeners": [{"name": "web", "port": 80, "protocol": "HTTP"}]}),
    );
    // Locks are kept there.
    let system = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}});
    objects::apply(&client, &[system, gateway, route, service("door")]).await?;
    let mut replica = Replica::ready(&binary, &cluster, &Options::named("only")).await?;

    // Nothing stands behind the Service yet, and there is no shop.
    let at = "/status/conditions";
    until(&client, &mut replica, GATEWAY, at, "Programmed", ("False", "AddressNotAssigned")).await?;
    let at_route = "/status/parents/1/conditions";
    let told =
        until(&client, &mut replica, ROUTE, at_route, "ResolvedRefs", ("False", "BackendNotFound")).await?;
    ensure!(told["status"]["parents"][0] == other, "another controller's words are gone: {told}");

    objects::apply(&client, &[endpoints("door"), service("shop")]).await?;
    let told = until(&client, &mut replica, GATEWAY, at, "Programmed", ("True", "Programmed")).await?;
    ensure!(told["status"]["addresses"][0]["value"] == "door.edge.svc.cluster.local", "{told}");
    ensure!(told["status"]["listeners"][0]["attachedRoutes"] == 1, "{told}");
    let told =
        until(&client, &mut replica, ROUTE, at_route, "ResolvedRefs", ("True", "ResolvedRefs")).await?;

    // What changes nothing for them is no reason to write.
    let before = told["metadata"]["resourceVersion"].as_str().context("a version")?.to_owned();
    objects::apply(&client, &[service("till")]).await?;
    replica.until("another Service", |replica| Ok(replica.all_mention("till.edge", true))).await?;
    let after = read(&client, ROUTE).await?;
    ensure!(after["metadata"]["resourceVersion"] == *before, "written again: {after}");
    Ok(())
}
