//! The two requests: a list, page by page, and a watch, line by line. Items stay raw text, so that one that cannot be
//! read does not spoil its neighbours.

use std::time::Duration;

use futures::{AsyncBufRead, AsyncBufReadExt as _};
use http::Request;
use kube::Client;
use kube::core::Status;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::fault::Fault;
use crate::place::Place;

/// Items asked for at once.
const PAGE: usize = 500;
/// A page that has not come by then will not come.
const LIST_LIMIT: Duration = Duration::from_mins(1);
/// After so many seconds the API server ends a watch, and it is begun again where it ended.
const WATCH_SECONDS: u32 = 290;
/// The API server sends a bookmark each minute at least; a stream that is silent for longer is dead.
const SILENCE: Duration = Duration::from_secs(130);

#[derive(Deserialize)]
struct Page<'a> {
    #[serde(default)]
    metadata: PageMetadata,
    #[serde(borrow)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PageMetadata {
    resource_version: String,
    #[serde(rename = "continue")]
    next: String,
}

/// One line of a watch.
#[derive(Deserialize)]
pub(crate) struct Line {
    #[serde(rename = "type")]
    pub(crate) event: String,
    pub(crate) object: Box<RawValue>,
}

/// Lists everything, page by page, so that the text of one page at most is held. Returns the version of it all.
pub(crate) async fn list(
    client: &Client,
    place: &Place,
    mut on_page: impl FnMut(&[&RawValue]) + Send,
) -> Result<String, Fault> {
    let mut next = String::new();
    loop {
        let mut path = format!("{}limit={PAGE}", place.path());
        if !next.is_empty() {
            path = format!("{path}&continue={next}");
        }
        let answer = tokio::time::timeout(LIST_LIMIT, client.request_text(get(&path)?))
            .await
            .map_err(|_| Fault::Failed(format!("no answer to a list within {LIST_LIMIT:?}")))??;
        let page: Page<'_> = serde_json::from_str(&answer)
            .map_err(|error| Fault::Failed(format!("the answer to a list is not one: {error}")))?;
        on_page(&page.items.unwrap_or_default());
        next = page.metadata.next;
        if next.is_empty() {
            return Ok(page.metadata.resource_version);
        }
    }
}

/// A running watch.
pub(crate) struct Watch<S> {
    stream: S,
    line: Vec<u8>,
}

/// Watches from a version on.
pub(crate) async fn watch(
    client: &Client,
    place: &Place,
    resource_version: &str,
) -> Result<Watch<impl AsyncBufRead + Unpin + use<>>, Fault> {
    let path = format!(
        "{}watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={resource_version}",
        place.path()
    );
    let stream = tokio::time::timeout(LIST_LIMIT, client.request_stream(get(&path)?))
        .await
        .map_err(|_| Fault::Failed(format!("no answer to a watch within {LIST_LIMIT:?}")))??;
    Ok(Watch { stream: Box::pin(stream), line: Vec::new() })
}

impl<S: AsyncBufRead + Unpin> Watch<S> {
    /// The next line; `None` when the stream has ended as it should.
    pub(crate) async fn next(&mut self) -> Result<Option<Line>, Fault> {
        self.line.clear();
        let n_bytes = tokio::time::timeout(SILENCE, self.stream.read_until(b'\n', &mut self.line))
            .await
            .map_err(|_| Fault::Failed(format!("a watch was silent for {SILENCE:?}")))?
            .map_err(|error| Fault::Failed(format!("a watch broke off: {error}")))?;
        // A line without its end is the torn last one.
        if n_bytes == 0 || self.line.last() != Some(&b'\n') {
            return Ok(None);
        }
        let line: Line = serde_json::from_slice(&self.line)
            .map_err(|error| Fault::Expired(format!("a line of a watch cannot be read: {error}")))?;
        if line.event == "ERROR" {
            let status: Status = serde_json::from_str(line.object.get()).unwrap_or_default();
            return Err(Fault::of_status(&status));
        }
        Ok(Some(line))
    }
}

fn get(path: &str) -> Result<Request<Vec<u8>>, Fault> {
    Request::get(path)
        // Compressed streams hold events back.
        .header(http::header::ACCEPT_ENCODING, "identity")
        .header(http::header::ACCEPT, "application/json")
        .body(Vec::new())
        .map_err(|error| Fault::Failed(format!("the request cannot be made: {error}")))
}
