//! Messages as protobuf JSON and back, by type URL, as configuration dumps show them and EnvoyFilter patches write them.
//!
//! Members have lowerCamelCase names, defaults are left out, every `Any` is expanded under `@type`. Reading also takes
//! snake_case names and numbers for enums. An `Any` of a type nobody knows is shown as `{"@type", "value"}` with its
//! bytes in base64 rather than failing the whole dump, and is read back from that.

mod read;
#[cfg(test)]
mod tests;
mod write;

use crate::descriptors;
use crate::envoy::google::Any;
use crate::pack;
use crate::type_url::message_name;
use bytes::Bytes;
use prost::Message;
use prost_reflect::DynamicMessage;
use serde_json::Value;

/// What is done with members that the message does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownFields {
    /// They are an error.
    #[default]
    Refuse,
    /// They are skipped.
    Ignore,
}

/// Why a message could not be turned into JSON or back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No message of this name is known.
    UnknownType(String),
    /// The bytes are not such a message.
    Bytes(String),
    /// The JSON is not such a message.
    Json(String),
}

impl core::fmt::Display for Error {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::UnknownType(name) => write!(formatter, "unknown message type {name:?}"),
            Self::Bytes(error) => write!(formatter, "cannot decode: {error}"),
            Self::Json(error) => write!(formatter, "{error}"),
        }
    }
}

impl core::error::Error for Error {}

/// The content of an `Any` with its `@type`.
pub fn any_to_json(type_url: &str, bytes: &[u8]) -> Result<Value, Error> {
    let message = decode(type_url, bytes)?;
    Ok(write::expanded(type_url, &message))
}

/// The content of an `Any` without `@type`, as a resource of known type is shown.
pub fn message_to_json(type_url: &str, bytes: &[u8]) -> Result<Value, Error> {
    Ok(write::message(&decode(type_url, bytes)?))
}

/// A message known by descriptor as JSON.
pub fn dynamic_to_json(message: &DynamicMessage) -> Value {
    write::message(message)
}

/// An object with `@type` as a packed `Any`.
pub fn json_to_any(value: &Value, unknown: UnknownFields) -> Result<Any, Error> {
    let bytes = json_to_bytes("google.protobuf.Any", value, unknown)?;
    Any::decode(bytes).map_err(|error| Error::Bytes(error.to_string()))
}

/// JSON of the message that `type_url` names as packed bytes.
pub fn json_to_bytes(type_url: &str, value: &Value, unknown: UnknownFields) -> Result<Bytes, Error> {
    json_to_dynamic(type_url, value, unknown).map(|message| pack::dynamic(&message))
}

/// JSON of the message that `type_url` names as a message known by descriptor.
pub fn json_to_dynamic(
    type_url: &str,
    value: &Value,
    unknown: UnknownFields,
) -> Result<DynamicMessage, Error> {
    read::message(descriptor(type_url)?, value.clone(), unknown)
}

fn decode(type_url: &str, bytes: &[u8]) -> Result<DynamicMessage, Error> {
    DynamicMessage::decode(descriptor(type_url)?, bytes).map_err(|error| Error::Bytes(error.to_string()))
}

fn descriptor(type_url: &str) -> Result<prost_reflect::MessageDescriptor, Error> {
    let name = message_name(type_url);
    descriptors::message(name).ok_or_else(|| Error::UnknownType(name.to_owned()))
}
