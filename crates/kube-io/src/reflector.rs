//! One collection, listed and then watched for as long as the task lives. A watch that ends is begun again where it
//! ended; one whose version has expired is healed by a new list, and failures are answered by waiting longer.

use std::time::Duration;

use futures::AsyncBufRead;
use kube::Client;
use serde_json::value::RawValue;

use crate::decode::Head;
use crate::fault::Fault;
use crate::place::Place;
use crate::request::{Watch, list, watch};

/// The first pause after a failure; it doubles from one failure to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// What a collection does.
pub(crate) enum Event<'a> {
    /// A list begins; what was told of one that was not brought to its end counts for nothing.
    ListBegins,
    /// Some of the list.
    Page(&'a [&'a RawValue]),
    /// That was everything there is.
    Listed,
    /// An object is new or changed.
    Put(Head, Box<RawValue>),
    /// An object is gone.
    Removed(Head),
    /// Nothing can be learnt at present.
    Failed(String),
    /// It can be again.
    Recovered,
}

/// Follows a collection until the task is aborted.
pub(crate) async fn reflect(client: Client, place: Place, mut on_event: impl FnMut(Event<'_>) + Send) {
    let mut version: Option<String> = None;
    let mut pause = FIRST_PAUSE;
    let mut has_failed = false;
    loop {
        let outcome = match &mut version {
            Some(version) => follow(&client, &place, version, &mut has_failed, &mut on_event).await,
            None => {
                on_event(Event::ListBegins);
                match list(&client, &place, |page| on_event(Event::Page(page))).await {
                    Ok(listed) => {
                        on_event(Event::Listed);
                        version = Some(listed);
                        Ok(())
                    }
                    Err(fault) => Err(fault),
                }
            }
        };
        let Err(fault) = outcome else {
            pause = FIRST_PAUSE;
            continue;
        };
        tracing::debug!("{}: {}", place.plural, fault.message());
        match fault {
            // A version that has expired is the way of the world, and a list heals it; but not in a hot loop.
            Fault::Expired(_) => version = None,
            Fault::Failed(message) => {
                has_failed = true;
                on_event(Event::Failed(message));
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Watches until the stream ends. `version` moves with what was taken in.
async fn follow(
    client: &Client,
    place: &Place,
    version: &mut String,
    has_failed: &mut bool,
    on_event: &mut (impl FnMut(Event<'_>) + Send),
) -> Result<(), Fault> {
    let mut stream: Watch<_> = watch(client, place, version).await?;
    if std::mem::take(has_failed) {
        on_event(Event::Recovered);
    }
    let started = tokio::time::Instant::now();
    while take_in(&mut stream, version, on_event).await? {}
    // An API server that ends each stream at once must not be asked without a pause.
    if started.elapsed() < Duration::from_secs(1) {
        return Err(Fault::Failed("the watch ended as soon as it began".to_owned()));
    }
    Ok(())
}

async fn take_in(
    stream: &mut Watch<impl AsyncBufRead + Unpin>,
    version: &mut String,
    on_event: &mut (impl FnMut(Event<'_>) + Send),
) -> Result<bool, Fault> {
    let Some(line) = stream.next().await? else { return Ok(false) };
    let head = Head::read(&line.object);
    if !head.metadata.resource_version.is_empty() {
        version.clone_from(&head.metadata.resource_version);
    }
    match line.event.as_str() {
        "ADDED" | "MODIFIED" => on_event(Event::Put(head, line.object)),
        "DELETED" => on_event(Event::Removed(head)),
        // Bookmarks move the version and nothing else.
        _ => {}
    }
    Ok(true)
}
