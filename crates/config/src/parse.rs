//! One document becomes one object. Structure only; see the crate's page for what is not judged here.

use std::fmt::Write as _;
use std::hash::Hash;
use std::sync::Arc;

use model::{Fingerprint, Fingerprinter, Namespace, Timestamp};
use proto::istio::struct_paths;
use proto::wkt::strip_nulls;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::depth::{MAX_DEPTH, is_too_deep};
use crate::kind::for_every_kind;
use crate::meta::{RawMeta, timestamp};
use crate::{AnyObject, ConfigKey, Kind, Meta, Object, Rejection, Resource};

/// Longest name of an object.
const MAX_NAME: usize = 253;
/// Longest name of a namespace.
const MAX_NAMESPACE: usize = 63;
/// A reason is cut here: it may quote the offending value.
const MAX_REASON: usize = 300;
/// The namespace of a namespaced object that states none.
const DEFAULT_NAMESPACE: &str = "default";

/// Reads one document. `Ok(None)` is a kind that belongs to Kubernetes and does not concern the mesh. `source` says
/// where the document came from and is repeated in a rejection.
pub fn parse(value: Value, source: &str) -> Result<Option<AnyObject>, Rejection> {
    let source: Arc<str> = source.into();
    let mut fault = Fault { key: None, source: &source };
    let too_deep = is_too_deep(&value);
    let mut document = match value {
        Value::Object(document) => document,
        other => {
            return Err(
                fault.at("", format!("a document must be a mapping, this one is {}", type_of(&other)))
            );
        }
    };
    let api_version = fault.string(&document, "apiVersion")?;
    let name_of_kind = fault.string(&document, "kind")?;
    let (group, version) = api_version.rsplit_once('/').unwrap_or(("", &api_version));
    let Some(kind) = Kind::from_group_kind(group, &name_of_kind) else {
        if Kind::is_harmless(group, &name_of_kind) {
            return Ok(None);
        }
        return Err(fault.at("kind", unknown_kind(group, &name_of_kind)));
    };
    if !kind.versions().contains(&version) {
        let known = kind.versions().join(", ");
        return Err(fault.at(
            "apiVersion",
            format!("version {} of {kind} is not known, these are: {known}", cut(version)),
        ));
    }
    // Named early, so that a rejection can say which object it means even if its metadata is what is wrong.
    fault.key = early_key(kind, &document);
    if too_deep {
        return Err(fault.at("", format!("the document nests deeper than {MAX_DEPTH} levels")));
    }
    document.retain(|_, member| !member.is_null());
    for (name, member) in &mut document {
        strip_nulls(member, if name == "spec" { struct_paths(kind.name()) } else { &[] });
    }

    let metadata = document.remove("metadata").unwrap_or_else(|| Value::Object(Map::new()));
    let raw: RawMeta = fault.read(kind, metadata, "metadata")?;
    if raw.name.is_empty() {
        let hint = if raw.generate_name.is_empty() {
            "is missing"
        } else {
            "is missing, and generateName names nothing yet"
        };
        return Err(fault.at("metadata.name", hint.to_owned()));
    }
    check_name(&raw.name, MAX_NAME).map_err(|reason| fault.at("metadata.name", reason))?;
    check_name(&raw.namespace, MAX_NAMESPACE).map_err(|reason| fault.at("metadata.namespace", reason))?;
    let namespace = settle_namespace(kind, &raw.namespace);
    fault.key = Some(ConfigKey::new(kind, namespace.clone(), raw.name.as_str()));
    let creation = match raw.creation_timestamp.as_str() {
        "" => Timestamp::default(),
        text => timestamp(text).ok_or_else(|| {
            fault.at("metadata.creationTimestamp", format!("`{}` is not a time as in RFC 3339", cut(text)))
        })?,
    };
    read_kind(kind, raw.settle(namespace, creation), document, &fault).map(Some)
}

/// The key, as far as an unread document shows it.
fn early_key(kind: Kind, document: &Map<String, Value>) -> Option<ConfigKey> {
    let metadata = document.get("metadata")?;
    let text = |member: &str| metadata.get(member).and_then(Value::as_str).unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    if name.is_empty() || check_name(name, MAX_NAME).is_err() || check_name(namespace, MAX_NAMESPACE).is_err()
    {
        return None;
    }
    Some(ConfigKey::new(kind, settle_namespace(kind, namespace), name))
}

/// The namespace of an object that states this one.
fn settle_namespace(kind: Kind, stated: &str) -> Namespace {
    match (kind.is_namespaced(), stated) {
        (false, _) => Namespace::default(),
        (true, "") => Namespace::from(DEFAULT_NAMESPACE),
        (true, stated) => Namespace::from(stated),
    }
}

