//! Readiness, metrics and pages over HTTP.

use std::sync::atomic::Ordering;

use server::AdsOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Status and body of a page.
pub(crate) async fn get(running: &Running, path: &str) -> (u16, String) {
    let mut socket = tokio::net::TcpStream::connect(running.http).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), body.to_owned())
}

#[tokio::test]
async fn readiness_follows_discovery_and_says_nothing_else() {
    let running = start(AdsOptions::default()).await;
    assert_eq!(get(&running, "/ready").await, (200, String::new()));
    running.fake.ready.store(false, Ordering::SeqCst);
    assert_eq!(get(&running, "/ready").await, (503, String::new()));
}

#[tokio::test]
async fn liveness_is_a_question_of_its_own() {
    let running = start(AdsOptions::default()).await;
    running.fake.ready.store(false, Ordering::SeqCst);
    assert_eq!(get(&running, "/livez").await, (200, String::new()), "not ready yet is no reason to restart");
    running.fake.live.store(false, Ordering::SeqCst);
    assert_eq!(get(&running, "/livez").await, (503, String::new()));
}

#[tokio::test]
async fn version_and_metrics_have_the_form_that_tools_read() {
    let running = start(AdsOptions::default()).await;
    assert_eq!(get(&running, "/version").await, (200, "0.1.0-abc-Clean".to_owned()));
    let (status, text) = get(&running, "/metrics").await;
    assert_eq!(status, 200);
    assert!(text.contains("pilot_info{version=\"0.1.0\"} 1"), "{text}");
    assert!(text.contains("istio_build{component=\"pilot\",tag=\"0.1.0\"} 1"), "{text}");
    assert!(text.contains("pilot_proxy_convergence_time_bucket{le=\"0.1\"} 0"), "{text}");
    let memory = text.lines().find_map(|line| line.strip_prefix("process_resident_memory_bytes ")).unwrap();
    assert!(memory.parse::<f64>().unwrap() > 1e6, "{memory}");
    assert!(text.contains("process_cpu_seconds_total "), "{text}");
    assert!(!text.contains("pilot_xds_pushes{"), "absent until something was pushed");
}

#[tokio::test]
async fn a_dump_shows_what_a_proxy_was_sent() {
    let running = start(AdsOptions::default()).await;
    running.publish(clusters(&["a"], "1"));
    let request = proto::envoy::discovery::DiscoveryRequest {
        node: Some(proto::envoy::core::Node {
            id: "sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local".into(),
            ..Default::default()
        }),
        type_url: proto::type_url::CLUSTER.into(),
        ..Default::default()
    };
    let _stream = ads::sotw(&mut ads::client(&running).await, request).await.unwrap();
    let sent =
        || running.connections.all().first().is_some_and(|one| !one.sent(ResourceType::Cluster).is_empty());
    eventually(sent).await;
    let (status, dump) = get(&running, "/debug/config_dump?proxyID=web-1.shop").await;
    assert_eq!(status, 200);
    let dump: Value = serde_json::from_str(&dump).unwrap();
    assert_eq!(dump["configs"][1]["@type"], "type.googleapis.com/envoy.admin.v3.ClustersConfigDump");
    assert_eq!(dump["configs"][1]["dynamicActiveClusters"][0]["cluster"]["name"], "a");
    assert_eq!(get(&running, "/debug/config_dump").await.0, 400);
    assert_eq!(get(&running, "/debug/config_dump?proxyID=nobody").await.0, 404);
    let (_, adsz) = get(&running, "/debug/adsz").await;
    assert_eq!(serde_json::from_str::<Value>(&adsz).unwrap()["totalClients"], 1);
}

#[tokio::test]
async fn pages_of_others_stand_beside_our_own() {
    let running = start(AdsOptions::default()).await;
    assert_eq!(get(&running, "/debug/registryz").await, (200, "[]".to_owned()));
    assert_eq!(get(&running, "/debug/nothing").await.0, 404);
    let (_, list) = get(&running, "/debug/list").await;
    assert!(list.contains("registryz") && list.contains("syncz"), "{list}");
    assert!(get(&running, "/debug").await.1.contains("/debug/syncz"));
}
