//! Machines that want to be registered where nothing can be written: configuration from files alone.

use serde_json::json;
use testkit::ads_stream::Stream;

use crate::{Folder, LIMIT};

#[tokio::test(flavor = "multi_thread")]
async fn without_an_api_server_machines_are_served_and_that_none_is_registered_is_told_once() {
    let folder = Folder::new("machines");
    let mut running = folder.control_plane().start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    for number in 1..4 {
        let id = format!("sidecar~10.9.0.{number}~vm-{number}.shop~shop.svc.cluster.local");
        let metadata = json!({"NAMESPACE": "shop", "AUTO_REGISTER_GROUP": "till"});
        let mut stream = Stream::plain(running.addresses().grpc, &id, &metadata).await.unwrap();
        stream.answered().await.unwrap();
        stream.report(Some("not well")).await.unwrap();
    }
    let log = running.log();
    let told: Vec<&str> = log.lines().filter(|line| line.contains("WorkloadEntry")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("vm-1.shop") && told[0].contains("needs an API server"), "{told:?}");
}
