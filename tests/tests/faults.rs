//! The real process over a real API server while things go wrong, with simulated proxies on it. Each fault ends the
//! same way: what is derived is what a fresh process derives, no proxy has lost configuration that still holds, and
//! nothing has panicked. Answers section 2 of the reliability specification.

use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use config::Kind;
use kube_io::Client;
use proto::type_url;
use serde_json::{Value, json};
use testkit::ads::SimulatedProxy;
use testkit::cluster::{Cluster, binaries, objects};
use tests::binary::binary;
use tests::replica::{Options, Replica};

/// One cluster at a time is enough for a small machine.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// A cluster that holds the objects of [`given`], and a replica that has taken them in.
struct World {
    binary: PathBuf,
    cluster: Cluster,
    client: Client,
    replica: Replica,
    options: Options,
}

impl World {
    async fn start(mut cluster: Cluster, with_controllers: bool, options: Options) -> Result<Self> {
        let binary = binary()?;
        if with_controllers {
            cluster.start_controllers()?;
        }
        let client = cluster.client().await?;
        objects::define_all(&client).await?;
        objects::apply(&client, &given()).await?;
        let replica = Replica::ready(&binary, &cluster, &options).await?;
        Ok(Self { binary, cluster, client, replica, options })
    }

    async fn assert_fresh(&mut self) -> Result<()> {
        self.replica.assert_fresh(&self.binary, &self.cluster, &self.options).await
    }

    /// Nothing was ever taken from a proxy but what this says.
    fn assert_removed_only(&self, is_meant: impl Fn(&str, &str) -> bool) -> Result<()> {
        for (proxy, removed) in self.replica.removed() {
            let lost: Vec<&String> = removed.iter().filter(|resource| !is_meant(&proxy, resource)).collect();
            ensure!(lost.is_empty(), "{proxy} lost {lost:?}");
        }
        Ok(())
    }
}

fn service(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
           "spec": {"ports": [{"name": "http", "port": 80, "targetPort": 8080}], "selector": {"app": name}}})
}

fn istio(group: &str, version: &str, kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": format!("{group}.istio.io/{version}"), "kind": kind,
           "metadata": {"name": name, "namespace": namespace}, "spec": spec})
}

fn networking(kind: &str, namespace: &str, name: &str, spec: Value) -> Value {
    istio("networking", "v1", kind, namespace, name, spec)
}

fn entry(namespace: &str, name: &str) -> Value {
    networking(
        "ServiceEntry",
        namespace,
        name,
        json!({"hosts": [format!("{name}.test")], "location": "MESH_EXTERNAL", "resolution": "STATIC",
               "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}],
               "endpoints": [{"address": "192.0.2.7"}]}),
    )
}

