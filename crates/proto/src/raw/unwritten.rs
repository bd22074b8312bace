//! A response written bit by bit: small parts go into a buffer, large resources are handed over as the shared bytes
//! that they are. So a client that reads slowly holds no copy of what it has not read, and nobody holds one afterwards.

use bytes::{Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint};

use super::{RawDeltaDiscoveryResponse, RawDiscoveryResponse, bytes_len, put_string, string_len};

/// Resources of so many bytes are handed over, smaller ones are copied.
const LARGE: usize = 4096;

/// What is left of a response.
#[derive(Debug, Default)]
pub struct Unwritten {
    /// All fields but the resources, until they are written.
    head: Option<Bytes>,
    resources: std::vec::IntoIter<Part>,
}

/// One resource: what goes before its bytes, and these.
#[derive(Debug)]
struct Part {
    version: String,
    name: String,
    body: Bytes,
    /// Whether it stands in a message with its name and version.
    is_wrapped: bool,
}

/// Responses that can be written bit by bit.
pub trait InParts: Message {
    /// Leaves only what the resources are not.
    #[doc(hidden)]
    fn take_parts(&mut self) -> Unwritten;

    /// The response, nothing of it written yet, and its whole length in bytes.
    fn into_unwritten(mut self) -> (Unwritten, usize)
    where
        Self: Sized,
    {
        let length = self.encoded_len();
        let mut unwritten = self.take_parts();
        unwritten.head = Some(self.encode_to_vec().into());
        (unwritten, length)
    }
}

impl InParts for RawDiscoveryResponse {
    fn take_parts(&mut self) -> Unwritten {
        let part = |body| Part { version: String::new(), name: String::new(), body, is_wrapped: false };
        let parts: Vec<Part> = std::mem::take(&mut self.resources).into_iter().map(part).collect();
        Unwritten { head: None, resources: parts.into_iter() }
    }
}

impl InParts for RawDeltaDiscoveryResponse {
    fn take_parts(&mut self) -> Unwritten {
        let parts: Vec<Part> = std::mem::take(&mut self.resources)
            .into_iter()
            .map(|one| Part { version: one.version, name: one.name, body: one.resource, is_wrapped: true })
            .collect();
        Unwritten { head: None, resources: parts.into_iter() }
    }
}

impl Unwritten {
    /// Whether everything is written.
    pub fn is_done(&self) -> bool {
        self.head.is_none() && self.resources.as_slice().is_empty()
    }

    /// Writes on until the buffer holds `enough` bytes or all is written. Something large that comes then is not
    /// copied but returned, to be sent behind the buffer; the rest is for the next call.
    pub fn write(&mut self, enough: usize, buffer: &mut BytesMut) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            buffer.extend_from_slice(&head);
        }
        while buffer.len() < enough {
            let part = self.resources.next()?;
            part.write_head(buffer);
            if part.body.len() >= LARGE {
                return Some(part.body);
            }
            buffer.extend_from_slice(&part.body);
        }
        None
    }
}

impl Part {
    /// Everything up to the bytes, which stand last.
    fn write_head(&self, buffer: &mut BytesMut) {
        encode_key(2, WireType::LengthDelimited, buffer);
        if self.is_wrapped {
            let length = string_len(1, &self.version) + string_len(3, &self.name) + bytes_len(2, &self.body);
            encode_varint(length as u64, buffer);
            put_string(1, &self.version, buffer);
            put_string(3, &self.name, buffer);
            encode_key(2, WireType::LengthDelimited, buffer);
        }
        encode_varint(self.body.len() as u64, buffer);
    }
}
