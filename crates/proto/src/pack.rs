//! The one way from a message to bytes that anybody may keep, compare or send: same message, same bytes.
//!
//! `envoy-types` keeps map fields in hash maps, so what `prost` encodes comes out in another order every time. Here the
//! encoded entries are put in order of key afterwards, in place (invariant I2: same input, same bytes).

mod order;
#[cfg(test)]
mod tests;

use crate::envoy::google::Any;
use crate::type_url;
use bytes::Bytes;
use prost::{Message, Name};
use prost_reflect::{DynamicMessage, ReflectMessage};

/// The message's bytes. `Any` values inside it are taken as packed already.
pub fn bytes<M: Message + Name>(message: &M) -> Bytes {
    let mut encoded = message.encode_to_vec();
    order::sort(&M::full_name(), &mut encoded, order::Depth::Message);
    encoded.into()
}

/// The message as an `Any` under its own type URL.
pub fn any<M: Message + Name>(message: &M) -> Any {
    Any { type_url: url::<M>(), value: bytes(message).into() }
}

/// The bytes of the message's `Any`: what a raw response carries as a resource.
pub fn encoded_any<M: Message + Name>(message: &M) -> Bytes {
    any(message).encode_to_vec().into()
}

/// The bytes of a message known only by descriptor. `Any` values inside it are put in order as well, since nobody has
/// packed them before.
pub fn dynamic(message: &DynamicMessage) -> Bytes {
    let mut encoded = message.encode_to_vec();
    order::sort(message.descriptor().full_name(), &mut encoded, order::Depth::Any);
    encoded.into()
}

/// Puts the map entries of an encoded message in order, in `Any` values inside it too.
pub fn canonicalize(full_name: &str, encoded: &mut [u8]) {
    order::sort(full_name, encoded, order::Depth::Any);
}

/// The type URL of a message type, with Google's prefix.
pub fn url<M: Name>() -> String {
    format!("{}{}", type_url::PREFIX, M::full_name())
}
