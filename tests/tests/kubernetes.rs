//! The API server as a source, on a real one: what is derived from it, what happens while it is away, while objects
//! are broken, while definitions come late. Needs `make tools-kubernetes` or KUBEBUILDER_ASSETS.

#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "helpers of tests may end a test and tell what they saw"
)]

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use config::{ConfigKey, ConfigStore, Kind, SourceEvent};
use kube_io::{Client, Election, KubernetesSource, Lock, LockKind, Options, Timing};
use mesh::{Base, Mesh};
use serde_json::{Value, json};
use testkit::cluster::{Cluster, binaries, objects};
use testkit::generate::{generate, mesh_of};
use testkit::parity::{Scenario, compare, shared_dir};

/// One cluster at a time is enough for a small machine.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What a source has told so far.
#[derive(Default)]
struct Told {
    store: ConfigStore,
    last: SourceEvent,
    n_events: usize,
}

struct Watcher {
    told: Arc<Mutex<Told>>,
    _source: KubernetesSource,
}

impl Watcher {
    fn start(client: Client) -> Self {
        let told = Arc::new(Mutex::new(Told::default()));
        let taker = Arc::clone(&told);
        let source = KubernetesSource::start(client, Options::default(), move |event| {
            let mut told = taker.lock().expect("nobody panics with the lock");
            told.store.apply(event.changes.clone());
            told.last = event;
            told.n_events += 1;
        });
        Self { told, _source: source }
    }

    async fn ready(client: Client) -> Self {
        let watcher = Self::start(client);
        watcher.until("the first event", |told| told.n_events > 0).await;
        watcher
    }

    async fn until(&self, what: &str, is_so: impl Fn(&Told) -> bool) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is_so(&self.told.lock().expect("nobody panics with the lock")) {
            let last = || self.told.lock().expect("nobody panics with the lock").last.clone();
            assert!(Instant::now() < deadline, "{what} did not happen; last event: {:?}", last());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn store(&self) -> ConfigStore {
        self.told.lock().expect("nobody panics with the lock").store.clone()
    }

    /// The state is that of a process that starts now.
    async fn assert_fresh(&self, client: Client) {
        let fresh = Watcher::ready(client).await.store();
        let differing = |told: &Told| differing(&told.store, &fresh);
        self.until("equality with a fresh process", |told| differing(told).is_empty()).await;
    }
}

fn differing(a: &ConfigStore, b: &ConfigStore) -> Vec<ConfigKey> {
    let missing = |a: &ConfigStore, b: &ConfigStore| {
        a.iter().filter(|object| b.get(&object.key()).as_ref() != Some(object)).map(|o| o.key()).collect()
    };
    let mut keys: Vec<ConfigKey> = missing(a, b);
    keys.extend::<Vec<ConfigKey>>(missing(b, a));
    keys
}

fn service(namespace: &str, name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace},
           "spec": {"ports": [{"name": "http", "port": 80}], "selector": {"app": name}}})
}

