//! Machines that register themselves, over a real API server with the rights of the chart, with real streams over TLS:
//! what their entries say, who may have one, what becomes of them when proxies go, come back elsewhere, are not well,
//! or when a replica is lost. Answers rows S17 and S18 of the traffic specification.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use config::Kind;
use kube_io::Client;
use serde_json::{Value, json};
use testkit::ads_stream::Stream;
use testkit::cluster::{Cluster, binaries, objects};
use testkit::control_plane::{ControlPlane, Running};
use testkit::secure::connect;
use testkit::wait::free_address;
use tests::binary::binary;
use tests::helm::{helm, rendered};

/// The machine may be busy with compilers.
const LIMIT: Duration = Duration::from_mins(2);
const HOST: &str = "istiod.istio-system.svc";
const ENTRIES: &str = "/apis/networking.istio.io/v1/namespaces/shop/workloadentries";
/// The entry of the machine that most of this is about.
const TILL: &str = "till-10.9.0.1-dc";

/// A cluster with the rights of the chart and what they are given to.
struct Site {
    cluster: Cluster,
    client: Client,
    kubeconfig: std::path::PathBuf,
}

/// One replica.
struct Plane {
    running: Running,
    address: std::net::SocketAddr,
    roots: String,
}

fn group(name: &str) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadGroup",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"metadata": {"labels": {"app": "till"}, "annotations": {"note": "of the group"}},
                 "template": {"serviceAccount": "till", "ports": {"http": 8080}}}})
}

/// A host behind which machines with the label of the group are.
fn service() -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": "till", "namespace": "shop"},
        "spec": {"hosts": ["till.test"], "location": "MESH_INTERNAL", "resolution": "STATIC",
                 "addresses": ["10.77.0.1"], "workloadSelector": {"labels": {"app": "till"}},
                 "ports": [{"number": 80, "name": "http", "protocol": "HTTP", "targetPort": 8080}]}})
}

/// What the node of a machine says.
fn machine(group: &str, account: &str, address: &str) -> (String, Value) {
    let id = format!("sidecar~{address}~vm-{}.shop~shop.svc.cluster.local", address.replace('.', "-"));
    let metadata = json!({"NAMESPACE": "shop", "SERVICE_ACCOUNT": account, "AUTO_REGISTER_GROUP": group,
        "INSTANCE_IPS": address, "NETWORK": "dc", "ISTIO_VERSION": "1.30.0", "CLUSTER_ID": "Kubernetes",
        "LABELS": "{\"version\": \"v2\", \"istio-locality\": \"eu.west\"}"});
    (id, metadata)
}

