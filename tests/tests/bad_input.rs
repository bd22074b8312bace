//! Bad input by family, `tests/bad-input/<family>.yaml`: stock Envoys, the oldest and the newest, accept what a
//! sidecar and a gateway get; each object at fault is told of as its file says; the service beside it is served.
//!
//! A file begins with comments of three kinds: `# told: OBJECT | PATH | PART OF THE MESSAGE` (rejections and issues),
//! `# counted: METRIC N`, and `# silent: OBJECT`, of which nothing may be told. `BAD_INPUT=print` prints what is told.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end a test")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};
use testkit::envoy::{NEWEST, OLDEST, binary, merged_bootstraps, static_bootstrap, validate};
use testkit::generate::{generate_as, mesh_of_what_parses};
use testkit::told::{Told, told};

const STOCK: &str = "envoy.filters.http.router";

/// What nothing is wrong with.
const GOOD: &str = "
apiVersion: v1
kind: Service
metadata: {name: good, namespace: apps}
spec: {clusterIP: 10.60.0.1, ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: good, namespace: apps, labels: {kubernetes.io/service-name: good}}
addressType: IPv4
ports: [{name: http, port: 8080, protocol: TCP}]
endpoints: [{addresses: [10.60.1.1], conditions: {ready: true}}]
";

struct Family {
    name: String,
    text: String,
    objects: Vec<Value>,
}

fn families() -> Vec<Family> {
    let folder = testkit::workspace().join("tests/bad-input");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |file: PathBuf| {
        let text = std::fs::read_to_string(&file).unwrap();
        let objects = config::yaml::documents(&format!("{GOOD}---\n{text}")).unwrap();
        Family { name: file.file_stem().unwrap().to_string_lossy().into_owned(), text, objects }
    };
    files.into_iter().map(read).collect()
}

fn node(kind: &str, ip: &str, name: &str, namespace: &str, app: &str) -> Value {
    let metadata = json!({"NAMESPACE": namespace, "ISTIO_VERSION": "1.30.0", "CLUSTER_ID": "Kubernetes", "NAME": name,
        "INSTANCE_IPS": ip, "LABELS": {"app": app, "istio": app}});
    let id = format!("{kind}~{ip}~{name}.{namespace}~{namespace}.svc.cluster.local");
    json!({"id": id, "cluster": format!("{app}.{namespace}"), "metadata": metadata})
}

fn nodes() -> [Value; 2] {
    [
        node("sidecar", "10.60.2.1", "client", "apps", "client"),
        node("router", "10.60.2.2", "gateway", "istio-system", "ingressgateway"),
    ]
}

#[test]
fn stock_envoys_accept_what_is_left_of_bad_input() {
    let binaries: Vec<PathBuf> = [OLDEST, NEWEST].into_iter().filter_map(|of| binary(of).ok()).collect();
    if binaries.len() < 2 {
        assert!(std::env::var_os("CI").is_none(), "`make tools` installs the stock Envoys");
        eprintln!("SKIPPED: no stock Envoys; `make tools` installs them");
        return;
    }
    let folder = testkit::workspace().join("target/bad-input");
    std::fs::create_dir_all(&folder).unwrap();
    let mut bootstraps = BTreeMap::new();
    for family in families() {
        let mesh = mesh_of_what_parses(&family.objects);
        for (node, kind) in nodes().iter().zip(["sidecar", "gateway"]) {
            let resources = generate_as(&mesh, node, &[STOCK.to_owned()]).unwrap();
            let clusters = &resources["cds"];
            assert!(clusters.contains_key("outbound|80||good.apps.svc.cluster.local"), "{}", family.name);
            bootstraps.insert(format!("{}-{kind}", family.name), static_bootstrap(node, &resources));
        }
    }
    let refusal = |name: &str, bootstrap: &Value| {
        let file = folder.join(format!("{name}.json"));
        std::fs::write(&file, bootstrap.to_string()).unwrap();
        binaries.iter().find_map(|binary| Some(validate(binary, &file).err()?.to_string()))
    };
    // One start for all; each alone only when that fails.
    if refusal("all", &merged_bootstraps(bootstraps.values().cloned())).is_some() {
        let said =
            bootstraps.iter().filter_map(|(name, one)| Some(format!("{name}: {}", refusal(name, one)?)));
        panic!("{}", said.collect::<Vec<_>>().join("\n"));
    }
}

#[test]
fn each_object_at_fault_is_told_of_and_counted() {
    let nodes = nodes();
    let mut failures = Vec::new();
    for family in families() {
        let found = told(&family.objects, &nodes.each_ref()).unwrap();
        let lines = lines(&found);
        if std::env::var_os("BAD_INPUT").is_some() {
            println!("== {}\n{}\n{:?}", family.name, lines.join("\n"), found.counted);
        }
        let mut n_told = 0;
        for comment in family.text.lines().filter_map(|line| line.strip_prefix("# ")) {
            let fits = match comment.split_once(": ") {
                Some(("told", wanted)) => {
                    n_told += 1;
                    lines.iter().filter(|line| is(line, wanted)).count() == 1
                }
                Some(("counted", wanted)) => wanted.split_once(' ').is_some_and(|(metric, n)| {
                    found.counted.get(metric).copied().unwrap_or(0).to_string() == n
                }),
                Some(("silent", object)) => {
                    !lines.iter().any(|line| line.starts_with(&format!("{object} |")))
                }
                _ => continue,
            };
            if !fits {
                failures.push(format!("{}: not so: {comment}", family.name));
            }
        }
        let unexpected = lines.len().saturating_sub(n_told);
        if unexpected > 0 {
            failures.push(format!("{}: {unexpected} more are told", family.name));
        }
        if !failures.is_empty() {
            failures.push(format!("told of {}:\n{}\n{:?}", family.name, lines.join("\n"), found.counted));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// `OBJECT | PATH | MESSAGE`.
fn lines(told: &Told) -> Vec<String> {
    let rejected = told.rejected.iter().map(|rejection| {
        let object = rejection.key.as_ref().map_or_else(|| "a document".to_owned(), ToString::to_string);
        format!("{object} | {} | {}", rejection.path, rejection.reason)
    });
    let issues =
        told.issues.iter().map(|issue| format!("{} | {} | {}", issue.object, issue.path, issue.message));
    rejected.chain(issues).collect()
}

fn is(line: &str, wanted: &str) -> bool {
    let parts = |text: &str| text.splitn(3, " | ").map(str::to_owned).collect::<Vec<_>>();
    match (&*parts(line), &*parts(wanted)) {
        ([object, path, message], [of, at, part]) => {
            object == of && path == at && message.contains(part.as_str())
        }
        _ => false,
    }
}
