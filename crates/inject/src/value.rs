//! JSON becomes values of templates, as Go would show them: members of Kubernetes' types under Go's names with the zero
//! values that absent ones have, Istio's messages by their descriptors, and the user's own values with every number a
//! float (platform specification, 6.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use gotmpl::Value;
use prost_reflect::{DynamicMessage, Kind, ReflectMessage as _};
use serde_json::Value as Json;

pub(crate) type Members = BTreeMap<Arc<str>, Value>;

/// A string.
pub(crate) fn text(text: impl AsRef<str>) -> Value {
    Value::String(Arc::from(text.as_ref()))
}

/// A map.
pub(crate) fn map(members: Members) -> Value {
    Value::Map(Arc::new(members))
}

/// A list.
pub(crate) fn list(items: Vec<Value>) -> Value {
    Value::List(Arc::from(items))
}

/// The user's own JSON or YAML: keys stay, numbers are floats, as Go reads them without a type.
pub(crate) fn untyped(json: &Json) -> Value {
    match json {
        Json::Null => Value::Nil,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => Value::Float(number.as_f64().unwrap_or_default()),
        Json::String(string) => text(string),
        Json::Array(items) => list(items.iter().map(untyped).collect()),
        Json::Object(members) => {
            map(members.iter().map(|(name, value)| (Arc::from(name.as_str()), untyped(value))).collect())
        }
    }
}

/// Back to JSON; whole floats become integers, as they came.
pub(crate) fn json(value: &Value) -> Json {
    match value {
        Value::Nil | Value::Function(_) => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Uint(number) => Json::from(*number),
        Value::Float(number) if number.fract() == 0.0 && number.abs() < 9e15 => Json::from(*number as i64),
        Value::Float(number) => Json::from(*number),
        Value::String(string) => Json::String(string.to_string()),
        Value::List(items) => Json::Array(items.iter().map(json).collect()),
        Value::Map(members) => {
            Json::Object(members.iter().map(|(name, value)| (name.to_string(), json(value))).collect())
        }
    }
}

/// A map of strings.
pub(crate) fn strings<'a>(members: impl IntoIterator<Item = (&'a str, &'a str)>) -> Value {
    map(members.into_iter().map(|(name, value)| (Arc::from(name), text(value))).collect())
}

/// What Go's struct has where JSON has nothing.
#[derive(Clone, Copy)]
enum Zero {
    Text,
    Number,
    Flag,
    List,
    Map,
}

use Zero::{Flag, List, Map as Strings, Number, Text};

const META: &[(&str, Zero)] = &[
    ("Name", Text),
    ("GenerateName", Text),
    ("Namespace", Text),
    ("SelfLink", Text),
    ("UID", Text),
    ("ResourceVersion", Text),
    ("Generation", Number),
    ("Labels", Strings),
    ("Annotations", Strings),
    ("OwnerReferences", List),
    ("Finalizers", List),
];
const SPEC: &[(&str, Zero)] = &[
    ("Volumes", List),
    ("InitContainers", List),
    ("Containers", List),
    ("EphemeralContainers", List),
    ("RestartPolicy", Text),
    ("DNSPolicy", Text),
    ("NodeSelector", Strings),
    ("ServiceAccountName", Text),
    ("DeprecatedServiceAccount", Text),
    ("NodeName", Text),
    ("HostNetwork", Flag),
    ("HostPID", Flag),
    ("HostIPC", Flag),
    ("ImagePullSecrets", List),
    ("Hostname", Text),
    ("Subdomain", Text),
    ("SchedulerName", Text),
    ("Tolerations", List),
    ("HostAliases", List),
    ("PriorityClassName", Text),
];
const CONTAINER: &[(&str, Zero)] = &[
    ("Name", Text),
    ("Image", Text),
    ("Command", List),
    ("Args", List),
    ("WorkingDir", Text),
    ("Ports", List),
    ("EnvFrom", List),
    ("Env", List),
    ("Resources", Strings),
    ("VolumeMounts", List),
    ("VolumeDevices", List),
    ("TerminationMessagePath", Text),
    ("TerminationMessagePolicy", Text),
    ("ImagePullPolicy", Text),
    ("Stdin", Flag),
    ("TTY", Flag),
];
const PORT: &[(&str, Zero)] =
    &[("Name", Text), ("HostPort", Number), ("ContainerPort", Number), ("Protocol", Text), ("HostIP", Text)];
