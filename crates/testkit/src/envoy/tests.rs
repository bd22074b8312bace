//! The bootstrap as data, and as a real Envoy judges it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde_json::json;

use super::*;

fn bootstrap(protocol: Protocol) -> Bootstrap {
    let address = IpAddr::V4(Ipv4Addr::new(127, 0, 1, 14));
    let labels = [("app", "reviews"), ("version", "v1")];
    let mut node = Node::new(NodeKind::Sidecar, address, "reviews-v1", "bookinfo", &labels);
    node.metadata.insert("INTERCEPTION_MODE".to_owned(), json!("NONE"));
    Bootstrap {
        node,
        discovery: SocketAddr::from((Ipv4Addr::LOCALHOST, 15010)),
        admin: SocketAddr::from((Ipv4Addr::new(127, 0, 1, 14), 15000)),
        protocol,
    }
}

fn folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("trierarch-testkit-{}-{name}", std::process::id()))
}

#[test]
fn the_node_says_who_it_is() {
    let bootstrap = bootstrap(Protocol::Delta).to_json();
    let node = &bootstrap["node"];
    assert_eq!(node["id"], "sidecar~127.0.1.14~reviews-v1.bookinfo~bookinfo.svc.cluster.local");
    assert_eq!(node["cluster"], "reviews.bookinfo");
    assert_eq!(node["metadata"]["LABELS"], json!({"app": "reviews", "version": "v1"}));
    assert_eq!(node["metadata"]["INTERCEPTION_MODE"], "NONE");
    assert_eq!(node["metadata"]["INSTANCE_IPS"], "127.0.1.14");
    assert_eq!(bootstrap["dynamic_resources"]["ads_config"]["api_type"], "DELTA_GRPC");
}

#[test]
fn pinned_envoys_accept_the_bootstrap() {
    for version in [OLDEST, NEWEST] {
        let binary = binary(version).unwrap();
        for protocol in [Protocol::Delta, Protocol::StateOfTheWorld] {
            let folder = folder(version);
            Envoy::validate(&binary, &bootstrap(protocol), &folder).unwrap();
            std::fs::remove_dir_all(folder).unwrap();
        }
    }
}

#[test]
fn an_envoy_without_its_control_plane_is_up_but_not_ready() {
    let folder = folder("alone");
    let mut bootstrap = bootstrap(Protocol::Delta);
    bootstrap.admin = crate::wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap();
    let mut envoy = Envoy::start(&binary(OLDEST).unwrap(), &bootstrap, &folder).unwrap();
    let admin = envoy.admin();
    let answered = || Ok(admin.is_ready().map(|ready| Some(!ready)).unwrap_or_default());
    let not_ready = crate::wait::until("an answer", std::time::Duration::from_secs(20), answered).unwrap();
    assert!(not_ready);
    assert_eq!(admin.n_rejected().unwrap(), 0);
    assert!(admin.listeners().unwrap().is_empty());
    envoy.process().check_running().unwrap();
    drop(envoy);
    std::fs::remove_dir_all(folder).unwrap();
}
