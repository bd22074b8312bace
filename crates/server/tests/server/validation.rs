//! `/validate` over HTTP: a broken object is refused with its field, a good one passes, and what is no review is told.

use prometheus::{Registry, TextEncoder};
use serde_json::{Value, json};
use server::validation_router;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn post(content_type: &str, body: &str) -> (u16, String, String) {
    let registry = Registry::new();
    let router = validation_router(&registry).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    tokio::spawn(server::serve_http(listener, router, std::future::pending()));
    let request = format!(
        "POST /validate?timeout=10s HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let metrics = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    (head[9..12].parse().unwrap(), body.to_owned(), metrics)
}

fn review(weight: i32) -> Value {
    let route = json!([{"destination": {"host": "a"}, "weight": weight}]);
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "42",
            "operation": "CREATE",
            "resource": {"group": "networking.istio.io", "version": "v1", "resource": "virtualservices"},
            "object": {
                "apiVersion": "networking.istio.io/v1",
                "kind": "VirtualService",
                "metadata": {"name": "a", "namespace": "b"},
                "spec": {"hosts": ["a"], "http": [{"route": route}]},
            },
        },
    })
}

#[tokio::test]
async fn a_broken_object_is_refused_with_its_field_and_counted() {
    let (status, body, metrics) = post("application/json", &review(-1).to_string()).await;
    assert_eq!(status, 200);
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(answer["response"]["uid"], "42");
    assert_eq!(answer["response"]["allowed"], false);
    let message = answer["response"]["status"]["message"].as_str().unwrap();
    assert!(message.contains("spec.http[0].route[0].weight: weight -1 < 0"), "{message}");
    let series = "galley_validation_failed{group=\"networking.istio.io\",reason=\"invalid_resource\",\
                  resource=\"virtualservices\",version=\"v1\"} 1";
    assert!(metrics.contains(series), "{metrics}");
}

#[tokio::test]
async fn a_good_object_passes_and_is_counted() {
    let (_, body, metrics) = post("application/json", &review(1).to_string()).await;
    assert!(body.contains("\"allowed\":true"), "{body}");
    assert!(metrics.contains("galley_validation_passed{"), "{metrics}");
}

#[tokio::test]
async fn what_is_no_review_is_told() {
    assert_eq!(post("application/json", "").await.0, 400);
    assert_eq!(post("text/plain", "{}").await.0, 415);
    assert!(post("application/json", "{}").await.1.contains("\"allowed\":false"));
}

#[tokio::test]
async fn what_is_deleted_is_allowed_and_counted_as_not_supported() {
    let mut review = review(-1);
    review["request"]["operation"] = json!("DELETE");
    let (_, body, metrics) = post("application/json", &review.to_string()).await;
    assert!(body.contains("\"allowed\":true"), "{body}");
    assert!(metrics.contains("reason=\"unsupported_operation\""), "{metrics}");
}

#[tokio::test]
async fn dry_runs_are_judged_but_in_no_metric() {
    for weight in [-1, 1] {
        let mut review = review(weight);
        review["request"]["dryRun"] = json!(true);
        let (_, body, metrics) = post("application/json", &review.to_string()).await;
        assert!(body.contains(&format!("\"allowed\":{}", weight > 0)), "{body}");
        assert!(!metrics.contains("galley_validation"), "{metrics}");
    }
}

#[tokio::test]
async fn resources_that_there_are_not_make_no_labels() {
    let mut review = review(1);
    review["request"]["resource"]["resource"] = json!("made-up");
    let (_, _, metrics) = post("application/json", &review.to_string()).await;
    assert!(metrics.contains("galley_validation_passed{") && !metrics.contains("made-up"), "{metrics}");
}