const VARIABLE: &[(&str, Zero)] = &[("Name", Text), ("Value", Text)];

/// What was made of Kubernetes' and Istio's types, and from what, so that functions can give the original back.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    /// The JSON that a map was made from.
    json: BTreeMap<usize, Json>,
    /// The maps of strings: an absent key is the empty string there.
    strings: Vec<usize>,
}

impl Origins {
    /// The JSON that a value was made from.
    pub(crate) fn json(&self, value: &Value) -> Option<&Json> {
        self.json.get(&address(value)?)
    }

    /// Whether a value is a map of strings in Go.
    pub(crate) fn is_strings(&self, value: &Value) -> bool {
        address(value).is_some_and(|address| self.strings.contains(&address))
    }

    /// Says what a map was made from, or stands for.
    pub(crate) fn note(&mut self, value: Value, json: Json) -> Value {
        if let Some(address) = address(&value) {
            self.json.insert(address, json);
        }
        value
    }

    fn note_strings(&mut self, value: Value) -> Value {
        self.strings.extend(address(&value));
        value
    }

    /// `metadata` of a Kubernetes object.
    pub(crate) fn meta(&mut self, json: &Json) -> Value {
        self.structure(json, META)
    }

    /// `spec` of a pod.
    pub(crate) fn pod_spec(&mut self, json: &Json) -> Value {
        self.structure(json, SPEC)
    }

    fn structure(&mut self, json: &Json, zeros: &[(&str, Zero)]) -> Value {
        let mut members = Members::new();
        for (name, zero) in zeros {
            let value = match zero {
                Text => text(""),
                Number => Value::Int(0),
                Flag => Value::Bool(false),
                List => list(Vec::new()),
                Strings => self.note_strings(map(Members::new())),
            };
            members.insert(Arc::from(*name), value);
        }
        if let Json::Object(object) = json {
            for (name, value) in object.iter().filter(|(_, value)| !value.is_null()) {
                let value = self.member(name, value);
                members.insert(Arc::from(go_name(name)), value);
            }
        }
        self.note(map(members), json.clone())
    }

    fn member(&mut self, name: &str, json: &Json) -> Value {
        match (name, json) {
            (
                "labels" | "annotations" | "nodeSelector" | "matchLabels" | "limits" | "requests"
                | "overhead" | "volumeAttributes" | "options" | "data",
                Json::Object(members),
            ) => {
                let members = members.iter().map(|(name, value)| (Arc::from(name.as_str()), scalar(value)));
                let strings = map(members.collect());
                let strings = self.note_strings(strings);
                self.note(strings, json.clone())
            }
            ("containers" | "initContainers" | "ephemeralContainers", Json::Array(items)) => {
                list(items.iter().map(|item| self.structure(item, CONTAINER)).collect())
            }
            ("ports", Json::Array(items)) => {
                list(items.iter().map(|item| self.structure(item, PORT)).collect())
            }
            ("env", Json::Array(items)) => {
                list(items.iter().map(|item| self.structure(item, VARIABLE)).collect())
            }
            (_, Json::Array(items)) => list(items.iter().map(|item| self.member("", item)).collect()),
            (_, Json::Object(_)) => self.structure(json, &[]),
            _ => scalar(json),
        }
    }

    /// A message of Istio: every member is there, with its zero value where it was not set. Enums are their names,
    /// wrappers their content, durations their JSON.
    pub(crate) fn message(&mut self, message: &DynamicMessage) -> Value {
        let mut members = Members::new();
        for field in message.descriptor().fields() {
            let value = if field.supports_presence() && !message.has_field(&field) {
                match field.kind() {
                    Kind::Message(_) => Value::Nil,
                    _ => self.field(&field.kind(), &field.default_value()),
                }
            } else {
                self.field(&field.kind(), &message.get_field(&field))
            };
            members.insert(Arc::from(upper_first(field.json_name())), value);
        }
        self.note(map(members), proto::json::dynamic_to_json(message))
    }

