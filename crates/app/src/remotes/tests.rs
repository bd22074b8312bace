//! Which clusters are read by which Secrets, without a network: readings are started into a list.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::{Changeset, ConfigKey, Kind, SourceEvent};
use serde_json::{Value, json};
use server::{ClusterMetrics, Metrics};

use super::{Known, Remotes, Said, Settings};

const TOKEN: &str = "c2VjcmV0";

/// Cluster, number, and what is held for as long as the reading runs.
type Started = Vec<(String, u64, Arc<()>)>;

/// Remote clusters, what was started for them, and how many of these readings run.
struct World {
    remotes: Remotes,
    known: Arc<Known>,
    metrics: Metrics,
    started: Arc<Mutex<Started>>,
}

fn world() -> World {
    let metrics = Metrics::new("test").unwrap();
    let started: Arc<Mutex<Started>> = Arc::default();
    let list = Arc::clone(&started);
    let launch = move |id: &Arc<str>, number, _| {
        let running = Arc::new(());
        list.lock().unwrap().push((id.to_string(), number, Arc::clone(&running)));
        Box::new(running) as Box<dyn std::any::Any + Send>
    };
    let settings = Settings {
        namespace: "istio-system".to_owned(),
        own_cluster: "own".to_owned(),
        allowed: std::collections::BTreeSet::new(),
        timeout: Duration::from_secs(30),
        kinds: vec![Kind::Service],
    };
    let known = Arc::new(Known::default());
    let clusters = ClusterMetrics::new(metrics.registry()).unwrap();
    let remotes = Remotes::new(settings, Box::new(launch), clusters, Arc::clone(&known));
    World { remotes, known, metrics, started }
}

fn kubeconfig(token: &str) -> String {
    json!({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "a", "user": "u"}}],
        "clusters": [{"name": "a", "cluster": {"server": "https://127.0.0.1:1"}}],
        "users": [{"name": "u", "user": {"token": token}}]})
    .to_string()
}

fn changes(objects: &[Value]) -> Changeset {
    objects.iter().filter_map(|object| config::parse(object.clone(), "test").unwrap()).collect()
}

fn secret(name: &str, keys: &[(&str, &str)]) -> Value {
    let data: serde_json::Map<String, Value> =
        keys.iter().map(|(key, text)| ((*key).to_owned(), json!(text))).collect();
    json!({"apiVersion": "v1", "kind": "Secret", "stringData": data,
        "metadata": {"name": name, "namespace": "istio-system", "labels": {"istio/multiCluster": "true"}}})
}

fn gone(name: &str) -> Changeset {
    let mut changes = Changeset::default();
    changes.delete(ConfigKey::new(Kind::Secret, "istio-system", name));
    changes
}

fn services(names: &[&str]) -> Said {
    let service = |name: &&str| {
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
            "spec": {"clusterIP": "10.0.0.1", "ports": [{"port": 80}]}})
    };
    let objects: Vec<Value> = names.iter().map(service).collect();
    Said::Told(SourceEvent { changes: changes(&objects), ..SourceEvent::default() })
}

fn told(changes: &Changeset) -> Vec<String> {
    let line = |(key, object): (&ConfigKey, Option<&config::AnyObject>)| {
        format!("{}{key}", if object.is_some() { '+' } else { '-' })
    };
    changes.iter().map(line).collect()
}

impl World {
    fn learn(&mut self, objects: &[Value]) -> Changeset {
        self.remotes.learn(&changes(objects), false)
    }

    fn say(&mut self, id: &str, number: u64, said: Said) -> Vec<String> {
        told(&self.remotes.take_in(&Arc::from(id), number, said))
    }

    fn started(&self) -> Vec<(String, u64)> {
        self.started.lock().unwrap().iter().map(|(id, number, _)| (id.clone(), *number)).collect()
    }

    /// The numbers of readings that run.
    fn running(&self) -> Vec<u64> {
        let started = self.started.lock().unwrap();
        started
            .iter()
            .filter(|(_, _, run)| Arc::strong_count(run) > 1)
            .map(|(_, number, _)| *number)
            .collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.remotes.warnings().collect()
    }

    fn statuses(&self) -> Vec<String> {
        let page = self.known.page("own", true);
        let text = |entry: &Value, key: &str| entry[key].as_str().unwrap().to_owned();
        let entries = page.as_array().unwrap().iter();
        entries
            .map(|e| format!("{} {} {}", text(e, "id"), text(e, "secretName"), text(e, "syncStatus")))
            .collect()
    }

    fn shows(&self, line: &str) -> bool {
        String::from_utf8(self.metrics.text().unwrap()).unwrap().contains(line)
    }
}

