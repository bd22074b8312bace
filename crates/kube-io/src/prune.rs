//! JSON text to a value without what the mesh never reads: who manages which field, what was last applied, all of a
//! Pod but its place and its ports. It is passed over while reading, so it costs no memory at any time. What remains
//! is read as strictly as before.

use std::fmt;

use config::Kind;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// What is read of a value.
#[derive(Clone, Copy)]
enum Shape {
    /// All of it.
    All,
    /// Of an object these members, each as stated; of a list the same of each item.
    Only(&'static [(&'static str, Shape)]),
    /// Of an object all members but these; those with a shape as stated.
    AllBut(&'static [(&'static str, Option<Shape>)]),
}

const METADATA: Shape = Shape::AllBut(&[
    ("managedFields", None),
    ("annotations", Some(Shape::AllBut(&[("kubectl.kubernetes.io/last-applied-configuration", None)]))),
]);

const CONTAINER: Shape =
    Shape::Only(&[("name", Shape::All), ("ports", Shape::All), ("restartPolicy", Shape::All)]);

const POD: Shape = Shape::Only(&[
    ("metadata", METADATA),
    (
        "spec",
        Shape::Only(&[
            ("serviceAccountName", Shape::All),
            ("nodeName", Shape::All),
            ("hostname", Shape::All),
            ("subdomain", Shape::All),
            ("hostNetwork", Shape::All),
            ("containers", CONTAINER),
            ("initContainers", CONTAINER),
        ]),
    ),
    (
        "status",
        Shape::Only(&[
            ("phase", Shape::All),
            ("podIP", Shape::All),
            ("podIPs", Shape::All),
            ("conditions", Shape::Only(&[("type", Shape::All), ("status", Shape::All)])),
        ]),
    ),
]);

const NODE: Shape = Shape::Only(&[
    ("metadata", METADATA),
    ("status", Shape::Only(&[("addresses", Shape::All), ("conditions", Shape::All)])),
]);

const OTHER: Shape = Shape::AllBut(&[("metadata", Some(METADATA))]);

/// Reads an object of that kind.
pub(crate) fn read(kind: Kind, text: &str) -> serde_json::Result<Value> {
    let shape = match kind {
        Kind::Pod => POD,
        Kind::Node => NODE,
        _ => OTHER,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = shape.deserialize(&mut reader)?;
    reader.end()?;
    Ok(value)
}

impl Shape {
    /// What is read of the member of that name; `None` for nothing.
    fn of_member(self, name: &str) -> Option<Self> {
        match self {
            Self::All => Some(Self::All),
            Self::Only(members) => members.iter().find(|(known, _)| *known == name).map(|(_, shape)| *shape),
            Self::AllBut(members) => match members.iter().find(|(known, _)| *known == name) {
                Some((_, shape)) => *shape,
                None => Some(Self::All),
            },
        }
    }
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            match self.of_member(&name) {
                Some(shape) => {
                    let value = members.next_value_seed(shape)?;
                    map.insert(name, value);
                }
                None => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_mesh_reads_is_as_it_was_and_the_rest_is_gone() {
        let pod = json!({
            "metadata": {"name": "p", "labels": {"app": "a"}, "managedFields": [{"manager": "m"}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}},
            "spec": {"nodeName": "n", "volumes": [{"name": "v"}],
                "containers": [{"name": "c", "env": [{"name": "E", "value": "secret"}], "ports": [{"containerPort": 80}]}]},
            "status": {"phase": "Running", "podIP": "10.0.0.1", "containerStatuses": [{"name": "c"}],
                "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "x"}]}});
        let value = read(Kind::Pod, &pod.to_string()).expect("JSON");
        assert_eq!(
            value,
            json!({
                "metadata": {"name": "p", "labels": {"app": "a"}, "annotations": {"mine": "1"}},
                "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"containerPort": 80}]}]},
                "status": {"phase": "Running", "podIP": "10.0.0.1",
                    "conditions": [{"type": "Ready", "status": "True"}]}})
        );
    }

    #[test]
    fn other_kinds_keep_everything_but_who_manages_them() {
        let other = json!({"metadata": {"name": "x", "managedFields": [1]},
            "spec": {"a": [1, -2, 2.5, null, true, {"b": "c"}]}, "status": {"managedFields": 1}});
        let value = read(Kind::VirtualService, &other.to_string()).expect("JSON");
        assert_eq!(
            value,
            json!({"metadata": {"name": "x"}, "spec": other["spec"], "status": other["status"]})
        );
        assert!(read(Kind::VirtualService, "{} {}").is_err());
    }
}