    fn field(&mut self, kind: &Kind, value: &prost_reflect::Value) -> Value {
        use prost_reflect::Value as Field;
        match value {
            Field::Bool(flag) => Value::Bool(*flag),
            Field::I32(number) => Value::Int(i64::from(*number)),
            Field::I64(number) => Value::Int(*number),
            Field::U32(number) => Value::Int(i64::from(*number)),
            Field::U64(number) => Value::Uint(*number),
            Field::F32(number) => Value::Float(f64::from(*number)),
            Field::F64(number) => Value::Float(*number),
            Field::String(string) => text(string),
            Field::Bytes(bytes) => text(String::from_utf8_lossy(bytes)),
            Field::EnumNumber(number) => match kind.as_enum().and_then(|kind| kind.get_value(*number)) {
                Some(value) => text(value.name()),
                None => text(number.to_string()),
            },
            Field::Message(message) => {
                if message.descriptor().full_name().starts_with("google.protobuf.") {
                    scalar(&proto::json::dynamic_to_json(message))
                } else {
                    self.message(message)
                }
            }
            Field::List(items) => list(items.iter().map(|item| self.field(kind, item)).collect()),
            Field::Map(members) => {
                let value_kind = kind.as_message().map(|entry| entry.map_entry_value_field().kind());
                let mut all = Members::new();
                let mut entries: Vec<_> = members.iter().collect();
                entries.sort_by_key(|(key, _)| format!("{key:?}"));
                for (key, value) in entries {
                    let key = match key {
                        prost_reflect::MapKey::String(key) => key.clone(),
                        other => format!("{other:?}"),
                    };
                    let value = self.field(value_kind.as_ref().unwrap_or(kind), value);
                    all.insert(Arc::from(key), value);
                }
                let all = map(all);
                if matches!(value_kind, Some(Kind::String)) { self.note_strings(all) } else { all }
            }
        }
    }
}

/// Scalars of typed members, whose whole numbers are integers; other JSON without types.
fn scalar(json: &Json) -> Value {
    match json {
        Json::Number(number) => number.as_i64().map_or_else(|| untyped(json), Value::Int),
        _ => untyped(json),
    }
}

/// Where a map stands in memory: while the data of a rendering lives, that is its identity.
fn address(value: &Value) -> Option<usize> {
    match value {
        Value::Map(members) => Some(Arc::as_ptr(members).cast::<()>() as usize),
        _ => None,
    }
}

fn upper_first(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

/// Go's name of a member of Kubernetes' types.
fn go_name(name: &str) -> String {
    match name {
        "dnsPolicy" => "DNSPolicy".to_owned(),
        "dnsConfig" => "DNSConfig".to_owned(),
        "uid" => "UID".to_owned(),
        "apiVersion" => "APIVersion".to_owned(),
        "httpGet" => "HTTPGet".to_owned(),
        "httpHeaders" => "HTTPHeaders".to_owned(),
        "tcpSocket" => "TCPSocket".to_owned(),
        "grpc" => "GRPC".to_owned(),
        "ip" => "IP".to_owned(),
        "tty" => "TTY".to_owned(),
        "uri" => "URI".to_owned(),
        "nfs" => "NFS".to_owned(),
        "csi" => "CSI".to_owned(),
        "iscsi" => "ISCSI".to_owned(),
        "fsType" => "FSType".to_owned(),
        "fsGroup" => "FSGroup".to_owned(),
        "fsGroupChangePolicy" => "FSGroupChangePolicy".to_owned(),
        "seLinuxOptions" => "SELinuxOptions".to_owned(),
        "serviceAccount" => "DeprecatedServiceAccount".to_owned(),
        _ => upper_first(name),
    }
}