impl Site {
    /// `None` where Helm or Kubernetes are missing.
    async fn start(name: &str, objects: &[Value]) -> Result<Option<Self>> {
        let (Some(helm), Some(programs)) = (helm(), binaries()) else { return Ok(None) };
        let cluster = Cluster::start_with_rbac(&programs, name).await?;
        let client = cluster.client().await?;
        for kind in [Kind::WorkloadEntry, Kind::WorkloadGroup, Kind::ServiceEntry] {
            objects::define(&client, kind).await?;
        }
        let wanted = ["ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"];
        let chart = rendered(&helm, "istiod", "istiod", &[]).map_err(anyhow::Error::msg)?;
        let rights = chart.into_iter().filter(|object| wanted.iter().any(|kind| object["kind"] == *kind));
        let account = |name: &str| json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "shop"}});
        let mut all: Vec<Value> = rights.chain(["till", "bank"].map(account)).collect();
        all.extend_from_slice(objects);
        objects::apply(&client, &all).await?;
        let token = token(&client, "istio-system", "istiod", None).await?;
        let kubeconfig = cluster.kubeconfig_of(&token)?;
        Ok(Some(Self { cluster, client, kubeconfig }))
    }

    /// Starts a replica and waits until it is ready and serves over TLS.
    async fn replica(&self, name: &str, environment: &[(&str, &str)]) -> Result<Plane> {
        let log = self.cluster.folder().join(format!("{name}.log"));
        let mut plane = ControlPlane::over(&self.kubeconfig, &binary()?, &log)?;
        let address = free_address(Ipv4Addr::LOCALHOST.into())?;
        plane.secure = Some(address);
        let cacerts = self.cluster.folder().join("cacerts").display().to_string();
        let own = [("POD_NAME", name), ("ROOT_CA_DIR", &cacerts)];
        let all = own.iter().chain(environment);
        plane.environment = all.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let mut running = plane.start()?;
        running.wait_ready(LIMIT)?;
        let path = "/api/v1/namespaces/shop/configmaps/istio-ca-root-cert";
        let found = self.until(path, |found| found["data"]["root-cert.pem"].is_string()).await?;
        let roots = found["data"]["root-cert.pem"].as_str().unwrap_or_default().to_owned();
        Ok(Plane { running, address, roots })
    }

    /// Opens a stream as a machine whose token is for that account.
    async fn stream(&self, plane: &Plane, account: &str, node: &(String, Value)) -> Result<Stream> {
        let token = token(&self.client, "shop", account, Some("istio-ca")).await?;
        let deadline = Instant::now() + LIMIT;
        loop {
            match connect(plane.address, HOST, &plane.roots, None).await {
                Ok(channel) => return Stream::open(channel, Some(&token), &node.0, &node.1).await,
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// Opens one and waits for what it is served.
    async fn served(&self, plane: &Plane, account: &str, node: &(String, Value)) -> Result<Stream> {
        let mut stream = self.stream(plane, account, node).await?;
        stream.answered().await.with_context(|| plane.running.log())?;
        Ok(stream)
    }

    /// What stands at a path as soon as it is as wanted; nothing is null.
    async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = match objects::get(&self.client, path).await {
                Ok(text) => serde_json::from_str(&text)?,
                Err(error) if format!("{error:#}").contains("404") => Value::Null,
                Err(error) => return Err(error),
            };
            if wanted(&found) {
                return Ok(found);
            }
            ensure!(Instant::now() < deadline, "{path} is not as wanted: {found}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn entry(&self, name: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        self.until(&format!("{ENTRIES}/{name}"), wanted).await
    }
}

impl Plane {
    /// Waits until the endpoint of a machine is (not) among those of the mesh.
    async fn until_endpoint(&self, address: &str, is_there: bool) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self.running.debug("endpointz")?.to_string();
            if found.contains(address) == is_there {
                return Ok(());
            }
            ensure!(Instant::now() < deadline, "{address}: {is_there} is not so: {found}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn counted(&self) -> Result<BTreeMap<&'static str, u64>> {
        let names = ["success", "updates", "unregister", "deletes", "errors"];
        let one = |name| Ok((name, self.running.metric(&format!("auto_registration_{name}_total"))? as u64));
        names.into_iter().map(one).collect()
    }
}

/// A token of a service account of the cluster.
async fn token(client: &Client, namespace: &str, account: &str, audience: Option<&str>) -> Result<String> {
    let mut request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                             "spec": {"expirationSeconds": 3600}});
    if let Some(audience) = audience {
        request["spec"]["audiences"] = json!([audience]);
    }
    let path = format!("/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token");
    let issued = objects::post(client, &path, &request).await?;
    Ok(issued["status"]["token"].as_str().context("a token")?.to_owned())
}

fn annotation<'e>(entry: &'e Value, name: &str) -> &'e str {
    entry["metadata"]["annotations"][format!("istio.io/{name}")].as_str().unwrap_or_default()
}

