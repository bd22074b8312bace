//! Discovery responses whose resources are bytes already: one resource rendered once is shared by every response that
//! carries it, and copied only into the socket's buffer.
//!
//! On the wire these are `envoy.service.discovery.v3.DiscoveryResponse` and `DeltaDiscoveryResponse`; the generated
//! types own every resource as a vector and would clone it for each proxy.

#[cfg(test)]
mod tests;

use crate::envoy::core::ControlPlane;
use bytes::{Buf, BufMut, Bytes};
use prost::encoding::{self, DecodeContext, WireType, encoded_len_varint, key_len, skip_field};
use prost::{DecodeError, Message};

/// A state-of-the-world response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawDiscoveryResponse {
    /// The version of all resources together.
    pub version_info: String,
    /// Each an encoded `google.protobuf.Any`.
    pub resources: Vec<Bytes>,
    /// The type of all resources.
    pub type_url: String,
    /// What the client's answer refers to.
    pub nonce: String,
    /// Who answers.
    pub control_plane: Option<ControlPlane>,
}

/// A delta response.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawDeltaDiscoveryResponse {
    /// The version shown in logs; clients make nothing of it.
    pub system_version_info: String,
    /// Added and changed resources.
    pub resources: Vec<RawResource>,
    /// The type of all resources.
    pub type_url: String,
    /// Names of resources that are gone.
    pub removed_resources: Vec<String>,
    /// What the client's answer refers to.
    pub nonce: String,
    /// Who answers.
    pub control_plane: Option<ControlPlane>,
}

/// One resource of a delta response.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawResource {
    /// The version that clients present after a reconnect.
    pub version: String,
    /// An encoded `google.protobuf.Any`.
    pub resource: Bytes,
    /// The name by which clients subscribe.
    pub name: String,
}

impl Message for RawDiscoveryResponse {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        put_string(1, &self.version_info, buffer);
        for resource in &self.resources {
            put_bytes(2, resource, buffer);
        }
        put_string(4, &self.type_url, buffer);
        put_string(5, &self.nonce, buffer);
        if let Some(control_plane) = &self.control_plane {
            encoding::message::encode(6, control_plane, buffer);
        }
    }

    fn encoded_len(&self) -> usize {
        string_len(1, &self.version_info)
            + self.resources.iter().map(|resource| bytes_len(2, resource)).sum::<usize>()
            + string_len(4, &self.type_url)
            + string_len(5, &self.nonce)
            + self.control_plane.as_ref().map_or(0, |value| encoding::message::encoded_len(6, value))
    }

    fn merge_field(
        &mut self,
        number: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match number {
            1 => encoding::string::merge(wire_type, &mut self.version_info, buffer, context),
            2 => encoding::bytes::merge_repeated(wire_type, &mut self.resources, buffer, context),
            4 => encoding::string::merge(wire_type, &mut self.type_url, buffer, context),
            5 => encoding::string::merge(wire_type, &mut self.nonce, buffer, context),
            6 => {
                let control_plane = self.control_plane.get_or_insert_default();
                encoding::message::merge(wire_type, control_plane, buffer, context)
            }
            _ => skip_field(wire_type, number, buffer, context),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Message for RawDeltaDiscoveryResponse {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        put_string(1, &self.system_version_info, buffer);
        for resource in &self.resources {
            encoding::message::encode(2, resource, buffer);
        }
        put_string(4, &self.type_url, buffer);
        put_string(5, &self.nonce, buffer);
        encoding::string::encode_repeated(6, &self.removed_resources, buffer);
        if let Some(control_plane) = &self.control_plane {
            encoding::message::encode(7, control_plane, buffer);
        }
    }

    fn encoded_len(&self) -> usize {
        string_len(1, &self.system_version_info)
            + encoding::message::encoded_len_repeated(2, &self.resources)
            + string_len(4, &self.type_url)
            + string_len(5, &self.nonce)
            + encoding::string::encoded_len_repeated(6, &self.removed_resources)
            + self.control_plane.as_ref().map_or(0, |value| encoding::message::encoded_len(7, value))
    }

    fn merge_field(
        &mut self,
        number: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match number {
            1 => encoding::string::merge(wire_type, &mut self.system_version_info, buffer, context),
            2 => encoding::message::merge_repeated(wire_type, &mut self.resources, buffer, context),
            4 => encoding::string::merge(wire_type, &mut self.type_url, buffer, context),
            5 => encoding::string::merge(wire_type, &mut self.nonce, buffer, context),
            6 => encoding::string::merge_repeated(wire_type, &mut self.removed_resources, buffer, context),
            7 => {
                let control_plane = self.control_plane.get_or_insert_default();
                encoding::message::merge(wire_type, control_plane, buffer, context)
            }
            _ => skip_field(wire_type, number, buffer, context),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Message for RawResource {
    fn encode_raw(&self, buffer: &mut impl BufMut) {
        put_string(1, &self.version, buffer);
        put_bytes(2, &self.resource, buffer);
        put_string(3, &self.name, buffer);
    }

    fn encoded_len(&self) -> usize {
        string_len(1, &self.version) + bytes_len(2, &self.resource) + string_len(3, &self.name)
    }

    fn merge_field(
        &mut self,
        number: u32,
        wire_type: WireType,
        buffer: &mut impl Buf,
        context: DecodeContext,
    ) -> Result<(), DecodeError> {
        match number {
            1 => encoding::string::merge(wire_type, &mut self.version, buffer, context),
            2 => encoding::bytes::merge(wire_type, &mut self.resource, buffer, context),
            3 => encoding::string::merge(wire_type, &mut self.name, buffer, context),
            _ => skip_field(wire_type, number, buffer, context),
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

/// Strings at their default are not written.
fn put_string(number: u32, value: &String, buffer: &mut impl BufMut) {
    if !value.is_empty() {
        encoding::string::encode(number, value, buffer);
    }
}

fn string_len(number: u32, value: &String) -> usize {
    if value.is_empty() { 0 } else { encoding::string::encoded_len(number, value) }
}

/// An embedded message whose bytes are known is written like bytes; an empty one is still present.
fn put_bytes(number: u32, value: &Bytes, buffer: &mut impl BufMut) {
    encoding::encode_key(number, WireType::LengthDelimited, buffer);
    encoding::encode_varint(value.len() as u64, buffer);
    buffer.put_slice(value);
}

fn bytes_len(number: u32, value: &Bytes) -> usize {
    key_len(number) + encoded_len_varint(value.len() as u64) + value.len()
}
