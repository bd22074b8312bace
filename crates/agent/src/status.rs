//! The agent's own pages, those of pilot-agent's port 15020: readiness, which Envoy's port 15021 leads to, Envoy's
//! metrics, draining and stopping.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use tokio::sync::Notify;

use crate::admin;
use crate::secrets::Current;

/// What the pages know.
pub(crate) struct Status {
    /// Where Envoy's administration is; `None` without an Envoy.
    pub(crate) admin: Option<SocketAddr>,
    pub(crate) secrets: Current,
    /// Set when the agent is about to stop; it is not ready from then on.
    pub(crate) draining: AtomicBool,
    /// Somebody asks the agent to stop.
    pub(crate) stop: Notify,
}

type Page = (StatusCode, String);

pub(crate) fn router(status: Arc<Status>) -> Router {
    Router::new()
        .route("/healthz/ready", get(ready))
        .route("/stats/prometheus", get(stats))
        .route("/drain", post(drain))
        .route("/quitquitquit", post(quit))
        .with_state(status)
}

impl Status {
    /// Why traffic should not come yet; `None` when it should.
    pub(crate) async fn not_ready(&self) -> Option<String> {
        if self.draining.load(Ordering::Acquire) {
            return Some("draining".to_owned());
        }
        if self.secrets.borrow().is_none() {
            return Some("there is no workload certificate yet".to_owned());
        }
        match admin::get(self.admin?, "/ready").await {
            Ok(answer) if answer.status == 200 => None,
            Ok(answer) => Some(format!("Envoy is {}", String::from_utf8_lossy(&answer.body).trim())),
            Err(error) => Some(format!("Envoy does not answer: {error}")),
        }
    }
}

async fn ready(State(status): State<Arc<Status>>) -> Page {
    match status.not_ready().await {
        None => (StatusCode::OK, String::new()),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")),
    }
}

async fn stats(State(status): State<Arc<Status>>) -> Page {
    let Some(address) = status.admin else { return (StatusCode::NOT_FOUND, String::new()) };
    match admin::get(address, "/stats/prometheus").await {
        Ok(answer) => (StatusCode::OK, String::from_utf8_lossy(&answer.body).into_owned()),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")),
    }
}

async fn drain(State(status): State<Arc<Status>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Page {
    if !peer.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "only from this machine\n".to_owned());
    }
    status.draining.store(true, Ordering::Release);
    let Some(address) = status.admin else { return (StatusCode::OK, String::new()) };
    match admin::post(address, crate::envoy::DRAIN).await {
        Ok(_) => (StatusCode::OK, String::new()),
        Err(error) => (StatusCode::BAD_GATEWAY, format!("{error}\n")),
    }
}

async fn quit(State(status): State<Arc<Status>>, ConnectInfo(peer): ConnectInfo<SocketAddr>) -> Page {
    if !peer.ip().to_canonical().is_loopback() {
        return (StatusCode::FORBIDDEN, "only from this machine\n".to_owned());
    }
    status.stop.notify_one();
    (StatusCode::OK, "ok\n".to_owned())
}
