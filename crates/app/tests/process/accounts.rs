//! Rows of the security specification about the accounts of servers: who calls knows an account before it is sent an
//! endpoint of it.

use serde_json::{Value, json};
use testkit::ads_stream::Stream;

use crate::{Folder, LIMIT};

const CLUSTER: &str = "outbound|80||till.shop.svc.cluster.local";

/// A Service whose pods have these accounts, one each.
fn till(accounts: &[&str]) -> String {
    let mut documents = vec![json!({"apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "till", "namespace": "shop"},
        "spec": {"clusterIP": "10.96.0.9", "selector": {"app": "till"},
                 "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}})];
    let address = |number: usize| format!("10.2.0.{}", number + 1);
    for (number, account) in accounts.iter().enumerate() {
        documents.push(json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("till-{number}"), "namespace": "shop",
                         "labels": {"app": "till", "security.istio.io/tlsMode": "istio"}},
            "spec": {"serviceAccountName": account, "containers": [{"name": "till"}]},
            "status": {"phase": "Running", "podIP": address(number), "podIPs": [{"ip": address(number)}],
                       "conditions": [{"type": "Ready", "status": "True"}]}}));
    }
    let endpoint = |number: usize| {
        json!({"addresses": [address(number)], "conditions": {"ready": true},
               "targetRef": {"kind": "Pod", "namespace": "shop", "name": format!("till-{number}")}})
    };
    let endpoints: Vec<Value> = (0..accounts.len()).map(endpoint).collect();
    documents.push(
        json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "till-1", "namespace": "shop", "labels": {"kubernetes.io/service-name": "till"}},
        "endpoints": endpoints, "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}]}),
    );
    documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_account_is_known_before_an_endpoint_has_it() {
    let folder = Folder::new("accounts");
    folder.write("till.yaml", &till(&["first"]));
    let mut running = folder.control_plane().start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let id = "sidecar~10.0.0.1~caller.shop~shop.svc.cluster.local";
    let metadata = json!({"NAMESPACE": "shop", "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.30.0"});
    let mut stream = Stream::plain(running.addresses().grpc, id, &metadata).await.unwrap();
    stream.subscribe(proto::type_url::CLUSTER, &[]).await.unwrap();
    let clusters = stream.read().await.unwrap();
    assert!(clusters.contains("spiffe://cluster.local/ns/shop/sa/first"), "{clusters}");
    assert!(!clusters.contains("sa/second"), "{clusters}");
    stream.subscribe(proto::type_url::ENDPOINT, &[CLUSTER]).await.unwrap();
    let endpoints = stream.read().await.unwrap();
    assert!(endpoints.contains("10.2.0.1") && !endpoints.contains("10.2.0.2"), "{endpoints}");

    folder.write("till.yaml", &till(&["first", "second"]));
    let in_order = async {
        let mut is_known = false;
        loop {
            let (url, text) = stream.next().await.unwrap();
            is_known |= url == proto::type_url::CLUSTER && text.contains("sa/second");
            if url == proto::type_url::ENDPOINT && text.contains("10.2.0.2") {
                return is_known;
            }
        }
    };
    assert!(tokio::time::timeout(LIMIT, in_order).await.unwrap(), "the endpoint came before its account");
}
