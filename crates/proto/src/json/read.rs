//! JSON becomes a message known by descriptor.
//!
//! Every `Any` is read here, the rest by the reflection library: it knows nothing of an empty `Any`, nor of one whose
//! type is unknown. So an `Any` is replaced in the JSON by a parked one that carries its bytes, and put back afterwards.

use super::write::{ANY, base64, is_special};
use super::{Error, UnknownFields};
use crate::descriptors;
use crate::envoy::google::{Any, BytesValue};
use crate::pack;
use crate::type_url::message_name;
use prost::Message;
use prost_reflect::{
    DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, ReflectMessage, Value as Field,
};
use serde_json::{Map, Value, json};

/// The type under which an `Any` waits: bytes that are the encoded `Any` itself.
const PARKED: &str = "parked/google.protobuf.BytesValue";

/// JSON as the message of the given type.
pub(super) fn message(
    descriptor: MessageDescriptor,
    mut value: Value,
    unknown: UnknownFields,
) -> Result<DynamicMessage, Error> {
    if descriptor.full_name() == ANY {
        let any = any(&mut value, unknown)?;
        return decode(descriptor, &any.encode_to_vec());
    }
    park(&descriptor, &mut value, unknown)?;
    let options = DeserializeOptions::new().deny_unknown_fields(unknown == UnknownFields::Refuse);
    let mut message = DynamicMessage::deserialize_with_options(descriptor, value, &options)
        .map_err(|error| Error::Json(error.to_string()))?;
    put_back(&mut message)?;
    Ok(message)
}

fn decode(descriptor: MessageDescriptor, bytes: &[u8]) -> Result<DynamicMessage, Error> {
    DynamicMessage::decode(descriptor, bytes).map_err(|error| Error::Bytes(error.to_string()))
}

/// An object with `@type` as a packed `Any`; an object without members is an empty one.
fn any(value: &mut Value, unknown: UnknownFields) -> Result<Any, Error> {
    let Value::Object(members) = value else {
        return Err(Error::Json("an object with '@type' is expected".to_owned()));
    };
    if members.is_empty() {
        return Ok(Any::default());
    }
    let Some(Value::String(type_url)) = members.remove("@type") else {
        return Err(Error::Json("expected '@type' field".to_owned()));
    };
    let name = message_name(&type_url);
    let Some(descriptor) = descriptors::message(name) else {
        return match members.remove("value") {
            Some(bytes @ Value::String(_)) if members.is_empty() => {
                Ok(Any { value: bytes_of(bytes)?, type_url })
            }
            _ => Err(Error::UnknownType(name.to_owned())),
        };
    };
    let content = if name == ANY || is_special(name) {
        members.remove("value").unwrap_or(Value::Object(Map::new()))
    } else {
        Value::Object(core::mem::take(members))
    };
    if let Some((extra, _)) = members.iter().next().filter(|_| unknown == UnknownFields::Refuse) {
        return Err(Error::Json(format!("unrecognized field name '{extra}'")));
    }
    let content = message(descriptor, content, unknown)?;
    Ok(Any { value: pack::dynamic(&content).into(), type_url })
}

/// The bytes that base64 stands for.
fn bytes_of(base64: Value) -> Result<Vec<u8>, Error> {
    let Some(descriptor) = descriptors::message("google.protobuf.BytesValue") else {
        return Err(Error::UnknownType("google.protobuf.BytesValue".to_owned()));
    };
    let message =
        DynamicMessage::deserialize(descriptor, base64).map_err(|error| Error::Json(error.to_string()))?;
    message
        .transcode_to::<BytesValue>()
        .map(|bytes| bytes.value)
        .map_err(|error| Error::Bytes(error.to_string()))
}

/// Replaces every `Any` below a message's JSON by a parked one.
fn park(descriptor: &MessageDescriptor, value: &mut Value, unknown: UnknownFields) -> Result<(), Error> {
    if is_special(descriptor.full_name()) {
        return Ok(());
    }
    let Value::Object(members) = value else { return Ok(()) };
    for (name, member) in members {
        let field = descriptor.get_field_by_json_name(name).or_else(|| descriptor.get_field_by_name(name));
        let Some(field) = field else { continue };
        let Kind::Message(inner) = field.kind() else { continue };
        match member {
            Value::Object(entries) if field.is_map() => {
                if let Kind::Message(inner) = inner.map_entry_value_field().kind() {
                    entries.values_mut().try_for_each(|entry| park_one(&inner, entry, unknown))?;
                }
            }
            Value::Array(values) if field.is_list() => {
                values.iter_mut().try_for_each(|value| park_one(&inner, value, unknown))?;
            }
            member => park_one(&inner, member, unknown)?,
        }
    }
    Ok(())
}

fn park_one(descriptor: &MessageDescriptor, value: &mut Value, unknown: UnknownFields) -> Result<(), Error> {
    if value.is_null() {
        Ok(())
    } else if descriptor.full_name() == ANY {
        let any = any(value, unknown)?;
        *value = json!({"@type": PARKED, "value": base64(&any.encode_to_vec())});
        Ok(())
    } else {
        park(descriptor, value, unknown)
    }
}

/// Turns every parked `Any` below a message into the one that it carries.
fn put_back(message: &mut DynamicMessage) -> Result<(), Error> {
    message.fields_mut().try_for_each(|(_, value)| put_back_value(value))
}

fn put_back_value(value: &mut Field) -> Result<(), Error> {
    match value {
        Field::List(values) => values.iter_mut().try_for_each(put_back_value),
        // Each entry is changed for itself, so their order does not matter.
        Field::Map(entries) => entries.values_mut().try_for_each(put_back_value),
        Field::Message(message) if message.descriptor().full_name() == ANY => {
            let parked: Any = message.transcode_to().map_err(|error| Error::Bytes(error.to_string()))?;
            if parked.type_url == PARKED {
                let carried = BytesValue::decode(parked.value.as_slice())
                    .map_err(|error| Error::Bytes(error.to_string()))?;
                *message = decode(message.descriptor(), &carried.value)?;
            }
            Ok(())
        }
        Field::Message(message) if !is_special(message.descriptor().full_name()) => put_back(message),
        _ => Ok(()),
    }
}
