//! The bytes of a resource, which may be put together of bytes that other resources have as well: the route tables of
//! two namespaces differ in a few of a thousand virtual hosts, and need not be kept twice.

use std::fmt;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// An encoded message. Cheap to clone; printed without the bytes, which may hold a private key.
#[derive(Clone)]
pub struct Body(Form);

#[derive(Clone)]
enum Form {
    Whole(Bytes),
    Assembled(Arc<Assembled>),
}

/// What stands first, then a repeated message field.
struct Assembled {
    head: Bytes,
    field: u32,
    elements: Vec<Bytes>,
    length: usize,
}

impl Body {
    /// `head`, then the elements of the repeated message field of that number, which are the end of the message that
    /// it begins.
    pub fn assembled(head: Bytes, field: u32, elements: Vec<Bytes>) -> Self {
        let length = head.len() + elements_len(field, &elements);
        Self(Form::Assembled(Arc::new(Assembled { head, field, elements, length })))
    }

    /// How many bytes it has.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::Whole(bytes) => bytes.len(),
            Form::Assembled(assembled) => assembled.length,
        }
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All bytes, which are copied together if they are not together yet.
    pub fn whole(&self) -> Bytes {
        if let Form::Whole(bytes) = &self.0 {
            return bytes.clone();
        }
        let mut all = BytesMut::with_capacity(self.len());
        for index in 0..self.n_parts() {
            if let Some(part) = self.part(index, &mut all) {
                all.extend_from_slice(part);
            }
        }
        all.freeze()
    }

    /// How many parts it is kept in.
    pub fn n_parts(&self) -> usize {
        match &self.0 {
            Form::Whole(_) => 1,
            Form::Assembled(assembled) => 1 + assembled.elements.len(),
        }
    }

    /// The part of that index; the few bytes that announce it are put into the buffer.
    pub fn part(&self, index: usize, buffer: &mut BytesMut) -> Option<&Bytes> {
        match &self.0 {
            Form::Whole(bytes) => (index == 0).then_some(bytes),
            Form::Assembled(assembled) if index == 0 => Some(&assembled.head),
            Form::Assembled(assembled) => {
                let element = assembled.elements.get(index - 1)?;
                encode_key(assembled.field, WireType::LengthDelimited, buffer);
                encode_varint(element.len() as u64, buffer);
                Some(element)
            }
        }
    }
}

/// How many bytes the elements of a repeated message field take.
pub fn elements_len(field: u32, elements: &[Bytes]) -> usize {
    let one = |element: &Bytes| key_len(field) + encoded_len_varint(element.len() as u64) + element.len();
    elements.iter().map(one).sum()
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self(Form::Whole(bytes))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("n_bytes", &self.len()).finish_non_exhaustive()
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.whole() == other.whole()
    }
}

impl Eq for Body {}

#[cfg(test)]
mod tests {
    use prost::Message;

    use super::*;
    use crate::envoy::route::{RouteConfiguration, VirtualHost};

    #[test]
    fn what_is_put_together_is_the_message() {
        let hosts = ["a", "b"].map(|name| VirtualHost { name: name.into(), ..Default::default() });
        let head = RouteConfiguration { name: "80".into(), ..Default::default() };
        let elements: Vec<Bytes> = hosts.iter().map(|host| host.encode_to_vec().into()).collect();
        let body = Body::assembled(head.encode_to_vec().into(), 2, elements.clone());
        let whole = RouteConfiguration { virtual_hosts: hosts.into(), ..head.clone() };
        assert_eq!(RouteConfiguration::decode(body.whole()).unwrap(), whole);
        assert_eq!(body.len(), whole.encoded_len());
        assert_eq!(body, Body::from(body.whole()));
        assert_eq!(body.len(), head.encoded_len() + elements_len(2, &elements));
    }
}