macro_rules! define_read_kind {
    ($($variant:ident $field:ident $group:literal $kind:literal [$($version:literal),+] $scope:ident $shape:ident $type:ty;)+) => {
        fn read_kind(kind: Kind, meta: Meta, document: Map<String, Value>, fault: &Fault<'_>) -> Result<AnyObject, Rejection> {
            match kind {
                $(Kind::$variant => $shape::<$type>(meta, document, fault),)+
            }
        }
    };
}
for_every_kind!(define_read_kind);

/// The content is `spec`; all of it enters the fingerprint.
fn spec<T: Resource + DeserializeOwned>(
    meta: Meta,
    mut document: Map<String, Value>,
    fault: &Fault<'_>,
) -> Result<AnyObject, Rejection> {
    let value = document.remove("spec").unwrap_or_else(|| Value::Object(Map::new()));
    let status = if T::KIND.keeps_status() { document.remove("status") } else { None };
    let fingerprint = fingerprint_of(T::KIND, &meta, &(&value, &status));
    let spec = fault.read(T::KIND, value, "spec")?;
    Ok(T::into_any(Arc::new(Object { meta, spec, status, fingerprint, source: fault.source.clone() })))
}

/// The content is the whole document; what was kept of it enters the fingerprint.
fn document<T: Resource + DeserializeOwned + Hash>(
    meta: Meta,
    document: Map<String, Value>,
    fault: &Fault<'_>,
) -> Result<AnyObject, Rejection> {
    let spec: T = fault.read(T::KIND, Value::Object(document), "")?;
    let fingerprint = fingerprint_of(T::KIND, &meta, &spec);
    Ok(T::into_any(Arc::new(Object { meta, spec, status: None, fingerprint, source: fault.source.clone() })))
}

fn fingerprint_of<C: Hash + ?Sized>(kind: Kind, meta: &Meta, content: &C) -> Fingerprint {
    let mut fingerprinter = Fingerprinter::default();
    kind.group().hash(&mut fingerprinter);
    kind.name().hash(&mut fingerprinter);
    meta.hash(&mut fingerprinter);
    content.hash(&mut fingerprinter);
    fingerprinter.fingerprint()
}

/// What is known of the document, for the rejection it may come to.
struct Fault<'a> {
    key: Option<ConfigKey>,
    source: &'a Arc<str>,
}

impl Fault<'_> {
    fn at(&self, path: &str, reason: String) -> Rejection {
        Rejection { key: self.key.clone(), source: self.source.clone(), path: path.to_owned(), reason }
    }

    fn string(&self, document: &Map<String, Value>, member: &str) -> Result<String, Rejection> {
        match document.get(member) {
            Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
            None | Some(Value::Null | Value::String(_)) => Err(self.at(member, "is missing".to_owned())),
            Some(other) => Err(self.at(member, format!("must be a string, but is {}", type_of(other)))),
        }
    }

    /// Reads a value that stands at `prefix` in the document.
    fn read<T: DeserializeOwned>(&self, kind: Kind, value: Value, prefix: &str) -> Result<T, Rejection> {
        serde_path_to_error::deserialize(value).map_err(|error| {
            let inner = error.path().to_string();
            let path = match (prefix, inner.as_str()) {
                (prefix, "." | "") => prefix.to_owned(),
                ("", inner) => inner.to_owned(),
                (prefix, inner) if inner.starts_with('[') => format!("{prefix}{inner}"),
                (prefix, inner) => format!("{prefix}.{inner}"),
            };
            // The message of the reader may quote the value, and a secret is not to be quoted.
            let reason = if kind == Kind::Secret && prefix.is_empty() {
                "is not of the type this field has".to_owned()
            } else {
                readable(&error.inner().to_string())
            };
            self.at(&path, reason)
        })
    }
}

fn unknown_kind(group: &str, kind: &str) -> String {
    let mut reason = format!("kind `{}` of group `{}` is not known", cut(kind), cut(group));
    if let Some(near) = Kind::ALL.iter().find(|known| known.name().eq_ignore_ascii_case(kind)) {
        let group = if near.group().is_empty() { "the core group" } else { near.group() };
        let _ = write!(reason, ", perhaps {} of {group} is meant", near.name());
    }
    reason
}

fn check_name(name: &str, longest: usize) -> Result<(), String> {
    if name.len() > longest {
        return Err(format!("is {} characters long, {longest} are allowed", name.len()));
    }
    if name.chars().any(|c| c.is_control() || c.is_whitespace() || c == '/' || c == '%') {
        return Err(format!("`{}` holds a character that names may not have", name.escape_debug()));
    }
    Ok(())
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

/// The reason in words of this product: numbers that do not fit are told by the names of generated code.
fn readable(reason: &str) -> String {
    if reason.contains("untagged enum") {
        return "is no number that this field may hold".to_owned();
    }
    cut(reason)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_REASON) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
