//! A stock Envoy as the client: it comes up, changed clusters get warm, and it resumes after a restart of the server.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use proto::envoy::google::{self, Any};
use proto::envoy::{cluster, core, endpoint, hcm, listener, route, router};
use scope::Dialect;
use testkit::envoy::{Admin, Bootstrap, Envoy, NEWEST, Node, NodeKind, OLDEST, Protocol, binary};
use testkit::wait::{free_address, until};
use xds::SyncState;

use super::*;

/// Less than the quarter of a minute after which Envoy gives up waiting for a cluster's endpoints.
const LIMIT: Duration = Duration::from_secs(10);

fn over_ads() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(Default::default())),
        ..Default::default()
    }
}

fn socket(address: SocketAddr) -> core::Address {
    let socket = core::SocketAddress {
        address: address.ip().to_string(),
        port_specifier: Some(core::socket_address::PortSpecifier::PortValue(address.port().into())),
        ..Default::default()
    };
    core::Address { address: Some(core::address::Address::SocketAddress(socket)) }
}

fn eds_cluster(name: &str, timeout: i64) -> Any {
    proto::pack::any(&cluster::Cluster {
        name: name.to_owned(),
        connect_timeout: Some(google::Duration { seconds: timeout, nanos: 0 }),
        cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(
            cluster::cluster::DiscoveryType::Eds.into(),
        )),
        eds_cluster_config: Some(cluster::cluster::EdsClusterConfig {
            eds_config: Some(over_ads()),
            service_name: String::new(),
        }),
        ..Default::default()
    })
}

fn load_assignment(name: &str) -> Any {
    let endpoint =
        endpoint::Endpoint { address: Some(socket("127.0.0.1:9".parse().unwrap())), ..Default::default() };
    let lb_endpoint = endpoint::LbEndpoint {
        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint)),
        ..Default::default()
    };
    let locality = endpoint::LocalityLbEndpoints { lb_endpoints: vec![lb_endpoint], ..Default::default() };
    proto::pack::any(&endpoint::ClusterLoadAssignment {
        cluster_name: name.to_owned(),
        endpoints: vec![locality],
        ..Default::default()
    })
}

fn http_listener(address: SocketAddr) -> Any {
    let manager = hcm::HttpConnectionManager {
        stat_prefix: "test".into(),
        route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::Rds(hcm::Rds {
            config_source: Some(over_ads()),
            route_config_name: "r".into(),
        })),
        http_filters: vec![hcm::HttpFilter {
            name: "envoy.filters.http.router".into(),
            config_type: Some(hcm::http_filter::ConfigType::TypedConfig(proto::pack::any(
                &router::Router::default(),
            ))),
            ..Default::default()
        }],
        ..Default::default()
    };
    let filter = listener::Filter {
        name: "envoy.filters.network.http_connection_manager".into(),
        config_type: Some(listener::filter::ConfigType::TypedConfig(proto::pack::any(&manager))),
    };
    proto::pack::any(&listener::Listener {
        name: "l".into(),
        address: Some(socket(address)),
        filter_chains: vec![listener::FilterChain { filters: vec![filter], ..Default::default() }],
        ..Default::default()
    })
}

fn world(address: SocketAddr, clusters: &[(&str, i64)]) -> Snapshot {
    let mut builder = Snapshot::default().to_builder();
    let mut insert = |resource_type, name: &str, any: Any| {
        let body = prost::Message::encode_to_vec(&any).into();
        builder.insert(resource_type, Resource::new(name, body));
    };
    for (name, timeout) in clusters {
        insert(ResourceType::Cluster, name, eds_cluster(name, *timeout));
        insert(ResourceType::Endpoint, name, load_assignment(name));
    }
    insert(ResourceType::Listener, "l", http_listener(address));
    let routes = route::RouteConfiguration { name: "r".into(), ..Default::default() };
    insert(ResourceType::Route, "r", proto::pack::any(&routes));
    builder.build()
}

