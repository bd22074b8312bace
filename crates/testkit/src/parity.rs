//! The parity harness: scenarios recorded with the real istiod, generation for each of their proxies, comparison
//! resource by resource after the normalisation that the corpus' README allows.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde_json::Value;

pub use crate::normalize::normalize;

/// Types of resources as the recordings name their files.
pub const TYPES: [&str; 6] = ["cds", "eds", "lds", "rds", "nds", "ecds"];

/// The folder `shared` beside the repository, or where `TRIERARCH_SHARED` says; `None` when there is none.
pub fn shared_dir() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os("TRIERARCH_SHARED") {
        return Some(PathBuf::from(dir)).filter(|dir| dir.is_dir());
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2)?;
    root.ancestors().skip(1).take(3).map(|dir| dir.join("shared")).find(|dir| dir.join("parity").is_dir())
}

/// One proxy of a scenario, as it connected.
#[derive(Clone, Debug)]
pub struct RecordedProxy {
    /// Its name in the recordings.
    pub name: String,
    /// The xDS node: `id`, `cluster`, `metadata`, `locality`.
    pub node: Value,
    /// Whether it asked for the name table.
    pub nds: bool,
}

/// Inputs of one scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Every object that a cluster would hold, the ConfigMap `istio` among them.
    pub objects: Vec<Value>,
    /// The proxies that connected.
    pub proxies: Vec<RecordedProxy>,
    golden: PathBuf,
}

impl Scenario {
    /// The names of all scenarios, sorted.
    pub fn names(shared: &Path) -> Result<Vec<String>> {
        let mut names: Vec<String> = std::fs::read_dir(shared.join("parity/scenarios"))?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    }

    /// Reads one scenario.
    pub fn load(shared: &Path, name: &str) -> Result<Self> {
        let parity = shared.join("parity");
        let folder = parity.join("scenarios").join(name);
        let golden = parity.join("golden").join(name);
        // What every scenario sees was there, one after the other, before the scenario's own objects were.
        let mut objects = documents(&parity.join("base/cluster.yaml"))?;
        for (second, object) in objects.iter_mut().enumerate() {
            created(object, &format!("2026-01-01T00:00:{second:02}Z"));
        }
        let base = objects.len();
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder.join("config"))?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
        files.sort();
        for file in files {
            objects.extend(documents(&file)?);
        }
        objects.extend(documents(&golden.join("endpointslices.yaml"))?);
        let written = golden.join("objects.yaml");
        if written.is_file() {
            // What a controller wrote was there while proxies were served.
            let written = documents(&written)?.into_iter().map(without_managers);
            let new: Vec<Value> =
                written.filter(|new| !objects.iter().any(|known| is_same_object(known, new))).collect();
            objects.extend(new);
        }
        objects.iter_mut().skip(base).for_each(|object| created(object, "2026-01-02T00:00:00Z"));
        let own = |file: &str| {
            let path = folder.join(file);
            if path.is_file() { path } else { parity.join("base").join(file) }
        };
        let mesh = std::fs::read_to_string(own("mesh.yaml"))?;
        let networks = std::fs::read_to_string(own("meshNetworks.yaml"))?;
        objects.push(serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "istio", "namespace": "istio-system"},
            "data": {"mesh": mesh, "meshNetworks": networks},
        }));
        let addresses = golden.join("serviceentry-addresses.yaml");
        if addresses.is_file() {
            give_addresses(&mut objects, &documents(&addresses)?);
        }
        let patch = folder.join("status-patch.yaml");
        if patch.is_file() {
            give_status(&mut objects, &documents(&patch)?);
        }
        let list = documents(&folder.join("proxies.yaml"))?;
        let proxies = list
            .iter()
            .flat_map(|doc| doc["proxies"].as_array().cloned().unwrap_or_default())
            .map(|p| RecordedProxy {
                name: p["name"].as_str().unwrap_or_default().to_owned(),
                node: p["node"].clone(),
                nds: p["nds"].as_bool().unwrap_or_default(),
            })
            .collect();
        Ok(Self { name: name.to_owned(), objects, proxies, golden })
    }

    /// Objects with the status that the real istiod wrote.
    pub fn recorded_statuses(&self) -> Result<Vec<Value>> {
        let path = self.golden.join("status.yaml");
        if path.is_file() { documents(&path) } else { Ok(Vec::new()) }
    }

    /// What the real istiod sent to a proxy: type to name to resource, normalised.
    pub fn recorded(&self, proxy: &str) -> Result<Resources> {
        let mut all = Resources::default();
        for kind in TYPES {
            let path = self.golden.join(proxy).join(format!("{kind}.json"));
            if !path.is_file() {
                continue;
            }
            let list: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(&path)?)
                .with_context(|| path.display().to_string())?;
            let of_type = all.entry(kind.to_owned()).or_default();
            for mut resource in list {
                normalize(&mut resource);
                of_type.insert(name_of(kind, &resource), resource);
            }
        }
        Ok(all)
    }
}