fn service_entry(name: &str, host: Value) -> Value {
    json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
           "metadata": {"name": name, "namespace": "late"},
           "spec": {"hosts": [host], "location": "MESH_EXTERNAL", "resolution": "DNS",
                    "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}})
}

fn has(told: &Told, kind: Kind, namespace: &str, name: &str) -> bool {
    told.store.get(&ConfigKey::new(kind, namespace, name)).is_some()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_is_followed_through_late_definitions_broken_objects_and_an_absent_server() {
    let Some(binaries) = binaries() else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let started = Instant::now();
    let mut cluster = Cluster::start(&binaries, "follow").await.expect("a cluster");
    println!("a cluster is ready after {:.1} s", started.elapsed().as_secs_f64());
    let client = cluster.client().await.expect("a client");

    // Nothing but Kubernetes' own kinds is defined: ready all the same.
    let watcher = Watcher::ready(client.clone()).await;
    objects::apply(&client, &[service("late", "here")]).await.expect("a service");
    watcher.until("a service", |told| has(told, Kind::Service, "late", "here")).await;

    // A definition comes later, and an object with it that no schema has checked.
    objects::define(&client, Kind::ServiceEntry).await.expect("a definition");
    objects::apply_one(&client, &service_entry("good", json!("good.test"))).await.expect("an object");
    objects::apply_one(&client, &service_entry("bad", json!({"no": "host"}))).await.expect("a broken object");
    watcher
        .until("the good object and the rejection of the bad one", |told| {
            has(told, Kind::ServiceEntry, "late", "good")
                && told.last.rejections.iter().any(|r| r.path == "spec.hosts[0]")
        })
        .await;
    // A good object that breaks keeps its last good version, and its neighbours go on.
    objects::apply_one(&client, &service_entry("good", json!(null))).await.expect("a broken object");
    objects::apply_one(&client, &service_entry("next", json!("next.test"))).await.expect("an object");
    watcher.until("the next object", |told| has(told, Kind::ServiceEntry, "late", "next")).await;
    assert!(watcher.store().get(&ConfigKey::new(Kind::ServiceEntry, "late", "good")).is_some());
    objects::apply_one(&client, &service_entry("good", json!("good.test"))).await.expect("an object");
    objects::apply_one(&client, &service_entry("bad", json!("mended.test"))).await.expect("an object");
    watcher
        .until("mended objects", |told| {
            told.last.rejections.is_empty() && has(told, Kind::ServiceEntry, "late", "bad")
        })
        .await;

    // The API server goes away; while it is away a second one on the same etcd deletes and makes objects.
    cluster.stop_api();
    watcher.until("a warning that nothing can be learnt", |told| !told.last.warnings.is_empty()).await;
    assert!(
        has(&watcher.told.lock().expect("no panic"), Kind::Service, "late", "here"),
        "what was known stays"
    );
    cluster
        .beside(async |client| {
            objects::delete(&client, &[service("late", "here"), service_entry("next", json!(""))]).await?;
            objects::apply(&client, &[service("late", "new")]).await.map(drop)
        })
        .await
        .expect("changes behind our back");
    cluster.start_api().await.expect("the API server again");
    watcher
        .until("what happened meanwhile", |told| {
            has(told, Kind::Service, "late", "new")
                && !has(told, Kind::Service, "late", "here")
                && !has(told, Kind::ServiceEntry, "late", "next")
                && told.last.warnings.is_empty()
        })
        .await;
    watcher.assert_fresh(client.clone()).await;

    // A definition goes, and its objects with it.
    objects::delete(&client, &[objects::definition(Kind::ServiceEntry)]).await.expect("no definition");
    watcher.until("an empty kind", |told| told.store.service_entries().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn namespaces_come_into_view_and_go_by_their_labels() {
    let Some(binaries) = binaries() else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(&binaries, "labels").await.expect("a cluster");
    let client = cluster.client().await.expect("a client");
    let namespace = |labels: Value| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": labels}});
    let mesh = json!({"apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": "istio-system"},
        "data": {"mesh": "discoverySelectors:\n- matchLabels: {mesh: \"yes\"}\n"}});
    objects::apply(&client, &[namespace(json!({})), service("shop", "till"), mesh]).await.expect("objects");
    let told = Arc::new(Mutex::new(Mesh::build(ConfigStore::default(), Arc::new(Base::default()))));
    let taker = Arc::clone(&told);
    let _source = KubernetesSource::start(client.clone(), Options::default(), move |event| {
        let mut mesh = taker.lock().expect("no panic");
        *mesh = mesh.advance(event.changes).0;
    });
    let until = async |what: &str, is_so: &dyn Fn(&Mesh) -> bool| {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !is_so(&told.lock().expect("no panic")) {
            assert!(Instant::now() < deadline, "{what} did not happen");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let sees = |mesh: &Mesh| mesh.store().services().get("shop", "till").is_some();
    until("the mesh configuration", &|mesh| !mesh.store().config_maps().is_empty()).await;
    assert!(!sees(&told.lock().expect("no panic")), "no selector chooses the namespace");
    objects::apply_one(&client, &namespace(json!({"mesh": "yes"}))).await.expect("a label");
    until("the service", &sees).await;
    objects::apply_one(&client, &namespace(json!({"mesh": "no"}))).await.expect("a label");
    until("no service", &|mesh| !sees(mesh)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_become_endpoints_by_the_slices_that_the_cluster_makes() {
    let Some(binaries) = binaries() else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let mut cluster = Cluster::start(&binaries, "slices").await.expect("a cluster");
    cluster.start_controllers().expect("controllers");
    let client = cluster.client().await.expect("a client");
    let watcher = Watcher::ready(client.clone()).await;
    let pod = |ready: &str| {
        json!({"apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": "till-0", "namespace": "shop", "labels": {"app": "till"}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i", "ports": [{"containerPort": 80}]}]},
            "status": {"phase": "Running", "podIP": "10.244.0.7", "podIPs": [{"ip": "10.244.0.7"}],
                       "conditions": [{"type": "Ready", "status": ready}]}})
    };
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    objects::apply_one(&client, &node).await.expect("a node");
    objects::apply(&client, &[service("shop", "till"), pod("True")]).await.expect("a service and its pod");
    let is_ready = |told: &Told, ready: bool| {
        told.store.endpoint_slices().iter().any(|slice| {
            slice.meta.label("kubernetes.io/service-name") == Some("till")
                && slice.spec.endpoints.iter().any(|endpoint| {
                    endpoint.addresses == ["10.244.0.7"] && endpoint.conditions.ready == Some(ready)
                })
        })
    };
    watcher.until("a ready endpoint", |told| is_ready(told, true)).await;
    objects::apply_one(&client, &pod("False")).await.expect("a pod that fails");
    watcher.until("an endpoint that is not ready", |told| is_ready(told, false)).await;
    watcher.assert_fresh(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_leads_until_it_gives_the_lock_back_or_falls_silent() {
    let Some(binaries) = binaries() else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let cluster = Cluster::start(&binaries, "leader").await.expect("a cluster");
    let client = cluster.client().await.expect("a client");
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}});
    objects::apply(&client, &[namespace]).await.expect("a namespace");
    let timing = Timing {
        lease: Duration::from_secs(4),
        renew: Duration::from_secs(2),
        retry: Duration::from_millis(200),
    };
    for kind in [LockKind::Lease, LockKind::ConfigMap] {
        let lock = Lock { kind, namespace: "istio-system".to_owned(), name: "istio-leader".to_owned() };
        let stand = |identity: &str| Election::start(client.clone(), lock.clone(), identity, timing);
        let first = stand("first");
        first.is_leader().wait_for(|leads| *leads).await.expect("a candidate");
        let second = stand("second");
        // Renewed all along, the lock stays where it is for longer than a lease.
        let waiting = tokio::time::timeout(timing.lease * 3 / 2, async {
            second.is_leader().wait_for(|leads| *leads).await.map(|_| ())
        });
        assert!(waiting.await.is_err(), "two lead by {lock}");
        assert!(*first.is_leader().borrow());
        first.release().await;
        let started = Instant::now();
        second.is_leader().wait_for(|leads| *leads).await.expect("a candidate");
        assert!(started.elapsed() < timing.lease, "a lock that was given back is waited for");
        // Falls silent without a word.
        let third = stand("third");
        drop(second);
        third.is_leader().wait_for(|leads| *leads).await.expect("a candidate");
        third.release().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scenarios_give_the_same_from_the_api_server_as_from_files() {
    let (Some(binaries), Some(shared)) = (binaries(), shared_dir()) else { return };
    let _alone = ONE_AT_A_TIME.lock().await;
    let started = Instant::now();
    let cluster = Cluster::start(&binaries, "parity").await.expect("a cluster");
    let client = cluster.client().await.expect("a client");
    objects::define_all(&client).await.expect("definitions");
    let mut stored = objects::Stored::default();
    let mut differing = Vec::new();
    let names = Scenario::names(&shared).expect("scenarios");
    for name in &names {
        match same(&client, &mut stored, &shared, name).await {
            Ok(unequal) => differing.extend(unequal),
            Err(error) => differing.push(format!("{name}: {error:#}")),
        }
    }
    println!("{} scenarios after {:.1} s", names.len(), started.elapsed().as_secs_f64());
    assert!(differing.is_empty(), "{differing:#?}");
}

/// The resources that differ between a scenario from files and the same from the API server.
async fn same(
    client: &Client,
    stored: &mut objects::Stored,
    shared: &Path,
    name: &str,
) -> anyhow::Result<Vec<String>> {
    let scenario = Scenario::load(shared, name)?;
    // The older of two objects may go first, so both sides must know the same ages.
    let applied = stored.become_these(client, &scenario.objects).await?;
    let watcher = Watcher::ready(client.clone()).await;
    let from_files = mesh_of(&applied)?;
    let from_cluster = Mesh::build(watcher.store(), Arc::new(Base::default()));
    let mut unequal = Vec::new();
    for proxy in &scenario.proxies {
        let comparison = compare(&generate(&from_files, proxy)?, &generate(&from_cluster, proxy)?);
        println!("{name} {}: {} of {} are equal", proxy.name, comparison.equal, comparison.total);
        unequal.extend(comparison.unequal.into_iter().map(|(resource, files, cluster)| {
            let lines = testkit::parity::diff(files.as_ref(), cluster.as_ref());
            format!("{name} {} {resource}:\n{lines}", proxy.name)
        }));
    }
    Ok(unequal)
}
