//! `/validate` over HTTP: checks the request, bounds its size and how many are worked on at once, and leaves the answer
//! to `validate` (platform specification, 7.1). Metrics `galley_validation_*` as the specification's section 3 has them.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use prometheus::{IntCounterVec, Opts, Registry};
use tokio::sync::Semaphore;
use validate::{Answer, Outcome};

/// Twice what the API server can store, and as much again.
const MAX_BODY: usize = 6 * 1024 * 1024;
/// Reviews that are worked on at the same time; more wait for their turn.
const AT_ONCE: usize = 8;

struct Webhook {
    turns: Semaphore,
    passed: IntCounterVec,
    failed: IntCounterVec,
    http_errors: IntCounterVec,
}

/// `/validate`.
pub fn validation_router(registry: &Registry) -> prometheus::Result<Router> {
    let counter = |name: &str, help: &str, labels: &[&str]| -> prometheus::Result<IntCounterVec> {
        let counter = IntCounterVec::new(Opts::new(name, help), labels)?;
        registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    };
    let webhook = Arc::new(Webhook {
        turns: Semaphore::new(AT_ONCE),
        passed: counter("galley_validation_passed", "Resource is valid", &["group", "version", "resource"])?,
        failed: counter(
            "galley_validation_failed",
            "Resource validation failed",
            &["group", "version", "resource", "reason"],
        )?,
        http_errors: counter(
            "galley_validation_http_error",
            "Resource validation http serve errors",
            &["status"],
        )?,
    });
    Ok(Router::new()
        .route("/validate", post(answer))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(webhook))
}

async fn answer(State(webhook): State<Arc<Webhook>>, headers: HeaderMap, body: Bytes) -> Response {
    match webhook.respond(&headers, body).await {
        Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
        Err((status, message)) => {
            webhook.http_errors.with_label_values(&[status.as_str()]).inc();
            tracing::warn!(scope = "validation", "/validate: {message}");
            (status, message).into_response()
        }
    }
}

impl Webhook {
    async fn respond(&self, headers: &HeaderMap, body: Bytes) -> Result<Vec<u8>, (StatusCode, &'static str)> {
        if body.is_empty() {
            return Err((StatusCode::BAD_REQUEST, "no body found"));
        }
        let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        if kind != Some("application/json") {
            let message = "invalid Content-Type, want `application/json`";
            return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let _turn = self.turns.acquire().await.map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "stopping"))?;
        // Judging is work for a processor, and does not wait for anything.
        let answer = tokio::task::spawn_blocking(move || validate::review(&body))
            .await
            .map_err(|_| (StatusCode::INTERNAL_SERVER_ERROR, "the review failed"))?;
        if !answer.is_dry_run {
            self.count(&answer);
        }
        if let Outcome::Refused(_) = answer.outcome {
            let [_, _, resource] = &answer.resource;
            tracing::info!(scope = "validation", "{resource:?} refused: {:?}", answer.message);
        }
        Ok(answer.body)
    }

    fn count(&self, answer: &Answer) {
        let [group, version, resource] = answer.resource.each_ref().map(String::as_str);
        match answer.outcome {
            Outcome::Passed => self.passed.with_label_values(&[group, version, resource]).inc(),
            Outcome::NotJudged(reason) | Outcome::Refused(reason) => {
                self.failed.with_label_values(&[group, version, resource, reason]).inc();
            }
        }
    }
}
