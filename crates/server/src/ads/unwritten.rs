//! A response written bit by bit: small resources go into a buffer, large ones are handed over as the shared bytes
//! that they are. Until then it holds nothing but pointers to resources that everybody shares, so that a client that
//! reads slowly holds no copy of what it has not read, and a thousand that come at once hold no thousand copies of
//! names.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};
use xds::Resource;

/// Resources of so many bytes are handed over, smaller ones are copied.
const LARGE: usize = 4096;

/// What is left of a response.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    /// All fields but the resources, until they are written.
    head: Option<Bytes>,
    /// The resource that has begun, and the part of it that is next.
    open: Option<(Resource, usize)>,
    resources: std::vec::IntoIter<Resource>,
    form: Form,
    length: usize,
    /// Bytes that are not written.
    left: usize,
}

/// How resources stand in a response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Form {
    /// Alone, as in the state of the world.
    #[default]
    Bare,
    /// Each in a message with its name and version, as in increments. What has no name has no version either.
    Named,
}

impl Unwritten {
    /// A response with the fields of `head` and these resources, nothing of it written yet.
    pub(super) fn new(head: &impl Message, resources: Vec<Resource>, form: Form) -> Self {
        let head = Bytes::from(head.encode_to_vec());
        let length = head.len() + resources.iter().map(|resource| whole_len(form, resource)).sum::<usize>();
        Self { head: Some(head), open: None, resources: resources.into_iter(), form, length, left: length }
    }

    /// The length of the whole response in bytes.
    pub(super) fn whole_len(&self) -> usize {
        self.length
    }

    /// How much can be copied at most before something large comes.
    fn n_next(&self) -> usize {
        let first = self.resources.as_slice().first();
        let is_large = |one: &Resource| one.body().n_parts() == 1 && one.body().len() >= LARGE;
        match (&self.open, first) {
            (None, Some(first)) if is_large(first) => self.head.as_ref().map_or(0, Bytes::len) + 256,
            _ => self.left,
        }
    }

    /// Whether everything is written.
    pub(super) fn is_done(&self) -> bool {
        self.head.is_none() && self.open.is_none() && self.resources.as_slice().is_empty()
    }

    /// Writes on until the buffer holds `enough` bytes or all is written. Something large that comes then is not
    /// copied but returned, to be sent behind the buffer; the rest is for the next call.
    pub(super) fn write(&mut self, enough: usize, buffer: &mut BytesMut) -> Option<Bytes> {
        if buffer.len() >= enough {
            return None;
        }
        // Once and for all: a buffer that grows is copied again and again.
        buffer.reserve(self.n_next().min(enough + LARGE));
        if let Some(head) = self.head.take() {
            self.left = self.left.saturating_sub(head.len());
            buffer.extend_from_slice(&head);
        }
        while buffer.len() < enough {
            if self.open.is_none() {
                let resource = self.resources.next()?;
                let n_before = buffer.len();
                put_before_body(self.form, &resource, buffer);
                self.left = self.left.saturating_sub(buffer.len() - n_before);
                self.open = Some((resource, 0));
            }
            let large = self.write_part(buffer);
            if large.is_some() {
                return large;
            }
        }
        None
    }

    /// Writes the next part of the resource that has begun, or returns it if it is large.
    fn write_part(&mut self, buffer: &mut BytesMut) -> Option<Bytes> {
        let (resource, index) = self.open.as_mut()?;
        let n_before = buffer.len();
        let mut large = None;
        if let Some(part) = resource.body().part(*index, buffer) {
            if part.len() >= LARGE {
                large = Some(part.clone());
                self.left = self.left.saturating_sub(part.len());
            } else {
                buffer.extend_from_slice(part);
            }
        }
        self.left = self.left.saturating_sub(buffer.len() - n_before);
        *index += 1;
        if *index >= resource.body().n_parts() {
            self.open = None;
        }
        large
    }
}

/// Everything up to the bytes, which stand last.
fn put_before_body(form: Form, resource: &Resource, buffer: &mut BytesMut) {
    encode_key(2, WireType::LengthDelimited, buffer);
    if form == Form::Named {
        encode_varint(named_len(resource) as u64, buffer);
        put_text(1, &version(resource), buffer);
        put_text(3, resource.name(), buffer);
        encode_key(2, WireType::LengthDelimited, buffer);
    }
    encode_varint(resource.body().len() as u64, buffer);
}