fn wait_for(admin: Admin, name: &str, value: u64) {
    let found = until(&format!("{name} is {value}"), LIMIT, || {
        Ok((admin.stats(&format!("^{name}$"))?.get(name) == Some(&value)).then_some(()))
    });
    if let Err(error) = found {
        let stats = admin.stats("cluster_manager|update_|control_plane|warming").unwrap();
        unreachable!("{error}: {stats:#?}");
    }
}

async fn all_accepted(running: &Running) {
    eventually(|| {
        let connections = running.connections.all();
        let statuses = connections.iter().flat_map(|connection| connection.status()).collect::<Vec<_>>();
        statuses.len() == 4 && statuses.iter().all(|status| status.state() == SyncState::Synced)
    })
    .await;
}

async fn walk(version: &str, protocol: Protocol) {
    let running = start(AdsOptions::default()).await;
    let grpc = running.grpc;
    let address = free_address(Ipv4Addr::LOCALHOST.into()).unwrap();
    running.publish(world(address, &[("a", 1)]));
    let name = format!("{}-{protocol:?}", version.replace('.', "-")).to_lowercase();
    let bootstrap = Bootstrap {
        node: Node::new(NodeKind::Sidecar, Ipv4Addr::LOCALHOST.into(), &name, "shop", &[("app", "web")]),
        discovery: grpc,
        admin: free_address(Ipv4Addr::LOCALHOST.into()).unwrap(),
        protocol,
    };
    let folder: PathBuf =
        std::env::temp_dir().join(format!("trierarch-server-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let mut envoy = Envoy::start(&binary(version).unwrap(), &bootstrap, &folder).unwrap();
    envoy.wait_ready(LIMIT).unwrap();
    let admin = envoy.admin();
    all_accepted(&running).await;
    assert_eq!(running.connections.all()[0].proxy.dialect, Dialect::Stock);
    assert_eq!(admin.listeners().unwrap().get("l"), Some(&address.to_string()));

    // A changed cluster whose endpoints are as they were gets warm.
    running.publish(world(address, &[("a", 2)]));
    wait_for(admin, "cluster_manager.cluster_modified", 1);
    wait_for(admin, "cluster_manager.warming_clusters", 0);
    running.publish(world(address, &[("a", 2), ("b", 1)]));
    wait_for(admin, "cluster.b.membership_total", 1);
    running.publish(world(address, &[("a", 2)]));
    wait_for(admin, "cluster_manager.cluster_removed", 1);
    all_accepted(&running).await;

    // Another server, the same content.
    running.stop.send(()).unwrap();
    running.serving.await.unwrap();
    let running = start_at(grpc, AdsOptions::default(), false).await;
    running.publish(world(address, &[("a", 2)]));
    all_accepted(&running).await;
    wait_for(admin, "cluster_manager.warming_clusters", 0);
    if protocol == Protocol::Delta {
        for resource_type in [ResourceType::Cluster, ResourceType::Endpoint, ResourceType::Listener] {
            let metrics = String::from_utf8(running.metrics.text().unwrap()).unwrap();
            let sum = format!("pilot_xds_config_size_bytes_sum{{type=\"{}\"}} ", resource_type.type_url());
            let bytes = metrics.lines().find_map(|line| line.strip_prefix(&sum)).unwrap();
            let empty = 60 + resource_type.type_url().len();
            assert!(bytes.parse::<usize>().unwrap() < empty, "sent again: {resource_type:?}, {bytes} bytes");
        }
    }
    running.publish(world(address, &[("a", 3), ("c", 1)]));
    wait_for(admin, "cluster.c.membership_total", 1);
    wait_for(admin, "cluster_manager.warming_clusters", 0);
    all_accepted(&running).await;
    assert_eq!(admin.n_rejected().unwrap(), 0);
    envoy.process().check_running().unwrap();
    drop(envoy);
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_envoy_is_served_state_of_the_world() {
    walk(OLDEST, Protocol::StateOfTheWorld).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_oldest_envoy_is_served_deltas() {
    walk(OLDEST, Protocol::Delta).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_envoy_is_served_state_of_the_world() {
    walk(NEWEST, Protocol::StateOfTheWorld).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_newest_envoy_is_served_deltas() {
    walk(NEWEST, Protocol::Delta).await;
}
