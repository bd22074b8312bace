//! `/inject` over HTTP: checks the request, bounds its size and how many are worked on at once, and leaves the answer
//! to `inject` (platform specification, 6.1). Metrics `sidecar_injection_*` as the specification's section 3 has them.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use inject::{Injector, Outcome};
use prometheus::{Histogram, HistogramOpts, IntCounter, Registry};
use tokio::sync::Semaphore;

/// Twice what the API server can store, and as much again.
const MAX_BODY: usize = 6 * 1024 * 1024;
/// Reviews that are worked on at the same time; more wait for their turn.
const AT_ONCE: usize = 8;
/// Seconds, in the buckets of istiod.
const TIME: &[f64] = &[0.1, 1.0, 3.0, 5.0, 10.0, 20.0, 30.0, 60.0];

/// Who knows the injector.
pub trait Injectors: Send + Sync + 'static {
    /// The injector now; nothing while it is not known.
    fn injector(&self) -> Option<Arc<Injector>>;
}

struct Webhook {
    injectors: Arc<dyn Injectors>,
    turns: Semaphore,
    requests: IntCounter,
    success: IntCounter,
    failure: IntCounter,
    skip: IntCounter,
    time: Histogram,
}

/// `/inject`, and the same with variables for the proxy behind it.
pub fn injection_router(injectors: Arc<dyn Injectors>, registry: &Registry) -> prometheus::Result<Router> {
    let counter = |name: &str, help: &str| -> prometheus::Result<IntCounter> {
        let counter = IntCounter::new(name, help)?;
        registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    };
    let help = "Total time taken for injection in seconds.";
    let time = HistogramOpts::new("sidecar_injection_time_seconds", help).buckets(TIME.to_vec());
    let time = Histogram::with_opts(time)?;
    registry.register(Box::new(time.clone()))?;
    let webhook = Arc::new(Webhook {
        injectors,
        turns: Semaphore::new(AT_ONCE),
        requests: counter("sidecar_injection_requests_total", "Total number of sidecar injection requests.")?,
        success: counter(
            "sidecar_injection_success_total",
            "Total number of successful sidecar injection requests.",
        )?,
        failure: counter(
            "sidecar_injection_failure_total",
            "Total number of failed sidecar injection requests.",
        )?,
        skip: counter("sidecar_injection_skip_total", "Total number of skipped sidecar injection requests.")?,
        time,
    });
    Ok(Router::new()
        .route("/inject", post(answer))
        .route("/inject/{*variables}", post(answer))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(webhook))
}

async fn answer(State(webhook): State<Arc<Webhook>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let started = Instant::now();
    webhook.requests.inc();
    let response = webhook.respond(&uri, &headers, body).await;
    webhook.time.observe(started.elapsed().as_secs_f64());
    response.unwrap_or_else(|(status, message)| {
        webhook.failure.inc();
        tracing::warn!(scope = "injector", "{}: {message}", uri.path());
        (status, message).into_response()
    })
}

impl Webhook {
    async fn respond(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<Response, (StatusCode, &'static str)> {
        if body.is_empty() {
            return Err((StatusCode::BAD_REQUEST, "no body found"));
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind != Some("application/json") {
            let message = "invalid Content-Type, want `application/json`";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let _turn = self.turns.acquire().await.map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "stopping"))?;
        let unknown = (StatusCode::SERVICE_UNAVAILABLE, "the injector's configuration is not known");
        let injector = self.injectors.injector().ok_or(unknown)?;
        let path = uri.path().to_owned();
        // Rendering is work for a processor, and does not wait for anything.
        let answer = tokio::task::spawn_blocking(move || inject::review(&body, &path, &injector))
            .await
            .map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the review failed"))?;
        match &answer.outcome {
            Outcome::Injected => tracing::debug!(scope = "injector", "{}: injected", answer.pod),
            Outcome::Skipped(reason) => {
                self.skip.inc();
                tracing::debug!(scope = "injector", "{}: left as it is: {reason}", answer.pod);
            }
            Outcome::Failed(message) => {
                self.failure.inc();
                tracing::warn!(scope = "injector", "{:?}: refused: {message:?}", answer.pod);
            }
        }
        self.success.inc();
        Ok(([(header::CONTENT_TYPE, "application/json")], answer.body).into_response())
    }
}
