//! Responses as they come in, looked at resource by resource and not kept: a thousand streams that each put together
//! messages of megabytes would cost more than the server that sends them.

use bytes::{Buf, BytesMut};
use hyper::body::{Body as _, Incoming as Body};
use prost::Message;
use prost::encoding::WireType;
use tonic::{Code, Status};

/// A byte that says whether the message is compressed, and its length.
const HEADER: usize = 5;

/// The body of a stream of delta responses.
pub(crate) struct Incoming {
    body: Body,
    /// What was read and not looked at yet.
    unread: BytesMut,
    /// Bytes of the present message that were not looked at yet.
    left: usize,
    head: Option<Head>,
}

/// A response without its resources.
#[derive(Debug, Default)]
pub(crate) struct Head {
    pub(crate) type_url: String,
    pub(crate) nonce: String,
    pub(crate) removed: Vec<String>,
    pub(crate) n_bytes: usize,
    pub(crate) n_resources: usize,
}

/// One resource, in the message that came.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Resource<'a> {
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// An encoded `google.protobuf.Any`.
    pub(crate) body: &'a [u8],
}

impl Incoming {
    pub(crate) fn new(body: Body) -> Self {
        Self { body, unread: BytesMut::new(), left: 0, head: None }
    }

    /// The next response, each of whose resources is shown on the way; `None` when the server has sent its last.
    pub(crate) async fn next(&mut self, mut each: impl FnMut(Resource<'_>)) -> Result<Option<Head>, Status> {
        loop {
            if let Some(head) = self.look(&mut each)? {
                return Ok(Some(head));
            }
            let frame =
                std::future::poll_fn(|context| std::pin::Pin::new(&mut self.body).poll_frame(context)).await;
            let Some(frame) = frame else { return Ok(None) };
            let frame = frame.map_err(|error| Status::unavailable(format!("{error:?}")))?;
            match frame.into_data() {
                Ok(data) => self.unread.extend_from_slice(&data),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    match Status::from_header_map(&trailers) {
                        Some(status) if status.code() != Code::Ok => return Err(status),
                        _ => return Ok(None),
                    }
                }
            }
        }
    }

    /// Looks at what has been read; the response if that was its end.
    fn look(&mut self, each: &mut impl FnMut(Resource<'_>)) -> Result<Option<Head>, Status> {
        if self.head.is_none() {
            let Some((&[is_compressed, a, b, c, d], _)) = self.unread.split_first_chunk::<HEADER>() else {
                return Ok(None);
            };
            if is_compressed != 0 {
                return Err(Status::internal("a response is compressed"));
            }
            self.left = u32::from_be_bytes([a, b, c, d]) as usize;
            self.head = Some(Head { n_bytes: self.left, ..Head::default() });
            self.unread.advance(HEADER);
        }
        let Some(head) = &mut self.head else { return Ok(None) };
        while self.left > 0 {
            let has_all = self.unread.len() >= self.left;
            let visible = self.unread.get(..self.left).unwrap_or(&self.unread);
            let Some(Field { number, value, length }) = field(visible)? else {
                return if has_all { Err(malformed()) } else { Ok(None) };
            };
            match number {
                2 => {
                    head.n_resources += 1;
                    each(resource(value)?);
                }
                4 => head.type_url = text(value)?.to_owned(),
                5 => head.nonce = text(value)?.to_owned(),
                6 => head.removed.push(text(value)?.to_owned()),
                _ => {}
            }
            self.unread.advance(length);
            self.left -= length;
        }
        Ok(self.head.take())
    }
}

fn resource(mut bytes: &[u8]) -> Result<Resource<'_>, Status> {
    let mut resource = Resource::default();
    while !bytes.is_empty() {
        let Some(Field { number, value, length }) = field(bytes)? else { return Err(malformed()) };
        match number {
            1 => resource.version = text(value)?,
            2 => resource.body = value,
            3 => resource.name = text(value)?,
            _ => {}
        }
        bytes = bytes.get(length..).unwrap_or_default();
    }
    Ok(resource)
}

struct Field<'a> {
    number: u64,
    value: &'a [u8],
    /// Of all of it.
    length: usize,
}

/// The first field; `None` if it goes on.
fn field(bytes: &[u8]) -> Result<Option<Field<'_>>, Status> {
    let Some((key, key_len)) = varint(bytes) else { return Ok(None) };
    let rest = bytes.get(key_len..).unwrap_or_default();
    let wire_type = WireType::try_from(key & 7).map_err(|_| malformed())?;
    let (skipped, length) = match wire_type {
        WireType::LengthDelimited => {
            let Some((length, len_len)) = varint(rest) else { return Ok(None) };
            (len_len, usize::try_from(length).map_err(|_| malformed())?)
        }
        WireType::Varint => {
            let Some((_, length)) = varint(rest) else { return Ok(None) };
            (0, length)
        }
        WireType::ThirtyTwoBit => (0, 4),
        WireType::SixtyFourBit => (0, 8),
        WireType::StartGroup | WireType::EndGroup => return Err(malformed()),
    };
    let value = rest.get(skipped..).and_then(|rest| rest.get(..length));
    Ok(value.map(|value| Field { number: key >> 3, value, length: key_len + skipped + length }))
}

/// A number and how many bytes it takes; `None` if it goes on.
fn varint(bytes: &[u8]) -> Option<(u64, usize)> {
    let mut number = 0;
    for (index, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((number, index + 1));
        }
    }
    None
}

fn text(bytes: &[u8]) -> Result<&str, Status> {
    std::str::from_utf8(bytes).map_err(|_| malformed())
}

fn malformed() -> Status {
    Status::internal("a response cannot be read")
}

/// A message as it goes over the wire.
pub(crate) fn framed(message: &impl Message, more: &[u8]) -> bytes::Bytes {
    let length = message.encoded_len() + more.len();
    let mut bytes = Vec::with_capacity(HEADER + length);
    bytes.push(0);
    bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes());
    // A vector has room for all.
    let _ = message.encode(&mut bytes);
    bytes.extend_from_slice(more);
    bytes.into()
}
