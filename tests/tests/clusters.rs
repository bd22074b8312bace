//! One control plane that reads several clusters, by Secrets with the label `istio/multiCluster` (row K14, E18;
//! "Multicluster" of the platform specification): real API servers, the real process, a simulated proxy of each cluster.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use kube_io::Client;
use proto::type_url;
use serde_json::{Value, json};
use testkit::ads::SimulatedProxy;
use testkit::cluster::{Cluster, binaries, objects};
use testkit::secure::{Channel, KeyKind, connect, create_certificate_in, new_request};
use tests::binary::binary;
use tests::replica::{Options, Replica};

/// One set of clusters at a time is enough for a small machine.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const ENDPOINTS: &str = "outbound|9000||till.shop.svc.cluster.local";
const LOCAL: &str = "outbound|9000||probe.kube-system.svc.cluster.local";

/// A Service with one pod behind it.
fn workload(name: &str, namespace: &str, cluster_ip: &str, pod_ip: &str) -> Vec<Value> {
    let meta = |own: String| json!({"name": own, "namespace": namespace, "labels": {"app": name}});
    let pod = format!("{name}-0");
    let mut slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": meta(format!("{name}-1")), "ports": [{"name": "tcp", "port": 8080}],
        "endpoints": [{"addresses": [pod_ip], "conditions": {"ready": true},
            "targetRef": {"kind": "Pod", "name": pod, "namespace": namespace}}]});
    slice["metadata"]["labels"] = json!({"kubernetes.io/service-name": name});
    vec![
        json!({"apiVersion": "v1", "kind": "Service", "metadata": meta(name.to_owned()),
            "spec": {"clusterIP": cluster_ip, "selector": {"app": name},
                "ports": [{"name": "tcp", "port": 9000, "targetPort": 8080}]}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": meta(pod),
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
            "status": {"phase": "Running", "podIP": pod_ip, "podIPs": [{"ip": pod_ip}],
                "conditions": [{"type": "Ready", "status": "True"}]}}),
        slice,
    ]
}

fn site(region: &str, network: &str, number: u8) -> Vec<Value> {
    let labels = json!({"topology.kubernetes.io/region": region});
    let mut all = vec![
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}}),
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "till", "namespace": "shop"}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system",
            "labels": {"topology.istio.io/network": network}}}),
    ];
    let ips = |last: u8| (format!("10.96.{number}.{last}"), format!("10.{number}.0.{last}"));
    for (name, namespace, last) in [("till", "shop", 1), ("probe", "kube-system", 2)] {
        let (cluster_ip, pod_ip) = ips(last);
        all.extend(workload(name, namespace, &cluster_ip, &pod_ip));
    }
    all
}

fn secret(id: &str, kubeconfig: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Secret", "stringData": {id: kubeconfig},
        "metadata": {"name": "remotes", "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}}})
}

fn kubeconfig_at(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| file.display().to_string())
}

fn proxy(replica: &mut Replica, cluster: &str, number: u8) -> Result<SimulatedProxy> {
    let id = format!("sidecar~10.{number}.0.1~till-0.shop~shop.svc.cluster.local");
    let metadata = json!({"CLUSTER_ID": cluster, "NAMESPACE": "shop", "ISTIO_VERSION": "1.30.0",
        "LABELS": {"app": "till"}});
    SimulatedProxy::start(replica.running().addresses().grpc, &id, "till.shop", &metadata)
}

/// Address, cluster and region of the endpoints that a proxy was sent.
fn endpoints(proxy: &SimulatedProxy, name: &str) -> Vec<String> {
    let assignment = proxy.view().json(type_url::ENDPOINT, name);
    let mut found = Vec::new();
    for group in assignment["endpoints"].as_array().into_iter().flatten() {
        let region = group["locality"]["region"].as_str().unwrap_or_default();
        for endpoint in group["lbEndpoints"].as_array().into_iter().flatten() {
            let address = endpoint["endpoint"]["address"]["socketAddress"]["address"].as_str();
            let workload = endpoint["metadata"]["filterMetadata"]["istio"]["workload"].as_str();
            let cluster = workload.and_then(|text| text.rsplit(';').next()).unwrap_or_default();
            found.push(format!("{} {cluster} {region}", address.unwrap_or_default()));
        }
    }
    found.sort();
    found
}

fn statuses(replica: &Replica) -> Result<Vec<String>> {
    let page = replica.debug("clusterz")?;
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("?").to_owned();
    let entries = page.as_array().context("a list")?.iter();
    Ok(entries
        .map(|e| format!("{} {} {}", text(e, "id"), text(e, "secretName"), text(e, "syncStatus")))
        .collect())
}

