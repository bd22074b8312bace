//! The body of a stream of responses: each a gRPC frame, written as the client reads. Encoders of whole messages keep
//! the largest they ever wrote for as long as the stream lives, which for an Envoy is megabytes for weeks.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;
use tonic::Status;
use tonic::codegen::http::HeaderMap;

use super::progress::{Progress, STEP};
use super::unwritten::Unwritten;

/// Bytes that are written at once: the length of a frame of HTTP/2.
const CHUNK: usize = 16_384;

/// Responses as they come, then how it ended.
pub(super) struct Responses {
    stream: mpsc::Receiver<Result<Unwritten, Status>>,
    current: Unwritten,
    /// Goes next, as it is.
    large: Option<Bytes>,
    /// What was more than a frame holds, and begins the next one: a short frame costs as much as a full one.
    rest: BytesMut,
    /// Told of what is written.
    progress: Arc<Progress>,
    /// Bytes of the present step.
    n_bytes: usize,
    has_ended: bool,
}

impl Responses {
    pub(super) fn new(stream: mpsc::Receiver<Result<Unwritten, Status>>, progress: Arc<Progress>) -> Self {
        Self {
            stream,
            current: Unwritten::default(),
            large: None,
            rest: BytesMut::new(),
            progress,
            n_bytes: 0,
            has_ended: false,
        }
    }

    /// The next bytes of the present response; `None` when it is written.
    fn next_bytes(&mut self) -> Option<Bytes> {
        if let Some(large) = &mut self.large {
            return if large.len() > STEP { Some(large.split_to(STEP)) } else { self.large.take() };
        }
        let mut buffer = std::mem::take(&mut self.rest);
        self.large = self.current.write(CHUNK, &mut buffer);
        if buffer.is_empty() {
            return self.large.take();
        }
        if self.large.is_none() && buffer.len() > CHUNK {
            self.rest = buffer.get(CHUNK..).unwrap_or_default().into();
            buffer.truncate(CHUNK);
        }
        Some(buffer.freeze())
    }

    fn is_written(&self) -> bool {
        self.large.is_none() && self.rest.is_empty() && self.current.is_done()
    }

    /// The same bytes, of which it is noted when they have gone into the socket if they end a response or a step.
    /// Whoever asks for more may hold them for long: HTTP/2 is let write no more than the client has room for.
    fn watched(&mut self, bytes: Bytes) -> Bytes {
        self.n_bytes += bytes.len();
        let is_last = self.is_written();
        if !is_last && self.n_bytes < STEP {
            return bytes;
        }
        self.n_bytes = 0;
        Bytes::from_owner(Watched { bytes, is_last, progress: Arc::clone(&self.progress) })
    }
}

/// Bytes that are dropped when they are written.
struct Watched {
    bytes: Bytes,
    is_last: bool,
    progress: Arc<Progress>,
}

impl AsRef<[u8]> for Watched {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        if self.is_last { self.progress.ends() } else { self.progress.steps() }
    }
}

impl Body for Responses {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        if let Some(bytes) = this.next_bytes() {
            return Poll::Ready(Some(Ok(Frame::data(this.watched(bytes)))));
        }
        if this.has_ended {
            return Poll::Ready(None);
        }
        let ended = match ready!(this.stream.poll_recv(context)) {
            Some(Ok(response)) => {
                let length = response.whole_len();
                this.current = response;
                this.n_bytes = 0;
                let Ok(length) = u32::try_from(length) else {
                    return Poll::Ready(this.end(&Status::internal("a response is too long for a frame")));
                };
                // Not compressed.
                this.rest.put_u8(0);
                this.rest.put_u32(length);
                let bytes = this.next_bytes().unwrap_or_default();
                return Poll::Ready(Some(Ok(Frame::data(this.watched(bytes)))));
            }
            Some(Err(status)) => status,
            None => Status::ok(""),
        };
        Poll::Ready(this.end(&ended))
    }
}

impl Responses {
    fn end(&mut self, status: &Status) -> Option<Result<Frame<Bytes>, Infallible>> {
        self.has_ended = true;
        self.current = Unwritten::default();
        self.rest = BytesMut::new();
        let mut trailers = HeaderMap::new();
        // A message that fits no header is left out.
        if status.add_header(&mut trailers).is_err() {
            let _ = Status::new(status.code(), "").add_header(&mut trailers);
        }
        Some(Ok(Frame::trailers(trailers)))
    }
}