#[test]
fn secrets_with_the_label_in_the_namespace_tell_of_clusters_and_others_do_not() {
    let mut world = world();
    let mut unlabelled = secret("plain", &[("north", &kubeconfig(TOKEN))]);
    unlabelled["metadata"]["labels"] = json!({"istio/multiCluster": "false"});
    let mut elsewhere = secret("other", &[("south", &kubeconfig(TOKEN))]);
    elsewhere["metadata"]["namespace"] = json!("shop");
    let both = secret("both", &[("east", &kubeconfig(TOKEN)), ("west", &kubeconfig(TOKEN)), ("own", "")]);
    world.learn(&[unlabelled, elsewhere, both]);
    assert_eq!(world.started(), [("east".to_owned(), 1), ("west".to_owned(), 2)]);
    assert_eq!(
        world.statuses(),
        ["own  synced", "east istio-system/both syncing", "west istio-system/both syncing"]
    );
    assert!(world.warnings().is_empty());
    assert!(world.shows("istiod_managed_clusters{cluster_type=\"remote\"} 2"));
    // The label goes, and the clusters with it.
    let mut plain = secret("both", &[("east", &kubeconfig(TOKEN))]);
    plain["metadata"]["labels"] = json!({});
    world.learn(&[plain]);
    assert!(world.running().is_empty() && world.statuses().len() == 1);
    assert!(world.shows("remote_cluster_secret_events_total{event=\"delete\"} 1"));
}

#[test]
fn changed_credentials_take_the_place_of_the_old_ones_once_everything_was_read_with_them() {
    let mut world = world();
    world.learn(&[secret("s", &[("west", &kubeconfig(TOKEN))])]);
    assert_eq!(
        world.say("west", 1, services(&["a", "b"])),
        ["+Service shop/a of cluster west", "+Service shop/b of cluster west"]
    );
    // The same again is nothing new.
    world.learn(&[secret("s", &[("west", &kubeconfig(TOKEN))])]);
    assert_eq!(world.running(), [1]);
    // One that breaks changes nothing, and is told without its content.
    assert!(world.learn(&[secret("s", &[("west", TOKEN)])]).is_empty());
    assert_eq!(world.running(), [1]);
    let warnings = world.warnings();
    assert_eq!(warnings.len(), 1);
    assert!(warnings[0].starts_with("Secret istio-system/s: the key west: the kubeconfig "), "{warnings:?}");
    assert!(!warnings[0].contains(TOKEN));
    // Both are read until the new one has told everything, also when it takes its time.
    world.learn(&[secret("s", &[("west", &kubeconfig("new"))])]);
    assert!(world.warnings().is_empty());
    assert_eq!(world.running(), [1, 2]);
    assert!(world.say("west", 2, Said::TimedOut).is_empty());
    assert_eq!(world.say("west", 1, services(&["c"])), ["+Service shop/c of cluster west"]);
    assert_eq!(world.statuses()[1], "west istio-system/s synced");
    // A third one before the second was read.
    world.learn(&[secret("s", &[("west", &kubeconfig("newer"))])]);
    assert_eq!(world.running(), [1, 3]);
    assert_eq!(
        world.say("west", 3, services(&["b", "c"])),
        [
            "-Service shop/a of cluster west",
            "+Service shop/b of cluster west",
            "+Service shop/c of cluster west"
        ]
    );
    assert_eq!(world.running(), [3]);
    // The last words of the old ones.
    assert!(
        world.say("west", 1, services(&["x"])).is_empty()
            && world.say("west", 2, services(&["x"])).is_empty()
    );
    let all = world.remotes.learn(&gone("s"), false);
    assert_eq!(told(&all), ["-Service shop/b of cluster west", "-Service shop/c of cluster west"]);
    assert!(world.running().is_empty());
    assert!(
        world.shows("status=\"closed\"} 1")
            && world.shows("istiod_managed_clusters{cluster_type=\"remote\"} 0")
    );
}

#[test]
fn the_first_secret_of_a_cluster_counts_and_the_second_takes_over_when_it_goes() {
    let mut world = world();
    world.learn(&[secret("m", &[("west", &kubeconfig(TOKEN))])]);
    world.say("west", 1, services(&["a"]));
    world.learn(&[secret("a", &[("west", &kubeconfig("other"))])]);
    assert_eq!(world.started().len(), 1);
    assert_eq!(
        world.warnings(),
        ["Secret istio-system/a: the key west: passed over, as the Secret m tells of that cluster"]
    );
    assert!(world.remotes.learn(&gone("m"), false).is_empty(), "what was known stays until it is read again");
    assert_eq!(world.running(), [1, 2]);
    assert!(world.warnings().is_empty());
    assert_eq!(world.statuses()[1], "west istio-system/a synced");
}

#[test]
fn only_clusters_of_the_start_are_waited_for_and_not_for_ever() {
    let mut world = world();
    let both = secret("s", &[("east", &kubeconfig(TOKEN)), ("west", &kubeconfig(TOKEN)), ("bad", "")]);
    world.remotes.learn(&changes(&[both]), true);
    assert!(!world.remotes.are_read());
    world.say("east", 1, services(&[]));
    assert!(!world.remotes.are_read());
    world.say("west", 2, Said::Unusable("no file".to_owned()));
    world.say("west", 2, Said::TimedOut);
    assert!(world.remotes.are_read());
    assert!(world.shows("remote_cluster_sync_timeouts_total{cluster=\"west\"} 1"));
    assert_eq!(world.statuses()[2], "west istio-system/s timeout");
    assert!(world.warnings().iter().any(|warning| warning == "Secret istio-system/s: the key west: no file"));
    // It comes late.
    world.say("west", 2, services(&["a"]));
    assert_eq!(world.statuses()[2], "west istio-system/s synced");
    world.learn(&[secret("t", &[("north", &kubeconfig(TOKEN))])]);
    assert!(world.remotes.are_read());
}
