//! The body of a stream of requests: gRPC frames, read one after the other. The reader of whole messages that comes with
//! gRPC keeps room for the largest it ever read, and a proxy that comes back to a large mesh names all that it has.

use std::marker::PhantomData;
use std::pin::Pin;

use bytes::{Buf, BytesMut};
use hyper::body::Body as _;
use prost::{DecodeError, Message};
use tonic::Status;
use tonic::body::Body;

/// A byte that says whether the message is compressed, and its length.
const HEADER: usize = 5;

/// Requests as they come.
pub(crate) struct Requests<M> {
    body: Body,
    /// What was read and is no whole message yet.
    unread: BytesMut,
    limit: usize,
    message: PhantomData<fn() -> M>,
}

impl<M: Message + Default> Requests<M> {
    /// Reads messages of at most `limit` bytes.
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self { body, unread: BytesMut::new(), limit, message: PhantomData }
    }

    /// The next message, of which only what `P` knows is read; it comes again with the next call. `None` when the client
    /// has sent its last.
    pub(super) async fn peek<P: Message + Default>(&mut self) -> Result<Option<P>, Status> {
        while self.next_length()?.is_none() {
            if !self.read().await? {
                return Ok(None);
            }
        }
        let Some(length) = self.next_length()? else { return Ok(None) };
        let bytes = self.unread.get(HEADER..HEADER + length).unwrap_or_default();
        P::decode(bytes).map(Some).map_err(unreadable)
    }

    /// The next message; `None` when the client has sent its last. May be dropped and called again: nothing is lost.
    pub(crate) async fn message(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = self.take()? {
                return Ok(Some(message));
            }
            if !self.read().await? {
                return Ok(None);
            }
        }
    }

    /// Reads on; false when the client has sent its last.
    async fn read(&mut self) -> Result<bool, Status> {
        let frame = std::future::poll_fn(|context| Pin::new(&mut self.body).poll_frame(context)).await;
        match frame.transpose()? {
            // Trailers say nothing here.
            Some(frame) => {
                if let Ok(data) = frame.into_data() {
                    self.unread.extend_from_slice(&data);
                }
                Ok(true)
            }
            None if self.unread.is_empty() => Ok(false),
            None => Err(Status::internal("the stream of requests ends within a message")),
        }
    }

    /// The length of the next message, if all of it was read.
    fn next_length(&self) -> Result<Option<usize>, Status> {
        let Some((&[is_compressed, a, b, c, d], rest)) = self.unread.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        if is_compressed != 0 {
            return Err(Status::unimplemented("compressed requests are not read here"));
        }
        let length = u32::from_be_bytes([a, b, c, d]);
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.limit {
            return Err(Status::out_of_range(format!(
                "a request of {length} bytes is too long, the limit is {} bytes",
                self.limit
            )));
        }
        Ok((rest.len() >= length).then_some(length))
    }

    fn take(&mut self) -> Result<Option<M>, Status> {
        let Some(length) = self.next_length()? else { return Ok(None) };
        let bytes = self.unread.get(HEADER..HEADER + length).unwrap_or_default();
        let message = M::decode(bytes).map_err(unreadable)?;
        self.unread.advance(HEADER + length);
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
        Ok(Some(message))
    }
}

fn unreadable(error: DecodeError) -> Status {
    Status::internal(format!("a request cannot be read: {error}"))
}
