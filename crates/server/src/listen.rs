//! Accept loops. Connections come as a stream of anything that reads and writes, so that TLS can stand in front.
//!
//! Connections of gRPC go gently: past their age, each a little earlier or later than the next, and at a stop, one
//! after the other, they are told to go away, their streams end between two pushes, and what is left after a time of
//! grace is cut off (platform specification, 1.1 and 1.3).

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use hyper::server::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::service::Routes;
use tonic::transport::server::{Connected, TcpIncoming};

use crate::spread::{age, departure};
use crate::{Ads, AdsOptions, Certificates, TlsIncoming, TlsPeer};

/// How many bytes of responses wait for one client to read them. With the default of 400 kB a thousand clients that
/// come at the same time would hold 400 MB.
const MAX_UNREAD: usize = 64 * 1024;

/// How many bytes of a stream's requests wait to be looked at: what HTTP/2 begins with where nobody says anything.
const REQUEST_WINDOW: u32 = 65_535;

/// Why serving ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// HTTP could not be served.
    #[error("serving HTTP failed")]
    Http(#[source] std::io::Error),
}

/// In the extensions of every request of gRPC: tells its streams when their connection has to go, and lets them end it.
#[derive(Clone, Debug)]
pub(crate) struct Leaving {
    leaving: watch::Receiver<bool>,
    cut: Arc<Notify>,
}

impl Leaving {
    /// Waits until the connection has to go.
    pub(crate) async fn wait(&mut self) {
        // An error means that the connection is gone, which is the same.
        let _ = self.leaving.wait_for(|leaving| *leaving).await;
    }

    /// Ends the connection at once, with all that waits to be read from it.
    pub(crate) fn cut(&self) {
        self.cut.notify_one();
    }
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

/// Serves ADS over connections that were made elsewhere.
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
    let stopping = ads.clone();
    let stop = async move {
        stop.await;
        stopping.stop();
    };
    serve_grpc_over(incoming, ads, &options, stop).await;
    Ok(())
}

/// Serves ADS, and certificates where they are signed here, over TLS until `stop` is done.
pub async fn serve_secure(
    incoming: TlsIncoming,
    ads: Ads,
    certificates: Option<Certificates>,
    stop: impl Future<Output = ()>,
) -> Result<(), ServeError> {
    let options = ads.options().clone();
    let stopping = ads.clone();
    let stop = async move {
        stop.await;
        stopping.stop();
    };
    let mut routes = Routes::new(ads);
    if let Some(certificates) = certificates {
        routes = routes.add_service(certificates);
    }
    serve_grpc_over(incoming, routes, &options, stop).await;
    Ok(())
}

/// Serves a gRPC service, or `tonic`'s routes to several, over connections that were made elsewhere. A connection that
/// fails to come about is no reason to stop. Returns when every connection has gone; dropped before that it cuts off
/// those that are left.
pub async fn serve_grpc_over<I, IO, E, S>(
    incoming: I,
    service: S,
    options: &AdsOptions,
    stop: impl Future<Output = ()>,
) where
    I: Stream<Item = Result<IO, E>>,
    IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S: Clone + Send + 'static,
    S::Future: Send + 'static,
{
    let mut connections = JoinSet::new();
    let (drain, draining) = watch::channel(None);
    {
        // Dropped with the scope, so that the port is free while connections go.
        let mut incoming = pin!(incoming);
        let mut stop = pin!(stop);
        let mut number = 0;
        loop {
            let io = tokio::select! {
                () = &mut stop => break,
                Some(_) = connections.join_next() => continue,
                io = incoming.next() => io,
            };
            match io {
                Some(Ok(io)) => {
                    number += 1;
                    let connection =
                        Connection { number, options: options.clone(), draining: draining.clone() };
                    connections.spawn(connection.serve(io, service.clone()));
                }
                Some(Err(error)) => tracing::debug!(scope = "ads", "no connection: {error}"),
                None => break,
            }
        }
    }
    drain.send_replace(Some(connections.len()));
    while connections.join_next().await.is_some() {}
}

/// One connection, from the moment it was accepted.
struct Connection {
    number: u64,
    options: AdsOptions,
    /// How many connections are open at the stop, once it has begun.
    draining: watch::Receiver<Option<usize>>,
}

impl Connection {
    async fn serve<IO, S>(mut self, io: IO, service: S)
    where
        IO: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
        S: Clone + Send + 'static,
        S::Future: Send + 'static,
    {
        let (leave, leaving) = watch::channel(false);
        let cut = Arc::new(Notify::new());
        let leaving = Leaving { leaving, cut: Arc::clone(&cut) };
        let peer = io.connect_info();
        let answer = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
            let mut request = request.map(Body::new);
            request.extensions_mut().insert(peer.clone());
            request.extensions_mut().insert(leaving.clone());
            service.clone().call(request)
        });
        let accepted = Instant::now();
        let mut connection = pin!(self.builder().serve_connection(TokioIo::new(io), answer));
        tokio::select! {
            // Broken off or refused: whoever was there knows.
            _ = connection.as_mut() => return,
            () = cut.notified() => return,
            () = self.turn(accepted) => {}
        }
        leave.send_replace(true);
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            _ = timeout(self.options.max_connection_age_grace, connection) => {}
            () = cut.notified() => {}
        }
    }

    /// Waits until this connection has to go.
    async fn turn(&mut self, accepted: Instant) {
        let grown_old = async {
            match self.options.max_connection_age {
                Some(limit) => sleep_until(accepted + age(limit, self.number)).await,
                None => std::future::pending().await,
            }
        };
        let stopped = async {
            // An error means that the server is gone: at once.
            let n_open = self.draining.wait_for(Option::is_some).await.map_or(0, |n| n.unwrap_or_default());
            sleep(departure(self.options.drain, n_open, self.number)).await;
        };
        tokio::select! {
            () = grown_old => {}
            () = stopped => {}
        }
    }

    fn builder(&self) -> Builder<TokioExecutor> {
        let mut builder = Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.options.max_concurrent_streams)
            .keep_alive_interval(self.options.keepalive_interval)
            .keep_alive_timeout(self.options.keepalive_timeout)
            .initial_stream_window_size(REQUEST_WINDOW)
            .max_send_buf_size(MAX_UNREAD);
        builder
    }
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

/// Serves HTTP over TLS until `stop` is done. Handlers find who calls in `ConnectInfo<TlsPeer>`.
pub async fn serve_https(
    incoming: TlsIncoming,
    router: Router,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    axum::serve(incoming, router.into_make_service_with_connect_info::<TlsPeer>())
        .with_graceful_shutdown(stop)
        .await
        .map_err(ServeError::Http)
}