/// Services with endpoints, and something of every part of the configuration of a proxy.
fn given() -> Vec<Value> {
    let mut given = Vec::new();
    for (index, (namespace, name)) in
        [("shop", "till"), ("shop", "shelf"), ("town", "bank")].into_iter().enumerate()
    {
        given.push(service(namespace, name));
        given.push(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{name}-1"), "namespace": namespace,
                         "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": [format!("10.244.1.{index}")], "conditions": {"ready": true}}],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }));
    }
    given.push(json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"}, "data": {"mesh": "accessLogFile: /dev/stdout\n"}}));
    given.push(entry("town", "mint"));
    given.push(networking(
        "VirtualService",
        "shop",
        "till",
        json!({"hosts": ["till"],
        "http": [{"timeout": "3s", "route": [{"destination": {"host": "till"}}]}]}),
    ));
    given.push(networking(
        "DestinationRule",
        "shop",
        "till",
        json!({"host": "till",
        "trafficPolicy": {"connectionPool": {"tcp": {"maxConnections": 7}}}}),
    ));
    given.push(networking(
        "Gateway",
        "istio-system",
        "edge",
        json!({"selector": {"istio": "ingressgateway"},
        "servers": [{"port": {"number": 80, "name": "http", "protocol": "HTTP"}, "hosts": ["*"]}]}),
    ));
    given.push(networking(
        "VirtualService",
        "town",
        "bank",
        json!({"hosts": ["bank.test"],
        "gateways": ["istio-system/edge"], "http": [{"route": [{"destination": {"host": "bank"}}]}]}),
    ));
    given.push(istio(
        "security",
        "v1",
        "AuthorizationPolicy",
        "shop",
        "doors",
        json!({"action": "DENY",
        "rules": [{"to": [{"operation": {"paths": ["/cellar"]}}]}]}),
    ));
    given
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_server_that_is_away_and_a_compacted_history_cost_no_proxy_anything() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(&programs, "away").await?;
    let mut world = World::start(cluster, false, Options::named("away")).await?;

    let log = world.replica.log_length();
    world.cluster.stop_api();
    // Away for as long as it takes to be asked in vain five times, with growing pauses.
    world.replica.until_logged(log, &["services: "], 5).await?;
    ensure!(world.replica.running().readiness()? == 200, "what is known is served");
    // Meanwhile somebody else changes things, and the versions that were known are forgotten.
    let cluster = &world.cluster;
    cluster
        .beside(async |client| {
            objects::delete(&client, &[entry("town", "mint")]).await?;
            objects::apply(&client, &[entry("town", "press"), service("shop", "lamp")]).await?;
            cluster.compact()
        })
        .await?;
    let log = world.replica.log_length();
    world.cluster.start_api().await?;
    world.replica.until_logged(log, &["(410)"], 1).await?;
    world
        .replica
        .until("what happened meanwhile", |replica| {
            Ok(replica.all_mention("press.test", true) && replica.all_mention("mint.test", false))
        })
        .await?;
    world.assert_fresh().await?;
    world.assert_removed_only(|_, resource| resource.contains("mint.test"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_schema_has_checked_harms_nothing_but_itself() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(&programs, "hostile").await?;
    let mut world = World::start(cluster, false, Options::named("hostile")).await?;
    let custom = objects::custom_kinds();
    ensure!(custom.len() > 20, "{} kinds", custom.len());
    let mut deep = json!("bottom");
    for _ in 0..200 {
        deep = json!({"a": [deep]});
    }
    let object = |kind: Kind, name: &str, spec: &Value| {
        let mut object = json!({"apiVersion": format!("{}/{}", kind.group(), kind.versions()[0]), "kind": kind.name(),
                                "metadata": {"name": name}, "spec": spec});
        if kind.is_namespaced() {
            object["metadata"]["namespace"] = json!("shop");
        }
        object
    };
    let specs = [
        ("null", json!(null)),
        ("text", json!("a text")),
        ("number", json!(7)),
        ("list", json!([null, {}, []])),
        ("empty", json!({})),
        (
            "nulls",
            json!({"hosts": [null], "http": [null], "servers": [null], "rules": [null], "selector": null,
                         "configPatches": [null], "host": null, "listeners": [null], "parentRefs": [null]}),
        ),
        (
            "types",
            json!({"hosts": {"a": 1}, "http": "x", "servers": 3, "rules": {"from": 1}, "selector": [1],
                         "configPatches": {"x": []}, "host": ["a"], "ports": [{"number": -1}, {"number": 1e300}],
                         "listeners": "x", "parentRefs": 5, "endpoints": [[]], "weight": "heavy"}),
        ),
        ("unknown", json!({"noSuchField": {"and": "more"}, "hosts": ["a.test"], "host": "a.test"})),
        ("deep", deep),
        (
            "huge",
            json!({"hosts": vec!["h".repeat(60); 8000], "host": "x".repeat(300_000), "junk": "y".repeat(300_000)}),
        ),
    ];
    let mut stored = Vec::new();
    for kind in &custom {
        for (name, spec) in &specs {
            stored.push(object(*kind, &format!("bad-{name}"), spec));
        }
    }
    // What even an API server without a schema refuses is not stored, and need not be feared.
    let mut n_refused = 0;
    for chunk in stored.chunks(40) {
        let outcomes =
            chunk.iter().map(async |object| objects::apply_one(&world.client, object).await.is_err());
        for outcome in outcomes {
            n_refused += usize::from(outcome.await);
        }
    }
    println!("{} of {} hostile objects are stored", stored.len() - n_refused, stored.len());
    ensure!(n_refused * 2 < stored.len(), "most are stored");
    // Good neighbours arrive all the same.
    objects::apply_one(&world.client, &entry("town", "press")).await?;
    world.replica.until("a good neighbour", |replica| Ok(replica.all_mention("press.test", true))).await?;
    let page = world.replica.running().debug("configz")?;
    let rejected =
        page.as_array().context("a list")?.iter().filter(|item| item["rejected"].is_object()).count();
    ensure!(rejected > custom.len(), "only {rejected} objects are told to be rejected");
    world.assert_fresh().await?;

    // Mended or deleted, nothing of it stays.
    objects::delete(&world.client, &stored).await?;
    world
        .replica
        .until("no rejections", |replica| {
            let derived = replica.derived()?;
            Ok(!derived.mentions("\"rejected\":"))
        })
        .await?;
    world.assert_fresh().await?;
    world.assert_removed_only(|_, resource| resource.contains("a.test") || resource.contains("hhhh"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_namespace_takes_away_its_own_and_nothing_else() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(&programs, "namespace").await?;
    let mut world = World::start(cluster, true, Options::named("namespace")).await?;
    let pod = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "bank-0", "namespace": "town", "labels": {"app": "bank"}},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
        "status": {"phase": "Running", "podIP": "10.244.0.7", "podIPs": [{"ip": "10.244.0.7"}],
                   "conditions": [{"type": "Ready", "status": "True"}]}});
    objects::apply_one(&world.client, &pod).await?;
    objects::delete_namespace(&world.client, "town").await?;
    // Pods end by themselves only where a kubelet says so.
    objects::delete(&world.client, std::slice::from_ref(&pod)).await?;
    world
        .replica
        .until("nothing of the namespace", |replica| {
            let is_gone = replica.all_mention("town", false) && replica.all_mention("mint.test", false);
            Ok(is_gone && !replica.derived()?.mentions("town"))
        })
        .await?;
    world.assert_fresh().await?;
    // And it may come back.
    objects::apply(&world.client, &[service("town", "bank")]).await?;
    world.replica.until("the namespace again", |replica| Ok(replica.all_mention("bank.town", true))).await?;
    world.assert_fresh().await?;
    world.assert_removed_only(|proxy, resource| {
        let is_own = proxy.contains(".town~") && resource.contains("inbound");
        is_own || resource.contains("town") || resource.contains("mint.test")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_are_revoked_and_given_back_cost_no_proxy_anything() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::start(&programs, "revoked").await?;
    cluster.tokens(&["lent"])?;
    cluster.stop_api();
    cluster.start_api().await?;
    let options = Options { kubeconfig: Some(cluster.kubeconfig_of("lent")?), ..Options::named("revoked") };
    let mut world = World::start(cluster, false, options).await?;

    // The API server reads who may come in at its start only.
    world.cluster.stop_api();
    world.cluster.tokens(&[])?;
    let log = world.replica.log_length();
    world.cluster.start_api().await?;
    world.replica.until_logged(log, &["services: ", "401"], 3).await?;
    objects::apply(&world.client, &[entry("town", "press")]).await?;
    ensure!(world.replica.running().readiness()? == 200, "what is known is served");
    ensure!(world.replica.all_mention("press.test", false), "nothing can be learnt");
    ensure!(world.replica.all_mention("mint.test", true), "what was known stays");

    world.cluster.stop_api();
    world.cluster.tokens(&["lent"])?;
    world.cluster.start_api().await?;
    world
        .replica
        .until("what happened meanwhile", |replica| Ok(replica.all_mention("press.test", true)))
        .await?;
    world.assert_fresh().await?;
    world.assert_removed_only(|_, _| false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_services_that_arrive_at_once_reach_every_proxy_and_cost_none_anything() -> Result<()> {
    const N_SERVICES: usize = 5000;
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(&programs, "crowd").await?;
    let mut world = World::start(cluster, false, Options::named("crowd")).await?;
    let crowd: Vec<Value> = (0..N_SERVICES)
        .map(|index| {
            let mut service = service("crowd", &format!("s{index}"));
            service["spec"]["clusterIP"] = json!(format!("10.{}.{}.{}", 100, index / 250, index % 250 + 1));
            service
        })
        .collect();
    objects::apply(&world.client, &crowd[..1]).await?;
    objects::apply_at_once(&world.client, &crowd[1..]).await?;
    let knows_all = |replica: &Replica| {
        let n_known = |proxy: &SimulatedProxy| proxy.view().count(type_url::CLUSTER, ".crowd.svc.");
        replica.proxies.iter().all(|proxy| n_known(proxy) == N_SERVICES)
    };
    world.replica.until("all services at all proxies", |replica| Ok(knows_all(replica))).await?;
    world.assert_fresh().await?;
    world.assert_removed_only(|_, _| false)
}
