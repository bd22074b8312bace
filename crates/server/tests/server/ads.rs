//! ADS as Envoy and careless clients speak it.

use std::sync::atomic::Ordering;

use proto::envoy::core::Node;
use proto::envoy::discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use proto::envoy::discovery::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use proto::envoy::google;
use proto::type_url;
use server::AdsOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::*;

pub(crate) type Client = AggregatedDiscoveryServiceClient<Channel>;

pub(crate) async fn client(running: &Running) -> Client {
    Client::connect(format!("http://{}", running.grpc)).await.unwrap()
}

fn node(id: &str) -> Node {
    Node { id: id.to_owned(), ..Node::default() }
}

pub(crate) fn first() -> DiscoveryRequest {
    DiscoveryRequest {
        node: Some(node("sidecar~10.0.0.1~web-1.shop~shop.svc.cluster.local")),
        type_url: type_url::CLUSTER.to_owned(),
        ..DiscoveryRequest::default()
    }
}

pub(crate) struct Sotw {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

pub(crate) async fn sotw(client: &mut Client, first: DiscoveryRequest) -> Result<Sotw, Status> {
    let (requests, outgoing) = mpsc::channel(16);
    requests.send(first).await.unwrap();
    let responses = client.stream_aggregated_resources(ReceiverStream::new(outgoing)).await?.into_inner();
    Ok(Sotw { requests, responses })
}

impl Sotw {
    pub(crate) async fn read(&mut self) -> DiscoveryResponse {
        self.responses.message().await.unwrap().unwrap()
    }

    pub(crate) async fn end(&mut self) -> Code {
        loop {
            match self.responses.message().await {
                Ok(Some(_)) => {}
                Ok(None) => return Code::Ok,
                Err(status) => return status.code(),
            }
        }
    }