/// Type to name to resource as protobuf JSON.
pub type Resources = BTreeMap<String, BTreeMap<String, Value>>;

/// The name of a resource in its protobuf JSON.
pub fn name_of(kind: &str, resource: &Value) -> String {
    let field = match kind {
        "eds" => "clusterName",
        "nds" => return "name-table".to_owned(),
        _ => "name",
    };
    resource.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// How many resources of one proxy are equal, and which are not.
#[derive(Clone, Debug, Default)]
pub struct Comparison {
    /// Resources recorded or generated.
    pub total: usize,
    /// Those that are equal.
    pub equal: usize,
    /// `type name` of the others: recorded and generated (either may be absent).
    pub unequal: Vec<(String, Option<Value>, Option<Value>)>,
}

/// Compares what was recorded with what we generate, both normalised.
pub fn compare(recorded: &Resources, generated: &Resources) -> Comparison {
    let mut result = Comparison::default();
    for kind in TYPES {
        let empty = BTreeMap::new();
        let theirs = recorded.get(kind).unwrap_or(&empty);
        let ours = generated.get(kind).unwrap_or(&empty);
        let names: std::collections::BTreeSet<&String> = theirs.keys().chain(ours.keys()).collect();
        for name in names {
            result.total += 1;
            match (theirs.get(name), ours.get(name)) {
                (Some(a), Some(b)) if a == b => result.equal += 1,
                (a, b) => result.unequal.push((format!("{kind} {name}"), a.cloned(), b.cloned())),
            }
        }
    }
    result
}

/// The lines in which two pretty-printed values differ, in the manner of a unified diff without context limits.
pub fn diff(recorded: Option<&Value>, generated: Option<&Value>) -> String {
    let text = |value: Option<&Value>| value.map(|v| format!("{v:#}")).unwrap_or_default();
    let (a, b) = (text(recorded), text(generated));
    crate::diff::lines(&a, &b)
}

/// The recordings say in `x-managers` who wrote an object, which no API server takes.
fn without_managers(mut object: Value) -> Value {
    if let Some(metadata) = object["metadata"].as_object_mut() {
        metadata.remove("x-managers");
    }
    object
}

/// Says when an object was created, unless it says so itself.
fn created(object: &mut Value, moment: &str) {
    if let Some(meta) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        meta.entry("creationTimestamp").or_insert_with(|| moment.into());
    }
}

fn documents(path: &Path) -> Result<Vec<Value>> {
    use serde::Deserialize;
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).with_context(|| path.display().to_string()))
        .filter(|document| !matches!(document, Ok(Value::Null)))
        .collect()
}

fn is_same_object(a: &Value, b: &Value) -> bool {
    let field = |v: &Value, f: &str| v["metadata"][f].as_str().unwrap_or_default().to_owned();
    (b["kind"].is_null() || a["kind"] == b["kind"])
        && field(a, "name") == field(b, "name")
        && field(a, "namespace") == field(b, "namespace")
}

/// Addresses recorded for ServiceEntries become their status, as the allocator would have written it.
fn give_addresses(objects: &mut [Value], recorded: &[Value]) {
    for entry in recorded.iter().filter_map(Value::as_array).flatten() {
        let wanted =
            serde_json::json!({"metadata": {"name": entry["name"], "namespace": entry["namespace"]}});
        let entries =
            objects.iter_mut().filter(|o| o["kind"] == "ServiceEntry" && is_same_object(o, &wanted));
        for object in entries {
            object["status"] = serde_json::json!({"addresses": entry["addresses"]});
        }
    }
}

fn give_status(objects: &mut [Value], patches: &[Value]) {
    for patch in patches {
        for object in objects.iter_mut().filter(|object| is_same_object(object, patch)) {
            object["status"] = patch["status"].clone();
        }
    }
}
