//! Files and folders become objects, each with where it stands.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::{Context as _, Result};
use config::Kind;
use serde_json::Value;
use validate::Severity;

use super::Found;
use super::place::Lines;

/// An object, and where it stands; of the cluster, nowhere.
pub(super) struct Item {
    pub(super) object: Value,
    pub(super) source: Option<Source>,
}

/// Where an object stands.
pub(super) struct Source {
    file: Rc<str>,
    /// The number of the document's first line.
    start: usize,
    /// The path to the object within its document; empty where it is the whole.
    below: String,
    lines: Rc<Lines>,
}

impl Source {
    /// `file:line` of a field.
    pub(super) fn reference(&self, path: &str) -> String {
        let path = if self.below.is_empty() { path.to_owned() } else { format!("{}.{path}", self.below) };
        format!("{}:{}", self.file, self.start + self.lines.find(&path))
    }
}

/// What was read.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) items: Vec<Item>,
    /// Documents that are none.
    pub(super) unreadable: Vec<Found>,
    /// What was passed over, for the user to know.
    pub(super) notes: Vec<String>,
}

/// Reads files, those of folders in the order of their names.
pub(super) fn read(names: &[String], namespace: &str) -> Result<Inputs> {
    let mut inputs = Inputs::default();
    for name in names {
        if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("the standard input cannot be read")?;
            inputs.add("-", &text, namespace, true);
            continue;
        }
        for file in files(Path::new(name), &mut inputs.notes)? {
            let text = std::fs::read_to_string(&file);
            let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
            inputs.add(&file.display().to_string(), &text, namespace, file == Path::new(name));
        }
    }
    Ok(inputs)
}

fn files(path: &Path, notes: &mut Vec<String>) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("{} cannot be read", path.display());
    if !std::fs::metadata(path).with_context(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    if path.join("Chart.yaml").is_file() {
        let name = path.display();
        notes.push(format!(
            "{name} is a chart and passed over; analyze what it makes: helm template {name} | trierarch analyze -f -"
        ));
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        // Links are passed over: they may lead in a circle.
        let kind = entry.file_type().with_context(unreadable)?;
        let is_document =
            entry.path().extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if kind.is_dir() || (kind.is_file() && is_document) {
            found.push(entry.path());
        }
    }
    found.sort();
    let below: Result<Vec<Vec<PathBuf>>> = found.iter().map(|path| files(path, notes)).collect();
    Ok(below?.into_iter().flatten().collect())
}

impl Inputs {
    /// Adds the documents of a file. Folders have values of charts and the like too; what was named should be objects.
    fn add(&mut self, file: &str, text: &str, namespace: &str, is_named: bool) {
        let name: Rc<str> = file.into();
        for (start, part) in parts(text) {
            let documents = match config::yaml::documents(part) {
                Ok(documents) => documents,
                Err(error) => {
                    self.unreadable.push(Found {
                        severity: Severity::Error,
                        code: "IST0106",
                        origin: String::new(),
                        reference: format!("{file}:{start}"),
                        field: String::new(),
                        message: format!("this is neither YAML nor JSON: {error}"),
                    });
                    continue;
                }
            };
            let lines = Rc::new(Lines::new(part));
            for (below, mut object) in documents.into_iter().flat_map(opened) {
                if !is_named && object.get("apiVersion").is_none() && object.get("kind").is_none() {
                    let line = start + lines.find("");
                    self.notes.push(format!(
                        "{file}:{line} is no object, without apiVersion and kind, and passed over"
                    ));
                    continue;
                }
                settle(&mut object, namespace);
                let source = Source { file: Rc::clone(&name), start, below, lines: Rc::clone(&lines) };
                self.items.push(Item { object, source: Some(source) });
            }
        }
    }
}

/// Gives an object that is in a namespace and names none the one that was asked for.
fn settle(object: &mut Value, namespace: &str) {
    if is_cluster_wide(object) {
        return;
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        let is_named = metadata.get("namespace").and_then(Value::as_str).is_some_and(|name| !name.is_empty());
        if !is_named {
            metadata.insert("namespace".to_owned(), Value::String(namespace.to_owned()));
        }
    }
}

/// Whether objects of this kind are in no namespace.
pub(super) fn is_cluster_wide(object: &Value) -> bool {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    match Kind::from_group_kind(group, kind) {
        Some(kind) => !kind.is_namespaced(),
        None => {
            kind.starts_with("Cluster")
                || kind.ends_with("WebhookConfiguration")
                || kind.starts_with("ValidatingAdmissionPolicy")
                || matches!(
                    kind,
                    "CustomResourceDefinition" | "PersistentVolume" | "StorageClass" | "APIService"
                )
        }
    }
}

/// The object of a document, or the items of a `List` as `kubectl get -o yaml` prints it, each with the path to it.
fn opened(mut document: Value) -> Vec<(String, Value)> {
    let is = |name: &str, text: &str| document.get(name).is_some_and(|value| value == text);
    let is_list = is("kind", "List") && is("apiVersion", "v1");
    let items = document.get_mut("items").filter(|_| is_list).map(Value::take);
    match items {
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .filter(|(_, item)| !item.is_null())
            .map(|(index, item)| (format!("items[{index}]"), item))
            .collect(),
        _ if is_list || document.is_null() => Vec::new(),
        _ => vec![(String::new(), document)],
    }
}

/// The documents of a text, each with the number of its first line.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut begin, mut first, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_mark = line.trim_end() == "---" || line.starts_with("--- ");
        if is_mark && at > begin {
            parts.push((first, &text[begin..at]));
            (begin, first) = (at, index + 1);
        }
        at += line.len();
    }
    parts.push((first, &text[begin..]));
    parts
}
