//! Free-form JSON as protobuf carries it: all numbers are doubles, keys are in order.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::BTreeMap;
use value::Kind;

/// A JSON object.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Struct {
    /// Its fields.
    #[prost(btree_map = "string, message", tag = "1")]
    pub fields: BTreeMap<String, Value>,
}

/// Any JSON value.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Value {
    /// Which one.
    #[prost(oneof = "value::Kind", tags = "1, 2, 3, 4, 5, 6")]
    pub kind: Option<Kind>,
}

/// A JSON array.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ListValue {
    /// Its items.
    #[prost(message, repeated, tag = "1")]
    pub values: Vec<Value>,
}

/// JSON null.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum NullValue {
    /// The only one.
    NullValue = 0,
}

/// The kinds of a [`Value`].
pub mod value {
    /// One of JSON's six kinds.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        /// Null.
        #[prost(enumeration = "super::NullValue", tag = "1")]
        NullValue(i32),
        /// A number.
        #[prost(double, tag = "2")]
        NumberValue(f64),
        /// A text.
        #[prost(string, tag = "3")]
        StringValue(String),
        /// A bool.
        #[prost(bool, tag = "4")]
        BoolValue(bool),
        /// An object.
        #[prost(message, tag = "5")]
        StructValue(super::Struct),
        /// An array.
        #[prost(message, tag = "6")]
        ListValue(super::ListValue),
    }
}

/// The largest whole number up to which doubles are exact.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let kind = match json {
            Json::Null => Kind::NullValue(0),
            Json::Bool(flag) => Kind::BoolValue(flag),
            Json::Number(number) => Kind::NumberValue(number.as_f64().unwrap_or_default()),
            Json::String(text) => Kind::StringValue(text),
            Json::Array(items) => {
                Kind::ListValue(ListValue { values: items.into_iter().map(Self::from).collect() })
            }
            Json::Object(fields) => Kind::StructValue(fields.into()),
        };
        Self { kind: Some(kind) }
    }
}

impl From<serde_json::Map<String, serde_json::Value>> for Struct {
    fn from(fields: serde_json::Map<String, serde_json::Value>) -> Self {
        Self { fields: fields.into_iter().map(|(name, value)| (name, value.into())).collect() }
    }
}

impl From<&Value> for serde_json::Value {
    /// Whole numbers come out without a decimal point, as they were most likely written.
    fn from(value: &Value) -> Self {
        match &value.kind {
            None | Some(Kind::NullValue(_)) => Self::Null,
            Some(Kind::BoolValue(flag)) => Self::Bool(*flag),
            Some(Kind::NumberValue(n)) if n.fract() == 0.0 && n.abs() <= EXACT => Self::from(*n as i64),
            Some(Kind::NumberValue(n)) => Self::from(*n),
            Some(Kind::StringValue(text)) => Self::from(text.as_str()),
            Some(Kind::ListValue(list)) => list.values.iter().map(Self::from).collect(),
            Some(Kind::StructValue(fields)) => Self::from(fields),
        }
    }
}

impl From<&Struct> for serde_json::Value {
    fn from(value: &Struct) -> Self {
        value.fields.iter().map(|(name, value)| (name.clone(), Self::from(value))).collect()
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::Value::from(self).serialize(serializer)
    }
}

impl Serialize for Struct {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(&self.fields)
    }
}

impl Serialize for ListValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.values)
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for Struct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Map::deserialize(deserializer).map(Self::from)
    }
}

impl<'de> Deserialize<'de> for ListValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(|values| Self { values })
    }
}

impl From<&Value> for crate::envoy::google::Value {
    fn from(value: &Value) -> Self {
        use crate::envoy::google::{self, value::Kind as Theirs};
        let kind = value.kind.as_ref().map(|kind| match kind {
            Kind::NullValue(null) => Theirs::NullValue(*null),
            Kind::NumberValue(number) => Theirs::NumberValue(*number),
            Kind::StringValue(text) => Theirs::StringValue(text.clone()),
            Kind::BoolValue(flag) => Theirs::BoolValue(*flag),
            Kind::StructValue(fields) => Theirs::StructValue(fields.into()),
            Kind::ListValue(list) => {
                Theirs::ListValue(google::ListValue { values: list.values.iter().map(Self::from).collect() })
            }
        });
        Self { kind }
    }
}

impl From<&Struct> for crate::envoy::google::Struct {
    fn from(value: &Struct) -> Self {
        Self { fields: value.fields.iter().map(|(name, value)| (name.clone(), value.into())).collect() }
    }
}