fn is_connected_to(entry: &Value, replica: &str) -> bool {
    annotation(entry, "workloadController") == replica
        && !annotation(entry, "connectedAt").is_empty()
        && annotation(entry, "disconnectedAt").is_empty()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_has_an_entry_while_it_is_connected_wherever_that_is() -> Result<()> {
    let Some(site) = Site::start("registration", &[group("till"), service()]).await? else { return Ok(()) };
    // Long enough for a proxy to come back on a busy machine, and short enough to be waited for.
    let grace = [("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", "15s")];
    let one = site.replica("one", &grace).await?;
    let two = site.replica("two", &grace).await?;
    let till = machine("till", "till", "10.9.0.1");

    let stream = site.served(&one, "till", &till).await?;
    // It stands there before the first answer.
    let made = site.entry(TILL, |_| true).await?;
    ensure!(is_connected_to(&made, "one"), "{made}");
    let annotations = &made["metadata"]["annotations"];
    ensure!(annotations["istio.io/autoRegistrationGroup"] == "till" && annotations["note"] == "of the group");
    let labels = json!({"app": "till", "version": "v2"});
    ensure!(made["metadata"]["labels"] == labels, "{made}");
    let spec = json!({"address": "10.9.0.1", "network": "dc", "locality": "eu/west", "serviceAccount": "till",
                      "ports": {"http": 8080}, "labels": labels});
    ensure!(made["spec"] == spec, "{made}");
    let owner = &made["metadata"]["ownerReferences"][0];
    ensure!(owner["kind"] == "WorkloadGroup" && owner["name"] == "till" && owner["controller"] == true);
    one.until_endpoint("10.9.0.1", true).await?;
    two.until_endpoint("10.9.0.1", true).await?;

    // It goes, and comes back to another replica: the entry stays, and only the other one speaks for it.
    drop(stream);
    let gone = site.entry(TILL, |found| !annotation(found, "disconnectedAt").is_empty()).await?;
    ensure!(annotation(&gone, "connectedAt").is_empty() && annotation(&gone, "workloadController") == "one");
    let stream = site.served(&two, "till", &till).await?;
    let back = site.entry(TILL, |found| is_connected_to(found, "two")).await?;
    ensure!(back["metadata"]["uid"] == made["metadata"]["uid"], "made anew: {back}");
    // A second stream of the same proxy: the first may go.
    let second = site.served(&two, "till", &till).await?;
    drop(stream);
    // A stream that overlaps: it comes to one before it leaves two, which then has nothing to say.
    let third = site.served(&one, "till", &till).await?;
    site.entry(TILL, |found| is_connected_to(found, "one")).await?;
    drop(second);

    // When the last has gone and nobody comes back, the owner removes it.
    drop(third);
    site.entry(TILL, Value::is_null).await?;
    one.until_endpoint("10.9.0.1", false).await?;
    // It is counted when the API server has answered, which is after watches have told.
    let deadline = Instant::now() + LIMIT;
    while one.counted()?["deletes"] < 1 && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (by_one, by_two) = (one.counted()?, two.counted()?);
    let wanted =
        BTreeMap::from([("success", 1), ("updates", 1), ("unregister", 2), ("deletes", 1), ("errors", 0)]);
    ensure!(by_one == wanted, "{by_one:?}\n{}", one.running.log());
    ensure!(by_two["success"] == 0 && by_two["unregister"] == 0 && by_two["errors"] == 0, "{by_two:?}");

    // At a stop a replica tells that its proxies go.
    let last = site.served(&two, "till", &till).await?;
    site.entry(TILL, |found| is_connected_to(found, "two")).await?;
    two.running.stop(LIMIT)?;
    let left = site.entry(TILL, |_| true).await?;
    ensure!(!annotation(&left, "disconnectedAt").is_empty(), "{left}");
    drop(last);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_not_register_is_told_why_and_touches_no_entry() -> Result<()> {
    let other = json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {"name": "till-10.9.0.5-dc", "namespace": "shop"},
        "spec": {"address": "10.9.0.5", "serviceAccount": "till"}});
    let Some(site) = Site::start("refused", &[group("till"), other]).await? else { return Ok(()) };
    let one = site.replica("one", &[]).await?;
    let refusal = async |account: &str, node: &(String, Value)| {
        let mut stream = site.stream(&one, account, node).await?;
        let status = stream.refusal().await?;
        anyhow::Ok((format!("{:?}", status.code()), status.message().to_owned()))
    };
    let refused = async |account: &str, node: &(String, Value), code: &str, parts: &[&str]| {
        let (found, message) = refusal(account, node).await?;
        ensure!(found == code && parts.iter().all(|part| message.contains(part)), "{found}: {message}");
        anyhow::Ok(())
    };
    let of = |group: &str| machine(group, "till", "10.9.0.2");
    refused(
        "till",
        &of("absent"),
        "FailedPrecondition",
        &["no WorkloadGroup shop/absent", "vm-10-9-0-2.shop"],
    )
    .await?;
    refused("till", &of("../../secrets/x"), "InvalidArgument", &["AUTO_REGISTER_GROUP"]).await?;
    // Another account of the namespace, and one that claims to be the right one.
    let bank = machine("till", "bank", "10.9.0.2");
    refused("bank", &bank, "PermissionDenied", &["shop/till", "shop/bank"]).await?;
    refused("bank", &of("till"), "PermissionDenied", &["somebody else"]).await?;
    // Labels that no object may have.
    let mut odd = of("till");
    odd.1["LABELS"] = json!("{\"a b\": \"c d\"}");
    refused("till", &odd, "InvalidArgument", &["the API server refuses", "a b"]).await?;
    // Without a credential nobody is who they say.
    let plain = Stream::plain(one.running.addresses().grpc, &of("till").0, &of("till").1).await;
    let status = plain?.refusal().await?;
    ensure!(format!("{:?}", status.code()) == "Unauthenticated", "{status:?}");

    // An entry that somebody wrote stays theirs.
    let path = "till-10.9.0.5-dc";
    let before = site.entry(path, |_| true).await?;
    let parts = ["shop/till-10.9.0.5-dc", "was not made for"];
    refused("till", &machine("till", "till", "10.9.0.5"), "FailedPrecondition", &parts).await?;
    ensure!(site.entry(path, |_| true).await? == before, "written");

    // One that is there for a machine is not another account's, neither to take nor to end.
    let till = machine("till", "till", "10.9.0.1");
    let mut stream = site.served(&one, "till", &till).await?;
    let before = site.entry(TILL, |found| is_connected_to(found, "one")).await?;
    refused("bank", &machine("till", "bank", "10.9.0.1"), "PermissionDenied", &["shop/bank"]).await?;
    stream.subscribe(proto::type_url::CLUSTER, &[]).await?;
    stream.read().await?;
    ensure!(site.entry(TILL, |_| true).await? == before, "written");
    let all: Value = serde_json::from_str(&objects::get(&site.client, ENTRIES).await?)?;
    ensure!(all["items"].as_array().is_some_and(|items| items.len() == 2), "{all}");
    ensure!(one.counted()?["errors"] >= 6 && one.counted()?["success"] == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_is_not_well_has_no_endpoint() -> Result<()> {
    let stated = json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {"name": "stated", "namespace": "shop", "labels": {"app": "till"},
                     "annotations": {"proxy.istio.io/health-checks-enabled": "true"}},
        "spec": {"address": "10.9.0.3", "serviceAccount": "till"}});
    let objects = [group("till"), service(), stated];
    let Some(site) = Site::start("health", &objects).await? else { return Ok(()) };
    let one = site.replica("one", &[("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", "1s")]).await?;
    let mut till = machine("till", "till", "10.9.0.1");
    till.1["PROXY_CONFIG"] = json!("{\"readinessProbe\": {\"periodSeconds\": 1}}");
    let mut stream = site.served(&one, "till", &till).await?;
    let condition = |found: &Value, status: &str| {
        found["status"]["conditions"][0]["type"] == "Healthy"
            && found["status"]["conditions"][0]["status"] == status
    };
    stream.report(None).await?;
    site.entry(TILL, |found| condition(found, "True")).await?;
    one.until_endpoint("10.9.0.1", true).await?;
    stream.report(Some("connection refused")).await?;
    let sick = site.entry(TILL, |found| condition(found, "False")).await?;
    ensure!(sick["status"]["conditions"][0]["message"] == "connection refused", "{sick}");
    ensure!(is_connected_to(&sick, "one"), "{sick}");
    one.until_endpoint("10.9.0.1", false).await?;
    stream.report(None).await?;
    one.until_endpoint("10.9.0.1", true).await?;

    // An entry that somebody wrote, for a machine that says so: reports count while it is connected.
    let mut named = machine("", "till", "10.9.0.3");
    named.1["WORKLOAD_ENTRY"] = json!("stated");
    let mut stream = site.served(&one, "till", &named).await?;
    stream.report(None).await?;
    site.entry("stated", |found| condition(found, "True") && is_connected_to(found, "one")).await?;
    one.until_endpoint("10.9.0.3", true).await?;
    drop(stream);
    site.entry("stated", |found| found["status"]["conditions"].as_array().is_some_and(Vec::is_empty)).await?;
    one.until_endpoint("10.9.0.3", false).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_a_lost_replica_go_and_those_of_the_connected_come_back() -> Result<()> {
    let orphan = json!({"apiVersion": "networking.istio.io/v1", "kind": "WorkloadEntry",
        "metadata": {"name": "till-10.9.0.4", "namespace": "shop", "annotations": {
            "istio.io/autoRegistrationGroup": "till", "istio.io/workloadController": "lost",
            "istio.io/disconnectedAt": "2026-01-01T00:00:00.5Z"}},
        "spec": {"address": "10.9.0.4"}});
    let mut kept = orphan.clone();
    kept["metadata"] = json!({"name": "kept", "namespace": "shop"});
    let Some(site) = Site::start("orphans", &[group("till"), orphan, kept]).await? else { return Ok(()) };
    let one = site.replica("one", &[("PILOT_WORKLOAD_ENTRY_GRACE_PERIOD", "100ms")]).await?;
    let till = machine("till", "till", "10.9.0.1");
    let stream = site.served(&one, "till", &till).await?;
    let made = site.entry(TILL, |found| is_connected_to(found, "one")).await?;
    site.entry("till-10.9.0.4", Value::is_null).await?;

    // The group goes, and its entries with it, as the garbage collector of the cluster has it.
    objects::delete(&site.client, &[group("till")]).await?;
    site.until("/apis/networking.istio.io/v1/namespaces/shop/workloadgroups/till", Value::is_null).await?;
    objects::delete(&site.client, std::slice::from_ref(&made)).await?;
    site.entry(TILL, Value::is_null).await?;
    let mut refused = site.stream(&one, "till", &machine("till", "till", "10.9.0.2")).await?;
    ensure!(refused.refusal().await?.message().contains("no WorkloadGroup shop/till"));
    // It is there again: whoever is still connected has an entry.
    objects::apply(&site.client, &[group("till")]).await?;
    let again = site.entry(TILL, |found| is_connected_to(found, "one")).await?;
    ensure!(again["metadata"]["uid"] != made["metadata"]["uid"]);
    // Somebody says that it is gone although it is not.
    let mut lie = again.clone();
    let annotations = lie["metadata"]["annotations"].as_object_mut().context("annotations")?;
    annotations.remove("istio.io/connectedAt");
    annotations.insert("istio.io/disconnectedAt".into(), again["metadata"]["creationTimestamp"].clone());
    objects::put(&site.client, &format!("{ENTRIES}/{TILL}"), &lie).await?;
    site.entry(TILL, |found| is_connected_to(found, "one")).await?;
    drop(stream);
    site.entry(TILL, Value::is_null).await?;
    ensure!(!site.entry("kept", |_| true).await?.is_null(), "somebody else's is gone");
    if let Some(line) = one.running.log().lines().find(|line| line.contains("panicked")) {
        bail!("{line}");
    }
    Ok(())
}