/// A token of the account `shop/till` of a cluster.
async fn token(client: &Client) -> Result<String> {
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
        "spec": {"expirationSeconds": 3600, "audiences": ["istio-ca"]}});
    let issued =
        objects::post(client, "/api/v1/namespaces/shop/serviceaccounts/till/token", &request).await?;
    Ok(issued["status"]["token"].as_str().context("a token")?.to_owned())
}

/// A channel to the port with TLS, by the root that is kept in the cluster.
async fn secure_channel(client: &Client, address: SocketAddr) -> Result<Channel> {
    let path = "/api/v1/namespaces/istio-system/secrets/istio-ca-secret";
    let stored: Value = serde_json::from_str(&objects::get(client, path).await?)?;
    let root = stored["data"]["ca-cert.pem"].as_str().and_then(config::k8s::decode_base64);
    let root = String::from_utf8(root.context("a root")?)?;
    connect(address, "istiod.istio-system.svc", &root, None).await
}

/// Callers get certificates by a token that the cluster believes which they say they are in, and by no other.
async fn tokens_are_judged_by_their_cluster(
    replica: &Replica,
    in_east: &Client,
    in_west: &Client,
) -> Result<()> {
    let address = replica.secure().context("a port")?;
    let mut tries = 0;
    let channel = loop {
        match secure_channel(in_east, address).await {
            Ok(channel) => break channel,
            Err(error) if tries == 600 => return Err(error),
            Err(_) => tries += 1,
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    let (of_east, of_west) = (token(in_east).await?, token(in_west).await?);
    for (token, cluster, is_believed) in [
        (&of_east, None, true),
        (&of_east, Some("east"), true),
        (&of_west, Some("west"), true),
        (&of_west, None, false),
        (&of_west, Some("east"), false),
        (&of_east, Some("west"), false),
        (&of_west, Some("north"), false),
    ] {
        let (_, request) = new_request(KeyKind::P256)?;
        let answer = create_certificate_in(&channel, Some(token), cluster, request).await;
        ensure!(answer.is_ok() == is_believed, "as one of {cluster:?}: {answer:?}");
    }
    Ok(())
}

async fn apply(client: &Client, all: &[Value]) -> Result<()> {
    objects::apply(client, all).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn proxies_of_two_clusters_have_the_endpoints_of_both_and_the_address_of_their_own() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let binary = binary()?;
    let (east, mut west) =
        tokio::try_join!(Cluster::start(&programs, "east"), Cluster::start(&programs, "west"))?;
    // A token that can be revoked, beside the administrator's.
    west.tokens(&["revocable-token"])?;
    west.stop_api();
    west.start_api().await?;
    let (in_east, in_west) = (east.client().await?, west.client().await?);
    apply(&in_east, &site("r-east", "net-east", 1)).await?;
    apply(&in_west, &site("r-west", "net-west", 2)).await?;
    let first = kubeconfig_at(&west.kubeconfig_of("revocable-token")?)?;
    apply(&in_east, &[secret("west", &first)]).await?;

    let options = Options {
        environment: vec![("CLUSTER_ID".to_owned(), "east".to_owned())],
        has_tls: true,
        ..Options::named("clusters")
    };
    let mut replica = Replica::start(&binary, &east, &options)?;
    replica.until("readiness", |replica| Ok(replica.readiness() == 200)).await?;
    ensure!(statuses(&replica)? == ["east  synced", "west istio-system/remotes synced"]);
    let (of_east, of_west) = (proxy(&mut replica, "east", 1)?, proxy(&mut replica, "west", 2)?);
    let both = ["10.1.0.1 east r-east", "10.2.0.1 west r-west"];
    let have = |name: &str, of: &SimulatedProxy, expected: &[&str]| endpoints(of, name) == expected;
    replica
        .until("endpoints of both", |_| {
            Ok(have(ENDPOINTS, &of_east, &both) && have(ENDPOINTS, &of_west, &both))
        })
        .await?;
    // Each reaches the service by the address that it has in the proxy's own cluster.
    let has_listener = |of: &SimulatedProxy, name: &str| of.view().count(type_url::LISTENER, name) == 1;
    replica
        .until("listeners", |_| {
            Ok(has_listener(&of_east, "10.96.1.1_9000") && has_listener(&of_west, "10.96.2.1_9000"))
        })
        .await?;
    ensure!(!has_listener(&of_east, "10.96.2.1_") && !has_listener(&of_west, "10.96.1.1_"));
    // What is of the system is of each cluster alone.
    replica
        .until("endpoints of the own cluster", |_| {
            let (east, west) = (["10.1.0.2 east r-east"], ["10.2.0.2 west r-west"]);
            Ok(have(LOCAL, &of_east, &east) && have(LOCAL, &of_west, &west))
        })
        .await?;
    let known = replica.debug("endpointz")?.to_string();
    ensure!(known.contains("\"net-east\"") && known.contains("\"net-west\""), "{known}");
    ensure!(replica.running().metric("istiod_managed_clusters{cluster_type=\"remote\"}")? > 0.0);

    tokens_are_judged_by_their_cluster(&replica, &in_east, &in_west).await?;

    // Other credentials take over without a loss; the old ones are revoked, and changes still come.
    let second = kubeconfig_at(&west.kubeconfig())?;
    apply(&in_east, &[secret("west", &second)]).await?;
    replica.until_logged(0, &["cluster west has been read"], 2).await?;
    west.tokens(&[])?;
    west.stop_api();
    west.start_api().await?;
    apply(&in_west, &workload("till", "shop", "10.96.2.1", "10.2.0.7")).await?;
    let moved = ["10.1.0.1 east r-east", "10.2.0.7 west r-west"];
    replica.until("the other address", |_| Ok(have(ENDPOINTS, &of_east, &moved))).await?;

    // What is revoked or broken changes nothing, and is told without its content.
    let from = replica.log_length();
    apply(&in_east, &[secret("west", &first)]).await?;
    replica.until_logged(from, &["cluster west is not known yet", "401"], 1).await?;
    let broken = first.replace("\"token\":", "\"exec\":{\"command\":\"/bin/true\"},\"token\":");
    apply(&in_east, &[secret("west", &broken)]).await?;
    replica
        .until_logged(from, &["Secret istio-system/remotes: the key west", "exec runs a program"], 1)
        .await?;
    ensure!(have(ENDPOINTS, &of_east, &moved) && have(ENDPOINTS, &of_west, &moved));
    ensure!(statuses(&replica)? == ["east  synced", "west istio-system/remotes synced"]);
    // An API server that is away changes nothing, either.
    let from = replica.log_length();
    west.stop_api();
    replica.until_logged(from, &["of cluster west cannot be watched", "its objects stay"], 1).await?;
    ensure!(have(ENDPOINTS, &of_east, &moved));
    for proxy in [&of_east, &of_west] {
        let removed = proxy.view().removed;
        ensure!(removed.is_empty(), "{removed:?} were taken away");
    }

    // The Secret goes, and the cluster with it.
    objects::delete(&in_east, &[secret("west", "")]).await?;
    replica
        .until("own endpoints alone", |_| Ok(have(ENDPOINTS, &of_east, &["10.1.0.1 east r-east"])))
        .await?;
    ensure!(statuses(&replica)? == ["east  synced"]);
    let log = replica.running().log();
    ensure!(!log.contains("revocable-token") && !log.contains("test-token"), "a token is in the log");
    replica.check()?;
    replica.stop()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_be_reached_holds_nobody_back_and_comes_when_it_can() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let binary = binary()?;
    let cluster = Cluster::start(&programs, "reach").await?;
    let client = cluster.client().await?;
    apply(&client, &site("r-east", "net-east", 1)).await?;
    let good = kubeconfig_at(&cluster.kubeconfig())?;
    let mut unreachable: Value = serde_json::from_str(&good)?;
    unreachable["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    apply(&client, &[secret("west", &unreachable.to_string())]).await?;
    let variable = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let options = Options {
        environment: vec![variable("CLUSTER_ID", "east"), variable("PILOT_REMOTE_CLUSTER_TIMEOUT", "2s")],
        ..Options::named("reach")
    };
    let mut replica = Replica::start(&binary, &cluster, &options)?;
    replica.until("readiness", |replica| Ok(replica.readiness() == 200)).await?;
    ensure!(statuses(&replica)? == ["east  synced", "west istio-system/remotes timeout"]);
    let timeouts = replica.running().metric("remote_cluster_sync_timeouts_total{cluster=\"west\"}")?;
    ensure!(timeouts > 0.0, "{timeouts} timeouts");
    let of_east = proxy(&mut replica, "east", 1)?;
    let own = ["10.1.0.1 east r-east"];
    replica.until("own endpoints", |_| Ok(endpoints(&of_east, ENDPOINTS) == own)).await?;

    // The same objects once more, as those of another cluster.
    apply(&client, &[secret("west", &good)]).await?;
    let both = ["10.1.0.1 east r-east", "10.1.0.1 west r-east"];
    replica.until("endpoints of both", |_| Ok(endpoints(&of_east, ENDPOINTS) == both)).await?;
    ensure!(statuses(&replica)? == ["east  synced", "west istio-system/remotes synced"]);
    replica.check()?;
    replica.stop()
}
