//! `envoy.service.discovery.v3.AggregatedDiscoveryService`, both methods, by hand: responses carry resources as bytes
//! that all proxies of a class share, which generated code cannot.

mod body;
mod debug;
mod progress;
mod requests;
mod stream;
mod unwritten;
mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{Semaphore, mpsc};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::metadata::MetadataMap;
use tonic::server::NamedService;

use crate::admission::Admission;
use crate::caller::{Credentials, Gate};
use crate::listen::Leaving;
use crate::{AdsOptions, Connections, Debug, Discovery, Metrics, Workloads};
use body::Responses;
use debug::DebugTypes;
use progress::Progress;
use requests::Requests;
use stream::{Outgoing, Proof, Visitor};
use wire::{Delta, Sotw, Wire};

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The service.
#[derive(Clone)]
pub struct Ads {
    shared: Arc<Shared>,
    gate: Option<Arc<Gate>>,
    workloads: Option<Arc<dyn Workloads>>,
}

/// What all streams share.
pub(crate) struct Shared {
    pub(crate) discovery: Arc<dyn Discovery>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) metrics: Metrics,
    pub(crate) options: AdsOptions,
    pub(crate) throttle: Semaphore,
    debug: Option<DebugTypes>,
    admission: Admission,
    stopping: AtomicBool,
}

impl Ads {
    /// Serves what `discovery` knows. Debug types are refused.
    pub fn new(
        discovery: Arc<dyn Discovery>,
        connections: Arc<Connections>,
        metrics: Metrics,
        options: AdsOptions,
    ) -> Self {
        Self::build(discovery, connections, metrics, options, None)
    }

    /// Also serves debug pages, to those who come through a gate and may see them. `identifier` is what this replica
    /// calls itself: JSON as `istioctl` reads it.
    pub fn with_debug_types(
        discovery: Arc<dyn Discovery>,
        connections: Arc<Connections>,
        metrics: Metrics,
        options: AdsOptions,
        pages: Arc<Debug>,
        identifier: String,
    ) -> Self {
        Self::build(discovery, connections, metrics, options, Some(DebugTypes { pages, identifier }))
    }

    fn build(
        discovery: Arc<dyn Discovery>,
        connections: Arc<Connections>,
        metrics: Metrics,
        options: AdsOptions,
        debug: Option<DebugTypes>,
    ) -> Self {
        let admission = Admission::new(options.max_streams_per_second);
        let throttle = Semaphore::new(options.push_throttle.max(1));
        let shared = Shared {
            discovery,
            connections,
            metrics,
            options,
            throttle,
            debug,
            admission,
            stopping: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared), gate: None, workloads: None }
    }

    /// The same streams behind a gate: whoever comes through here has proved who they are.
    pub fn behind(&self, gate: Arc<Gate>) -> Self {
        Self { gate: Some(gate), ..self.clone() }
    }

    /// Tells of proxies that come and go, and turns away whom that refuses.
    #[must_use]
    pub fn with_workloads(self, workloads: Arc<dyn Workloads>) -> Self {
        Self { workloads: Some(workloads), ..self }
    }

    /// The settings.
    pub fn options(&self) -> &AdsOptions {
        &self.shared.options
    }

    /// Lets no new stream in. Those there are end with their connections.
    pub fn stop(&self) {
        self.shared.stopping.store(true, Ordering::Release);
    }

    async fn admit(&self) -> Result<(), Status> {
        if self.shared.stopping.load(Ordering::Acquire) {
            return Err(stream::stopping_status());
        }
        if !self.shared.discovery.is_ready() {
            return Err(Status::unavailable("the control plane has not read all configuration yet"));
        }
        if !self.shared.admission.admit().await {
            return Err(Status::resource_exhausted("too many new streams, try again"));
        }
        Ok(())
    }

    async fn serve<W: Wire>(self, request: http::Request<Body>) -> http::Response<Body> {
        let (parts, body) = request.into_parts();
        if parts.headers.get(ENCODING).is_some_and(|encoding| encoding != "identity") {
            return Status::unimplemented("compressed requests are not read here").into_http();
        }
        let incoming = Requests::new(body, self.shared.options.max_request_bytes);
        match self.open::<W>(&MetadataMap::from_headers(parts.headers), &parts.extensions, incoming).await {
            Ok(responses) => {
                let mut response = http::Response::new(Body::new(responses));
                let grpc = http::HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
                response
            }
            Err(status) => status.into_http(),
        }
    }

    /// Lets a stream in, or says why not.
    async fn open<W: Wire>(
        self,
        metadata: &MetadataMap,
        extensions: &http::Extensions,
        incoming: Requests<W::Request>,
    ) -> Result<Responses, Status> {
        self.admit().await?;
        let credentials = Credentials::of_request(metadata, extensions);
        let proof = match self.gate {
            Some(gate) => Some(Proof { caller: gate.authenticate(&credentials).await?, gate }),
            None => None,
        };
        let visitor = Visitor { address: credentials.address, proof, workloads: self.workloads };
        let leaving = extensions.get::<Leaving>().cloned();
        let (outgoing, responses) = mpsc::channel(1);
        let progress = Arc::new(Progress::new(self.shared.options.write_timeout));
        let outgoing = Outgoing { responses: outgoing, progress: Arc::clone(&progress) };
        tokio::spawn(stream::run::<W>(self.shared, visitor, leaving, incoming, outgoing));
        Ok(Responses::new(responses, progress))
    }
}

/// How a request says that its messages are compressed.
const ENCODING: &str = "grpc-encoding";

impl NamedService for Ads {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl Service<http::Request<Body>> for Ads {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match request.uri().path().rsplit('/').next() {
            Some("StreamAggregatedResources") => {
                let answer = self.clone().serve::<Sotw>(request);
                Box::pin(async { Ok(answer.await) })
            }
            Some("DeltaAggregatedResources") => {
                let answer = self.clone().serve::<Delta>(request);
                Box::pin(async { Ok(answer.await) })
            }
            _ => Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
        }
    }
}
