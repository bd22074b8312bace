//! Envoy's configuration stream, passed on unread: one stream to the control plane per stream of Envoy, state of the
//! world or delta. When one side ends so does the other, and Envoy begins anew. Where the agent answers questions for
//! names, their table travels on the same stream.

mod names;

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt as _};
use tonic::body::Body;
use tonic::client::Grpc as Client;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Service, http};
use tonic::server::{Grpc, NamedService, StreamingService};
use tonic::{Request, Response, Status, Streaming};

use crate::codec::RawCodec;
use crate::secrets::Current;
use crate::settings::ControlPlane;
use crate::upstream::full_reason;

use names::Taken;

pub(crate) use names::Names;

type Responses = Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;
pub(crate) type BoxFuture<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

/// The service at the socket of ADS.
#[derive(Clone)]
pub(crate) struct Relay(Arc<Shared>);

struct Shared {
    control_plane: ControlPlane,
    secrets: Current,
    names: Option<Names>,
}

impl Relay {
    pub(crate) fn new(control_plane: ControlPlane, secrets: Current, names: Option<Names>) -> Self {
        Self(Arc::new(Shared { control_plane, secrets, names }))
    }
}

impl Shared {
    async fn open(
        &self,
        path: PathAndQuery,
        mut incoming: Streaming<Bytes>,
    ) -> Result<Response<Responses>, Status> {
        // Without a certificate Envoy could not speak to anyone anyway, and it may be the credential.
        let mut secrets = self.secrets.clone();
        let secrets = match secrets.wait_for(Option::is_some).await {
            Ok(secrets) => secrets.clone(),
            Err(_) => return Err(Status::unavailable("the agent is stopping")),
        };
        let address = &self.control_plane.discovery;
        let connected = self.control_plane.connect(address, secrets.as_deref()).await.map_err(|error| {
            let reason = full_reason(&error);
            tracing::warn!("{reason}");
            Status::unavailable(reason)
        })?;
        let (forward, outgoing) = mpsc::channel(16);
        let is_delta = path.path().ends_with("/DeltaAggregatedResources");
        let names = self.names.clone().map(|names| Arc::new(names::OnStream::new(names, is_delta)));
        let asks = names.clone();
        // Held by whoever may have something to acknowledge; the stream ends with Envoy's side all the same.
        let acknowledge = forward.downgrade();
        tokio::spawn(async move {
            while let Some(Ok(message)) = incoming.next().await {
                let more = asks.as_ref().and_then(|names| names.behind(&message));
                for message in [Some(message), more].into_iter().flatten() {
                    if forward.send(message).await.is_err() {
                        return;
                    }
                }
            }
        });
        let mut request = Request::new(ReceiverStream::new(outgoing));
        connected.credentials(request.metadata_mut());
        let mut grpc = Client::new(connected.channel).max_decoding_message_size(usize::MAX);
        grpc.ready().await.map_err(|error| Status::unavailable(full_reason(&error)))?;
        let response = grpc.streaming(request, path, RawCodec).await;
        match response {
            Ok(response) => {
                tracing::info!("configuration stream open to {address}");
                let responses = response.into_inner();
                let Some(names) = names else { return Ok(Response::new(Box::pin(responses))) };
                Ok(Response::new(Box::pin(responses.filter_map(move |response| {
                    match response.as_ref().map_or(Taken::No, |bytes| names.take(bytes)) {
                        Taken::No => return Some(response),
                        Taken::Ignored => {}
                        Taken::Used(answer) => {
                            if let Some(forward) = acknowledge.upgrade() {
                                tokio::spawn(async move { forward.send(answer).await });
                            }
                        }
                    }
                    None
                }))))
            }
            Err(status) => {
                let (message, code) = (status.message(), status.code());
                tracing::warn!("the control plane refuses the configuration stream: {message} ({code:?})");
                Err(status)
            }
        }
    }
}

impl NamedService for Relay {
    const NAME: &'static str = "envoy.service.discovery.v3.AggregatedDiscoveryService";
}

impl Service<http::Request<Body>> for Relay {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let path = match request.uri().path().rsplit('/').next() {
            Some("StreamAggregatedResources") => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources"
            }
            Some("DeltaAggregatedResources") => {
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            }
            _ => return Box::pin(async { Ok(Status::unimplemented("no such method").into_http()) }),
        };
        let method = Method(Arc::clone(&self.0), PathAndQuery::from_static(path));
        Box::pin(async move {
            let mut grpc = Grpc::new(RawCodec).apply_max_message_size_config(Some(usize::MAX), None);
            Ok(grpc.streaming(method, request).await)
        })
    }
}

struct Method(Arc<Shared>, PathAndQuery);

impl StreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = Responses;
    type Future = BoxFuture<Response<Self::ResponseStream>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        let (shared, path) = (Arc::clone(&self.0), self.1.clone());
        Box::pin(async move { shared.open(path, request.into_inner()).await })
    }
}