/// The length of a resource in a response.
fn whole_len(form: Form, resource: &Resource) -> usize {
    let length = match form {
        Form::Bare => resource.body().len(),
        Form::Named => named_len(resource),
    };
    delimited_len(2, length)
}

/// The length of the message with name and version.
fn named_len(resource: &Resource) -> usize {
    let version = if resource.name().is_empty() { 0 } else { Resource::VERSION_LEN };
    text_len(1, version) + text_len(3, resource.name().len()) + delimited_len(2, resource.body().len())
}

fn version(resource: &Resource) -> String {
    if resource.name().is_empty() { String::new() } else { resource.version() }
}

fn delimited_len(number: u32, length: usize) -> usize {
    key_len(number) + encoded_len_varint(length as u64) + length
}

/// Texts at their default are not written.
fn text_len(number: u32, length: usize) -> usize {
    if length == 0 { 0 } else { delimited_len(number, length) }
}

fn put_text(number: u32, text: &str, buffer: &mut BytesMut) {
    if !text.is_empty() {
        encode_key(number, WireType::LengthDelimited, buffer);
        encode_varint(text.len() as u64, buffer);
        buffer.put_slice(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use proto::raw::{RawDeltaDiscoveryResponse, RawDiscoveryResponse, RawResource};
    use proto::type_url;

    use super::*;

    /// Writes a response bit by bit and puts the bits together; how many large ones were handed over.
    fn written(mut unwritten: Unwritten, enough: usize) -> (Vec<u8>, usize) {
        let (mut all, mut n_handed_over) = (Vec::new(), 0);
        while !unwritten.is_done() {
            let mut buffer = BytesMut::new();
            let large = unwritten.write(enough, &mut buffer);
            all.extend_from_slice(&buffer);
            if let Some(large) = large {
                n_handed_over += 1;
                all.extend_from_slice(&large);
            }
        }
        assert_eq!(all.len(), unwritten.whole_len());
        (all, n_handed_over)
    }

    fn resources() -> Vec<Resource> {
        let body = |length: usize| Bytes::from(vec![b'x'; length]);
        [("a", 10), ("", 100_000), ("c", 0), ("d", 5000)]
            .map(|(name, length)| Resource::new(name, body(length)))
            .into()
    }

    #[test]
    fn increments_that_are_written_bit_by_bit_read_as_the_whole() {
        let head = RawDeltaDiscoveryResponse {
            system_version_info: "1".into(),
            type_url: type_url::CLUSTER.into(),
            nonce: "n".into(),
            removed_resources: vec!["gone".into()],
            ..RawDeltaDiscoveryResponse::default()
        };
        let named = |resource: &Resource| RawResource {
            version: if resource.name().is_empty() { String::new() } else { resource.version() },
            resource: resource.body().whole(),
            name: resource.name().to_string(),
        };
        let whole =
            RawDeltaDiscoveryResponse { resources: resources().iter().map(named).collect(), ..head.clone() };
        for enough in [1, 100, 1 << 20] {
            let (bytes, n_handed_over) = written(Unwritten::new(&head, resources(), Form::Named), enough);
            assert_eq!(n_handed_over, 2);
            assert_eq!(RawDeltaDiscoveryResponse::decode(&bytes[..]).unwrap(), whole);
        }
    }

    #[test]
    fn the_world_written_bit_by_bit_reads_as_the_whole() {
        let head = RawDiscoveryResponse {
            version_info: "1".into(),
            type_url: type_url::CLUSTER.into(),
            nonce: "n".into(),
            ..RawDiscoveryResponse::default()
        };
        let bodies = resources().iter().map(|resource| resource.body().whole()).collect();
        let whole = RawDiscoveryResponse { resources: bodies, ..head.clone() };
        for enough in [1, 100, 1 << 20] {
            let (bytes, n_handed_over) = written(Unwritten::new(&head, resources(), Form::Bare), enough);
            assert_eq!(n_handed_over, 2);
            assert_eq!(RawDiscoveryResponse::decode(&bytes[..]).unwrap(), whole);
        }
        let nothing = Unwritten::new(&RawDiscoveryResponse::default(), Vec::new(), Form::Bare);
        assert!(written(nothing, 1).0.is_empty());
    }
}
