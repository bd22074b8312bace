//! Readiness and liveness on 8080; metrics, version and debug pages on 15014 (platform specification, 1.2 and 4.1).

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::runtime::Handle;

use crate::debug::{Debug, router};
use crate::{Discovery, Metrics};

/// What this build calls itself; shown as `version-revision-status`.
#[derive(Clone, Debug)]
pub struct Version {
    /// `x.y.z`
    pub version: String,
    /// Commit it was built from.
    pub revision: String,
    /// `Clean` or `Modified`
    pub status: String,
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}-{}", self.version, self.revision, self.status)
    }
}

/// `/ready` and `/livez` (200 or 503, always empty) and, where `debug` is given, `/debug`.
pub fn readiness_router(discovery: Arc<dyn Discovery>, debug: Option<Arc<Debug>>) -> Router {
    let status = |is_well: bool| if is_well { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let live = Arc::clone(&discovery);
    let routes = Router::new()
        .route("/ready", get(move || async move { status(discovery.is_ready()) }))
        .route("/livez", get(move || async move { status(live.is_live()) }));
    match debug {
        Some(debug) => routes.merge(router(debug)),
        None => routes,
    }
}

/// `/metrics`, `/version` and `/debug`.
pub fn monitoring_router(metrics: Metrics, version: Version, debug: Arc<Debug>) -> Router {
    let version = version.to_string();
    let metrics = move || async move {
        metrics.has_tasks(Handle::current().metrics().num_alive_tasks());
        match metrics.text() {
            Ok(text) => {
                ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
            }
            Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        }
    };
    Router::new()
        .route("/metrics", get(metrics))
        .route("/version", get(move || async move { version.clone() }))
        .merge(router(debug))
}
