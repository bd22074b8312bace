//! No false alarms: nothing is said of the examples, and of the recorded inputs (`shared/parity` beside the repository,
//! or below TRIERARCH_SHARED) only what is true of them.
#![expect(clippy::unwrap_used, reason = "helpers of tests may end a test")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use validate::{Severity, Surroundings, across, check};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn shared() -> PathBuf {
    std::env::var_os("TRIERARCH_SHARED").map_or_else(|| root().join("../shared"), PathBuf::from)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.extension().is_some_and(|end| end == "yaml") {
            all.push(path);
        }
    }
    all.sort();
    all
}

fn objects(files: &[PathBuf]) -> Vec<Value> {
    let mut objects = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).unwrap();
        for mut object in config::yaml::documents(&text).unwrap() {
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.entry("namespace").or_insert_with(|| json!("default"));
                objects.push(object);
            }
        }
    }
    objects
}

/// Findings as `CODE Kind namespace/name field: message`.
fn findings(objects: &[Value]) -> Vec<String> {
    let own = objects.iter().enumerate().flat_map(|(index, object)| {
        check(object).unwrap_or_default().into_iter().map(move |finding| (index, finding))
    });
    let all = own.chain(across(objects, &Surroundings::default()));
    let told = all.map(|(index, finding)| {
        let object = &objects[index];
        let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
        format!(
            "{} {} {} {}/{} {finding}",
            finding.severity,
            finding.code,
            text("/kind"),
            text("/metadata/namespace"),
            text("/metadata/name")
        )
    });
    told.collect()
}

#[test]
fn nothing_is_said_of_the_examples() {
    let examples = root().join("examples");
    let mut n_examples = 0;
    for entry in std::fs::read_dir(&examples).unwrap().flatten() {
        let of_one = files(&entry.path());
        if !of_one.is_empty() {
            n_examples += 1;
            assert_eq!(findings(&objects(&of_one)), Vec::<String>::new(), "{}", entry.path().display());
        }
    }
    assert!(n_examples > 10, "{n_examples}");
    assert_eq!(findings(&objects(&files(&examples))), Vec::<String>::new(), "all examples together");
}

/// What is said of the recorded inputs, by scenario, but for hints: each was looked at and is true. There the inputs ask
/// on purpose for what is not there, say a thing twice, or patch Envoy in ways that hang on the order.
const TRUE_FINDINGS: &str = "
az-http-keys IST0101 AuthorizationPolicy/keep-allow
az-tcp-trust IST0101 AuthorizationPolicy/root-deny-legacy
dr-tls IST0129 DestinationRule/saas
dr-tls IST0129 DestinationRule/tin
dr-visibility IST0174 DestinationRule/ghost
ef-listeners IST0101 Gateway/chimney
ef-listeners IST0151 EnvoyFilter/a-listeners
ef-listeners IST0151 EnvoyFilter/b-network
ef-listeners IST0151 EnvoyFilter/c-http
ef-order IST0151 EnvoyFilter/c-default
ef-order IST0151 EnvoyFilter/f-root
ef-order IST0151 EnvoyFilter/h-meta
ef-order IST0151 EnvoyFilter/i-select
ef-order IST0151 EnvoyFilter/j-root-select
ef-order IST0151 EnvoyFilter/k-target
ef-order IST0151 EnvoyFilter/m-missing
ef-order IST0151 EnvoyFilter/n-bad
ef-order IST0155 EnvoyFilter/g-version
ef-routes-clusters IST0101 Gateway/sluice
ef-routes-clusters IST0140 VirtualService/sluice
ef-routes-clusters IST0151 EnvoyFilter/a-routes
ef-routes-clusters IST0151 EnvoyFilter/b-clusters
ef-routes-clusters IST0153 EnvoyFilter/a-routes
ef-routes-clusters IST0154 EnvoyFilter/a-routes
ef-routes-clusters IST0173 DestinationRule/flour
gw-http-merge IST0101 VirtualService/d-any
gw-http-merge IST0112 VirtualService/a-red
gw-http-merge IST0140 VirtualService/b-red-again
gw-http-merge IST0140 VirtualService/e-grpc
gw-http-merge IST0162 Gateway/a-shared
gw-tls-modes IST0138 Gateway/a-tls
gw-tls-modes IST0138 Gateway/b-dup
gw-tls-modes IST0145 Gateway/a-tls
gw-tls-modes IST0145 Gateway/b-dup
gw-topology IST0101 Gateway/gate-n
mesh-traffic IST0128 DestinationRule/two
mesh-visibility IST0101 VirtualService/open-public
se-autoallocate IST0129 DestinationRule/dyn
se-external IST0129 DestinationRule/web
se-external IST0173 DestinationRule/dns-many
vs-canary-mirror IST0101 VirtualService/catalog
vs-delegate IST0101 VirtualService/office
vs-multi-hosts IST0109 VirtualService/a-first
vs-multi-hosts IST0109 VirtualService/a-second
vs-multi-hosts IST0109 VirtualService/gamma-foreign
vs-multi-hosts IST0109 VirtualService/gamma-private
wasm-plugins IST0101 Gateway/spindle
waypoint IST0151 EnvoyFilter/way
";

#[test]
fn of_the_recorded_inputs_only_what_is_true_is_said() {
    let scenarios = shared().join("parity/scenarios");
    if !scenarios.is_dir() {
        let message = "SKIPPED: no recorded inputs in shared/ beside the repository; set TRIERARCH_SHARED to what holds parity/";
        assert!(std::env::var_os("CI").is_none(), "{message}");
        eprintln!("{message}");
        return;
    }
    let mut said = BTreeSet::new();
    for entry in std::fs::read_dir(&scenarios).unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let mut all = files(&entry.path().join("config"));
        all.push(shared().join("parity/base/cluster.yaml"));
        let mut objects = objects(&all);
        let of_mesh = [entry.path().join("mesh.yaml"), shared().join("parity/base/mesh.yaml")];
        let mesh = of_mesh.iter().find_map(|path| std::fs::read_to_string(path).ok()).unwrap();
        objects.push(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"mesh": mesh},
            "metadata": {"name": "istio", "namespace": "istio-system"}}));
        for (index, finding) in across(&objects, &Surroundings::default()) {
            if finding.severity > Severity::Info {
                let text =
                    |path: &str| objects[index].pointer(path).and_then(Value::as_str).unwrap_or_default();
                let (kind, object) = (text("/kind"), text("/metadata/name"));
                said.insert(format!("{name} {} {kind}/{object}", finding.code));
            }
        }
    }
    let expected: BTreeSet<String> =
        TRUE_FINDINGS.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    assert!(said == expected, "only now:\n{:#?}\nno more:\n{:#?}", &said - &expected, &expected - &said);
}
