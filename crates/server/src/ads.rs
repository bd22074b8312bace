//! `envoy.service.discovery.v3.AggregatedDiscoveryService`, both methods, by hand: responses carry resources as bytes
//! that all proxies of a class share, which generated code cannot.

mod debug;
mod stream;
mod wire;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use crate::admission::Admission;
use crate::caller::{Credentials, Gate};
use crate::listen::Leaving;
use crate::{AdsOptions, Connections, Debug, Discovery, Metrics};
use debug::DebugTypes;
use stream::{Proof, Visitor};
use wire::{Delta, Sotw, Wire};

type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The service.
#[derive(Clone)]
pub struct Ads(Arc<Shared>, Option<Arc<Gate>>);

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
    /// Serves what `discovery` knows. Debug types are refused: nobody here can prove who they are.
    pub fn new(
        discovery: Arc<dyn Discovery>,
        connections: Arc<Connections>,
        metrics: Metrics,
        options: AdsOptions,
    ) -> Self {
        Self::build(discovery, connections, metrics, options, None)
    }

    /// Also serves debug pages, to everybody who gets through to these streams. `identifier` is what this replica
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
        Self(
            Arc::new(Shared {
                discovery,
                connections,
                metrics,
                options,
                throttle,
                debug,
                admission,
                stopping: AtomicBool::new(false),
            }),
            None,
        )
    }

    /// The same streams behind a gate: whoever comes through here has proved who they are.
    pub fn behind(&self, gate: Arc<Gate>) -> Self {
        Self(Arc::clone(&self.0), Some(gate))
    }

    /// The settings.
    pub fn options(&self) -> &AdsOptions {
        &self.0.options
    }

    /// Lets no new stream in. Those there are end with their connections.
    pub fn stop(&self) {
        self.0.stopping.store(true, Ordering::Release);
    }

    async fn admit(&self) -> Result<(), Status> {
        if self.0.stopping.load(Ordering::Acquire) {
            return Err(stream::stopping_status());
        }
        if !self.0.discovery.is_ready() {
            return Err(Status::unavailable("the control plane has not read all configuration yet"));
        }
        if !self.0.admission.admit().await {
            return Err(Status::resource_exhausted("too many new streams, try again"));
        }
        Ok(())
    }

    fn serve<W: Wire>(&self, request: http::Request<Body>) -> BoxFuture<http::Response<Body>, Infallible> {
        let limit = self.0.options.max_request_bytes;
        let method = Method::<W>(self.clone(), std::marker::PhantomData);
        Box::pin(async move {
            let codec = ProstCodec::<W::Response, W::Request>::default();
            let mut grpc = Grpc::new(codec).apply_max_message_size_config(Some(limit), None);
            Ok(grpc.streaming(method, request).await)
        })
    }
}

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
            Some("StreamAggregatedResources") => self.serve::<Sotw>(request),
            Some("DeltaAggregatedResources") => self.serve::<Delta>(request),
            _ => Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
        }
    }
}

struct Method<W>(Ads, std::marker::PhantomData<W>);

impl<W: Wire> StreamingService<W::Request> for Method<W> {
    type Response = W::Response;
    type ResponseStream = ReceiverStream<Result<W::Response, Status>>;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<W::Request>>) -> Self::Future {
        let ads = self.0.clone();
        Box::pin(async move {
            ads.admit().await?;
            let credentials = Credentials::of_request(request.metadata(), request.extensions());
            let proof = match ads.1 {
                Some(gate) => Some(Proof { caller: gate.authenticate(&credentials).await?, gate }),
                None => None,
            };
            let visitor = Visitor { address: credentials.address, proof };
            let leaving = request.extensions().get::<Leaving>().cloned();
            let (outgoing, responses) = mpsc::channel(1);
            tokio::spawn(stream::run::<W>(ads.0, visitor, leaving, request.into_inner(), outgoing));
            Ok(Response::new(ReceiverStream::new(responses)))
        })
    }
}
