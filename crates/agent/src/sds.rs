//! `envoy.service.secret.v3.SecretDiscoveryService` at a Unix socket: `default`, `ROOTCA`, and files by `file-cert:` and
//! `file-root:` (platform specification, 5.3). A name whose secret is not there yet is answered when it is, and again
//! whenever it changes.

mod names;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use proto::envoy::discovery::{DeltaDiscoveryRequest, DiscoveryRequest};
use proto::raw::{RawDeltaDiscoveryResponse, RawDiscoveryResponse, RawResource};
use proto::type_url;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::relay::BoxFuture;
use crate::secrets::Current;

/// How often files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// The service.
#[derive(Clone)]
pub(crate) struct Sds(Current);

impl Sds {
    pub(crate) fn new(secrets: Current) -> Self {
        Self(secrets)
    }
}

impl NamedService for Sds {
    const NAME: &'static str = "envoy.service.secret.v3.SecretDiscoveryService";
}

impl Service<http::Request<Body>> for Sds {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let secrets = self.0.clone();
        match request.uri().path().rsplit('/').next() {
            Some("StreamSecrets") => Box::pin(async move {
                let codec = ProstCodec::<RawDiscoveryResponse, DiscoveryRequest>::default();
                Ok(Grpc::new(codec).streaming(Sotw(secrets), request).await)
            }),
            Some("DeltaSecrets") => Box::pin(async move {
                let codec = ProstCodec::<RawDeltaDiscoveryResponse, DeltaDiscoveryRequest>::default();
                Ok(Grpc::new(codec).streaming(Delta(secrets), request).await)
            }),
            _ => Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
        }
    }
}

/// What one stream has asked for and was sent.
#[derive(Default)]
struct Subscription {
    /// By name: what was sent last.
    sent: BTreeMap<String, Option<Bytes>>,
    nonce: u64,
}

impl Subscription {
    /// Names whose secrets are there and are not what was sent, with these.
    fn changes(&mut self, secrets: &Current) -> Vec<(String, Bytes)> {
        let current = secrets.borrow().clone();
        let mut changed = Vec::new();
        for (name, sent) in &mut self.sent {
            match names::secret(name, current.as_deref()) {
                Ok(Some(secret)) => {
                    let body = proto::pack::encoded_any(&secret);
                    if sent.as_ref() != Some(&body) {
                        *sent = Some(body.clone());
                        changed.push((name.clone(), body));
                    }
                }
                Ok(None) => {}
                Err(problem) => tracing::warn!("secret {name:?} cannot be served: {problem}"),
            }
        }
        changed
    }

    fn reads_files(&self) -> bool {
        self.sent.keys().any(|name| name.starts_with("file-"))
    }

    fn next_nonce(&mut self) -> String {
        self.nonce += 1;
        self.nonce.to_string()
    }
}

/// Waits for the next reason to look: other secrets, or a tick where files are served.
async fn moved(secrets: &mut Current, ticks: &mut tokio::time::Interval, reads_files: bool) -> bool {
    tokio::select! {
        changed = secrets.changed() => changed.is_ok(),
        _ = ticks.tick(), if reads_files => true,
    }
}

fn ticks() -> tokio::time::Interval {
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

fn told(code: i32, message: &str) {
    tracing::warn!("Envoy refuses a secret: {message} (code {code})");
}

struct Sotw(Current);

impl StreamingService<DiscoveryRequest> for Sotw {
    type Response = RawDiscoveryResponse;
    type ResponseStream = ReceiverStream<Result<RawDiscoveryResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<DiscoveryRequest>>) -> Self::Future {
        let (out, responses) = mpsc::channel(4);
        tokio::spawn(run_sotw(self.0.clone(), request.into_inner(), out));
        Box::pin(async { Ok(Response::new(ReceiverStream::new(responses))) })
    }
}

async fn run_sotw(
    mut secrets: Current,
    mut incoming: Streaming<DiscoveryRequest>,
    out: mpsc::Sender<Result<RawDiscoveryResponse, Status>>,
) {
    let mut subscription = Subscription::default();
    let mut ticks = ticks();
    loop {
        let reads_files = subscription.reads_files();
        tokio::select! {
            request = incoming.next() => {
                let Some(Ok(request)) = request else { return };
                if let Some(error) = &request.error_detail {
                    told(error.code, &error.message);
                }
                let sent = std::mem::take(&mut subscription.sent);
                for name in request.resource_names {
                    let before = sent.get(&name).cloned().flatten();
                    subscription.sent.insert(name, before);
                }
            }
            goes_on = moved(&mut secrets, &mut ticks, reads_files) => if !goes_on { return },
        }
        let changed = subscription.changes(&secrets);
        if changed.is_empty() {
            continue;
        }
        let nonce = subscription.next_nonce();
        let response = RawDiscoveryResponse {
            version_info: nonce.clone(),
            resources: changed.into_iter().map(|(_, body)| body).collect(),
            type_url: type_url::SECRET.to_owned(),
            nonce,
            control_plane: None,
        };
        if out.send(Ok(response)).await.is_err() {
            return;
        }
    }
}

struct Delta(Current);

impl StreamingService<DeltaDiscoveryRequest> for Delta {
    type Response = RawDeltaDiscoveryResponse;
    type ResponseStream = ReceiverStream<Result<RawDeltaDiscoveryResponse, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<DeltaDiscoveryRequest>>) -> Self::Future {
        let (out, responses) = mpsc::channel(4);
        tokio::spawn(run_delta(self.0.clone(), request.into_inner(), out));
        Box::pin(async { Ok(Response::new(ReceiverStream::new(responses))) })
    }
}

async fn run_delta(
    mut secrets: Current,
    mut incoming: Streaming<DeltaDiscoveryRequest>,
    out: mpsc::Sender<Result<RawDeltaDiscoveryResponse, Status>>,
) {
    let mut subscription = Subscription::default();
    let mut ticks = ticks();
    loop {
        let reads_files = subscription.reads_files();
        tokio::select! {
            request = incoming.next() => {
                let Some(Ok(request)) = request else { return };
                if let Some(error) = &request.error_detail {
                    told(error.code, &error.message);
                }
                for name in request.resource_names_subscribe {
                    subscription.sent.insert(name, None);
                }
                for name in request.resource_names_unsubscribe {
                    subscription.sent.remove(&name);
                }
            }
            goes_on = moved(&mut secrets, &mut ticks, reads_files) => if !goes_on { return },
        }
        let changed = subscription.changes(&secrets);
        if changed.is_empty() {
            continue;
        }
        let nonce = subscription.next_nonce();
        let resource = |(name, resource)| RawResource { version: nonce.clone(), resource, name };
        let response = RawDeltaDiscoveryResponse {
            system_version_info: nonce.clone(),
            resources: changed.into_iter().map(resource).collect(),
            type_url: type_url::SECRET.to_owned(),
            nonce,
            ..RawDeltaDiscoveryResponse::default()
        };
        if out.send(Ok(response)).await.is_err() {
            return;
        }
    }
}
