//! Accept loops. Connections come as a stream of anything that reads and writes, so that TLS can stand in front.

use std::future::Future;
use std::net::SocketAddr;

use axum::Router;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::Server;
use tonic::transport::server::{Connected, TcpIncoming};

use crate::Ads;

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// gRPC could not be served.
    #[error("serving gRPC failed")]
    Grpc(#[source] tonic::transport::Error),
    /// HTTP could not be served.
    #[error("serving HTTP failed")]
    Http(#[source] std::io::Error),
}

/// Serves ADS in plain text until `stop` is done; then streams end and connections close.
pub async fn serve_ads(
    listener: TcpListener,
    ads: Ads,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    serve_ads_over(incoming, ads, stop).await
}

/// Serves ADS over connections that were made elsewhere. A connection that fails to come about is no reason to stop.
pub async fn serve_ads_over<I, IO, E>(
    incoming: I,
    ads: Ads,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError>
where
    I: Stream<Item = Result<IO, E>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
{
    let options = ads.options().clone();
    let mut server = Server::builder()
        .max_concurrent_streams(options.max_concurrent_streams)
        .http2_keepalive_interval(Some(options.keepalive_interval))
        .http2_keepalive_timeout(Some(options.keepalive_timeout));
    if let Some(age) = options.max_connection_age {
        server = server.max_connection_age(age).max_connection_age_grace(options.max_connection_age_grace);
    }
    let stopping = ads.clone();
    let stop = async move {
        stop.await;
        stopping.stop();
    };
    let incoming = incoming.filter(|connection| match connection {
        Ok(_) => true,
        Err(error) => {
            tracing::debug!(scope = "ads", "no connection: {error}");
            false
        }
    });
    server.add_service(ads).serve_with_incoming_shutdown(incoming, stop).await.map_err(ServeError::Grpc)
}

/// Serves HTTP until `stop` is done.
pub async fn serve_http(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(stop)
        .await
        .map_err(ServeError::Http)
}
