//! One message laid over another, as EnvoyFilter's MERGE means it: numbers and texts overwrite, lists append, maps
//! replace by key, messages merge field by field, except durations, which replace each other whole (F04, F05). What is
//! at its default in the patch says nothing.

#[cfg(test)]
mod tests;

use crate::envoy::google::Any;
use crate::json::Error;
use crate::type_url::message_name;
use crate::{descriptors, pack};
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, ReflectMessage, Value};

const DURATION: &str = "google.protobuf.Duration";

/// `base` with `patch`, a message of the same type, laid over it.
pub fn merged<M: Message + Name + Default>(base: &M, patch: &M) -> Result<M, Error> {
    let bytes = merged_bytes(&M::full_name(), &base.encode_to_vec(), &patch.encode_to_vec())?;
    M::decode(bytes.as_slice()).map_err(|error| Error::Bytes(error.to_string()))
}

/// The content of `patch` laid over that of `base`; nothing unless both are of the same, known type.
pub fn merged_any(base: &Any, patch: &Any) -> Option<Any> {
    let name = message_name(&base.type_url);
    if name != message_name(&patch.type_url) {
        return None;
    }
    let value = merged_bytes(name, &base.value, &patch.value).ok()?;
    Some(Any { type_url: base.type_url.clone(), value })
}

fn merged_bytes(name: &str, base: &[u8], patch: &[u8]) -> Result<Vec<u8>, Error> {
    let descriptor = descriptors::message(name).ok_or_else(|| Error::UnknownType(name.to_owned()))?;
    let decode = |bytes: &[u8]| {
        DynamicMessage::decode(descriptor.clone(), bytes).map_err(|error| Error::Bytes(error.to_string()))
    };
    let mut message = decode(base)?;
    merge(&mut message, &decode(patch)?);
    Ok(pack::dynamic(&message).into())
}

fn merge(base: &mut DynamicMessage, patch: &DynamicMessage) {
    for (field, value) in patch.fields() {
        let known = base.has_field(&field);
        match (value, known.then(|| base.get_field_mut(&field))) {
            (Value::List(items), Some(Value::List(list))) => list.extend(items.iter().cloned()),
            (Value::Map(entries), Some(Value::Map(map))) => {
                // Each key is set for itself, so their order does not matter.
                map.extend(entries.iter().map(|(key, entry)| (key.clone(), entry.clone())));
            }
            (Value::Message(inner), Some(Value::Message(message)))
                if inner.descriptor().full_name() != DURATION =>
            {
                merge(message, inner);
            }
            (value, _) => base.set_field(&field, value.clone()),
        }
    }
}