    async fn answer(&self, response: &DiscoveryResponse, error: Option<&str>) {
        let error_detail =
            error.map(|message| google::Status { code: 13, message: message.to_owned(), details: vec![] });
        let request = DiscoveryRequest {
            type_url: response.type_url.clone(),
            response_nonce: response.nonce.clone(),
            error_detail,
            ..DiscoveryRequest::default()
        };
        self.requests.send(request).await.unwrap();
    }
}

#[tokio::test]
async fn a_state_of_the_world_client_gets_snapshots_as_they_come() {
    let running = start(AdsOptions::default()).await;
    running.publish(clusters(&["a"], "1"));
    let mut stream = sotw(&mut client(&running).await, first()).await.unwrap();
    let response = stream.read().await;
    assert_eq!(response.type_url, type_url::CLUSTER);
    assert_eq!(response.resources.len(), 1);
    assert_eq!(response.resources[0].type_url, type_url::CLUSTER);
    stream.answer(&response, None).await;
    running.publish(clusters(&["a", "b"], "1"));
    assert_eq!(stream.read().await.resources.len(), 2);
    assert_eq!(running.connections.len(), 1);
    drop(stream);
    eventually(|| running.connections.is_empty() && running.fake.n_gone.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn a_delta_client_gets_changes_and_resumes_where_it_was() {
    let running = start(AdsOptions::default()).await;
    running.publish(clusters(&["a", "b"], "1"));
    let mut client = client(&running).await;
    let (requests, outgoing) = mpsc::channel(16);
    let first = DeltaDiscoveryRequest {
        node: first().node,
        type_url: type_url::CLUSTER.to_owned(),
        ..DeltaDiscoveryRequest::default()
    };
    requests.send(first.clone()).await.unwrap();
    let stream = client.delta_aggregated_resources(ReceiverStream::new(outgoing)).await.unwrap();
    let mut responses = stream.into_inner();
    let mut read = async || responses.message().await.unwrap().unwrap();
    let response: DeltaDiscoveryResponse = read().await;
    let versions: std::collections::HashMap<String, String> =
        response.resources.into_iter().map(|resource| (resource.name, resource.version)).collect();
    assert_eq!(versions.len(), 2);
    running.publish(clusters(&["b", "c"], "1"));
    let response = read().await;
    assert_eq!(response.resources.len(), 1);
    assert_eq!(response.resources[0].name, "c");
    assert_eq!(response.removed_resources, ["a"]);

    let (requests, outgoing) = mpsc::channel(16);
    requests.send(DeltaDiscoveryRequest { initial_resource_versions: versions, ..first }).await.unwrap();
    let stream = client.delta_aggregated_resources(ReceiverStream::new(outgoing)).await.unwrap();
    let response = stream.into_inner().message().await.unwrap().unwrap();
    let names: Vec<&str> = response.resources.iter().map(|resource| resource.name.as_str()).collect();
    assert_eq!(names, ["c"], "b is as it was");
    assert_eq!(response.removed_resources, ["a"]);
}

#[tokio::test]
async fn nobody_is_answered_before_configuration_was_read() {
    let running = start(AdsOptions::default()).await;
    running.fake.ready.store(false, Ordering::SeqCst);
    let refused = sotw(&mut client(&running).await, first()).await.err().unwrap();
    assert_eq!(refused.code(), Code::Unavailable);
}

#[tokio::test]
async fn a_node_that_cannot_be_read_is_an_invalid_argument() {
    let running = start(AdsOptions::default()).await;
    for bad in [None, Some(node("")), Some(node("nonsense")), Some(node("sidecar~no-ip~a.b~b.svc"))] {
        let request = DiscoveryRequest { node: bad, ..first() };
        let mut stream = sotw(&mut client(&running).await, request).await.unwrap();
        assert_eq!(stream.end().await, Code::InvalidArgument);
    }
    assert!(running.connections.is_empty());
}

#[tokio::test]
async fn too_many_new_streams_are_told_to_come_back() {
    let running = start(AdsOptions { max_streams_per_second: 1, ..AdsOptions::default() }).await;
    let mut client = client(&running).await;
    let mut other = client.clone();
    let mut third = client.clone();
    let (a, b, c) =
        tokio::join!(sotw(&mut client, first()), sotw(&mut other, first()), sotw(&mut third, first()));
    let refused: Vec<Code> =
        [a, b, c].into_iter().filter_map(|one| one.err().map(|one| one.code())).collect();
    assert_eq!(refused, [Code::ResourceExhausted]);
}

#[tokio::test]
async fn garbage_ends_its_own_stream_only() {
    let running = start(AdsOptions::default()).await;
    running.publish(clusters(&["a"], "1"));
    let mut client = client(&running).await;
    let mut good = sotw(&mut client, first()).await.unwrap();
    good.read().await;

    // A second stream on the same connection, of bytes that are no message.
    let mut grpc = tonic::client::Grpc::new(
        Channel::from_shared(format!("http://{}", running.grpc)).unwrap().connect().await.unwrap(),
    );
    grpc.ready().await.unwrap();
    let garbage = tokio_stream::once(google::BytesValue { value: vec![0xff; 64] });
    let path = "/envoy.service.discovery.v3.AggregatedDiscoveryService/StreamAggregatedResources";
    let codec = tonic_prost::ProstCodec::<_, DiscoveryResponse>::default();
    let path = path.parse().unwrap();
    let answer = grpc.streaming(tonic::Request::new(garbage), path, codec).await;
    let status = match answer {
        Ok(stream) => stream.into_inner().message().await.err().unwrap(),
        Err(status) => status,
    };
    assert_ne!(status.code(), Code::Ok);

    // A connection that does not even speak HTTP.
    let mut socket = tokio::net::TcpStream::connect(running.grpc).await.unwrap();
    socket.write_all(b"\x16\x03\x01 this is not HTTP/2 at all\r\n\r\n").await.unwrap();
    let _ = socket.read_to_end(&mut Vec::new()).await;

    // A request longer than allowed.
    let long = DiscoveryRequest { resource_names: vec!["x".repeat(5 << 20)], ..first() };
    let mut long = sotw(&mut client, long).await.unwrap();
    assert_ne!(long.end().await, Code::Ok);

    running.publish(clusters(&["a", "b"], "1"));
    assert_eq!(good.read().await.resources.len(), 2);
}

#[tokio::test]
async fn a_rejection_is_counted_and_shown() {
    let running = start(AdsOptions::default()).await;
    running.publish(clusters(&["a", "b"], "1"));
    let mut stream = sotw(&mut client(&running).await, first()).await.unwrap();
    let response = stream.read().await;
    stream.answer(&response, Some("Error adding/updating cluster(s) b: no such thing")).await;
    let rejections = || running.connections.all()[0].status()[0].n_rejections;
    eventually(|| rejections() == 1).await;
    let metrics = String::from_utf8(running.metrics.text().unwrap()).unwrap();
    assert!(metrics.contains("pilot_total_xds_rejects{type=\"cds\"} 1"), "{metrics}");
    assert!(metrics.contains("pilot_xds_cds_reject{err=\"Internal\",node=\"web-1.shop\"} 1"), "{metrics}");
    let page = http::get(&running, "/debug/syncz").await.1;
    let page: Value = serde_json::from_str(&page).unwrap();
    let shown = &page[0]["resources"][type_url::CLUSTER];
    assert_eq!(shown["lastError"], "Error adding/updating cluster(s) b: no such thing");
    assert_eq!(shown["rejections"], 1);
    assert_eq!(shown["rejected"][0]["name"], "b");
}

#[tokio::test]
async fn types_that_are_not_served_are_answered_once_and_debug_types_refused() {
    let running = start(AdsOptions::default()).await;
    running.publish(clusters(&["a"], "1"));
    let other = DiscoveryRequest { type_url: "type.googleapis.com/of.no.Use".into(), ..first() };
    let mut stream = sotw(&mut client(&running).await, other).await.unwrap();
    let response = stream.read().await;
    assert_eq!((response.type_url.as_str(), response.resources.len()), ("type.googleapis.com/of.no.Use", 0));
    stream.answer(&response, None).await;
    let debug = DiscoveryRequest { type_url: type_url::DEBUG_SYNC_STATUS.into(), ..first() };
    stream.requests.send(debug).await.unwrap();
    assert_eq!(stream.end().await, Code::Unauthenticated);
}

#[tokio::test]
async fn debug_types_are_answered_where_they_are_allowed() {
    let running = start_at("127.0.0.1:0".parse().unwrap(), AdsOptions::default(), true).await;
    running.publish(clusters(&["a"], "1"));
    let mut client = client(&running).await;
    let mut proxy = first();
    let config = [("PROXY_CONFIG", google::struct_value([("x", google::string_value("y"))]))];
    proxy.node.as_mut().unwrap().metadata = Some(google::struct_of(config));
    let mut proxy = sotw(&mut client, proxy).await.unwrap();
    let response = proxy.read().await;
    proxy.answer(&response, None).await;
    eventually(|| running.connections.all()[0].status()[0].state() == xds::SyncState::Synced).await;

    let ask = |type_url: &str, name: &str| DiscoveryRequest {
        type_url: type_url.into(),
        response_nonce: "made up".into(),
        resource_names: vec![name.to_owned()],
        ..first()
    };
    let mut tool = sotw(&mut client, ask(type_url::DEBUG_SYNC_STATUS, "")).await.unwrap();
    let response = tool.read().await;
    assert_eq!(response.control_plane.unwrap().identifier, "it is me");
    assert_eq!(response.resources.len(), 1, "the tool itself is no proxy");
    let status =
        proto::json::any_to_json(&response.resources[0].type_url, &response.resources[0].value).unwrap();
    assert_eq!(status["node"]["id"], "web-1.shop");
    assert_eq!(status["genericXdsConfigs"][0]["configStatus"], "SYNCED");

    tool.requests.send(ask(type_url::DEBUG, "registryz?x=y")).await.unwrap();
    let response = tool.read().await;
    assert_eq!(response.resources[0].value, b"[]");
    tool.requests.send(ask(type_url::DEBUG_CONFIG_DUMP, "web-1.shop")).await.unwrap();
    let response = tool.read().await;
    let types: Vec<&str> = response.resources.iter().map(|any| any.type_url.as_str()).collect();
    assert_eq!(
        types[..2],
        [
            "type.googleapis.com/envoy.admin.v3.BootstrapConfigDump",
            "type.googleapis.com/envoy.admin.v3.ClustersConfigDump",
        ]
    );
    tool.requests.send(ask(type_url::DEBUG, "no such page")).await.unwrap();
    assert_eq!(tool.end().await, Code::InvalidArgument);
}

#[tokio::test]
async fn a_client_that_never_reads_is_let_go_and_holds_up_nobody() {
    let options =
        AdsOptions { write_timeout: Duration::from_millis(200), push_throttle: 1, ..AdsOptions::default() };
    let running = start(options).await;
    let names: Vec<String> = (0..2000).map(|number| format!("cluster-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    running.publish(clusters(&names, "0"));
    let stuck = sotw(&mut client(&running).await, first()).await.unwrap();
    eventually(|| running.connections.len() == 1).await;
    let mut reading = sotw(&mut client(&running).await, first()).await.unwrap();
    for content in 1..40 {
        assert_eq!(reading.read().await.resources.len(), 2000);
        running.publish(clusters(&names, &content.to_string().repeat(20)));
    }
    eventually(|| running.connections.len() == 1).await;
    let metrics = String::from_utf8(running.metrics.text().unwrap()).unwrap();
    assert!(metrics.contains("pilot_xds_write_timeout 1"), "{metrics}");
    drop(stuck);
}

#[tokio::test]
async fn nobody_can_fill_the_memory_with_names() {
    let running = start(AdsOptions { max_names: 10, ..AdsOptions::default() }).await;
    running.publish(clusters(&["a"], "1"));
    let resource_names = (0..11).map(|number| number.to_string()).collect();
    let request = DiscoveryRequest { resource_names, type_url: type_url::ENDPOINT.into(), ..first() };
    let mut stream = sotw(&mut client(&running).await, request).await.unwrap();
    assert_eq!(stream.end().await, Code::ResourceExhausted);
}

#[tokio::test]
async fn a_stop_ends_streams_and_then_the_server() {
    let running = start(AdsOptions::default()).await;
    running.publish(clusters(&["a"], "1"));
    let mut client = client(&running).await;
    let mut stream = sotw(&mut client, first()).await.unwrap();
    stream.read().await;
    running.stop.send(()).unwrap();
    assert_eq!(stream.end().await, Code::Unavailable);
    drop((stream, client));
    tokio::time::timeout(Duration::from_secs(10), running.serving).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_past_its_age_is_told_to_come_back_on_a_new_one() {
    let age = Some(Duration::from_millis(300));
    let running = start(AdsOptions { max_connection_age: age, ..AdsOptions::default() }).await;
    running.publish(clusters(&["a"], "1"));
    let mut client = client(&running).await;
    let mut stream = sotw(&mut client, first()).await.unwrap();
    assert_eq!(stream.read().await.resources.len(), 1);
    let before = running.connections.all()[0].peer;
    assert_eq!(stream.end().await, Code::Unavailable, "the stream ends in good order, not by a reset");
    // The same client asks again; its connection was told to go away, so it makes another.
    let mut stream = sotw(&mut client, first()).await.unwrap();
    assert_eq!(stream.read().await.resources.len(), 1);
    let after = running.connections.all().last().unwrap().peer;
    assert_ne!(before, after);
}

#[tokio::test]
async fn a_stop_lets_nobody_in_and_lets_everybody_finish_in_turn() {
    let options = AdsOptions { drain: Duration::from_millis(200), ..AdsOptions::default() };
    let running = start(options).await;
    running.publish(clusters(&["a"], "1"));
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = sotw(&mut client(&running).await, first()).await.unwrap();
        stream.read().await;
        streams.push(stream);
    }
    running.stop.send(()).unwrap();
    for mut stream in streams {
        assert_eq!(stream.end().await, Code::Unavailable);
    }
    running.serving.await.unwrap();
    assert!(Client::connect(format!("http://{}", running.grpc)).await.is_err(), "nobody listens any more");
}
