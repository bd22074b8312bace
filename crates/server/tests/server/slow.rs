//! Clients that do not do their part: never read, never acknowledge, answer no ping. Reliability specification, 2 (slow
//! or stuck proxy).

use std::sync::atomic::Ordering;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic::transport::Endpoint;

use super::ads::{Client, Sotw, client, first, sotw};
use super::*;

/// Bytes of which is known how many are held anywhere.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl Counted {
    /// A snapshot of one cluster of that length.
    fn snapshot(length: usize, alive: &Arc<AtomicUsize>, fill: u8) -> Snapshot {
        let any = proto::envoy::google::Any { type_url: "a/b".to_owned(), value: vec![fill; length] };
        alive.fetch_add(1, Ordering::SeqCst);
        let body = Bytes::from_owner(Self(prost::Message::encode_to_vec(&any), Arc::clone(alive)));
        let mut builder = Snapshot::default().to_builder();
        builder.insert(ResourceType::Cluster, Resource::new("large", body));
        builder.build()
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A stream over which nothing is read: the server may send as much as the protocol lets it send unasked.
async fn deaf(running: &Running) -> Sotw {
    const WINDOW: u32 = 65_535;
    let endpoint = Endpoint::from_shared(format!("http://{}", running.grpc)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
    sotw(&mut Client::new(endpoint.connect().await.unwrap()), first()).await.unwrap()
}

#[tokio::test]
async fn who_never_reads_the_one_response_there_is_is_cut_off_and_nothing_is_held_for_them() {
    let options = AdsOptions { write_timeout: Duration::from_millis(200), ..AdsOptions::default() };
    let running = start(options).await;
    let alive = Arc::new(AtomicUsize::new(0));
    running.publish(Counted::snapshot(300_000, &alive, 1));
    let mut stuck = deaf(&running).await;
    eventually(|| running.connections.len() == 1).await;
    eventually(|| running.connections.is_empty()).await;
    running.publish(Snapshot::default());
    eventually(|| alive.load(Ordering::SeqCst) == 0).await;
    assert_ne!(stuck.end().await, Code::Ok);
    let metrics = String::from_utf8(running.metrics.text().unwrap()).unwrap();
    assert!(metrics.contains("pilot_xds_write_timeout 1"), "{metrics}");
}

#[tokio::test]
async fn of_all_that_changes_meanwhile_little_is_held_for_who_never_reads() {
    let running = start(AdsOptions { write_timeout: Duration::ZERO, ..AdsOptions::default() }).await;
    let alive = Arc::new(AtomicUsize::new(0));
    running.publish(Counted::snapshot(300_000, &alive, 0));
    let _stuck = deaf(&running).await;
    let mut reading = sotw(&mut client(&running).await, first()).await.unwrap();
    for fill in 1..50 {
        let response = reading.read().await;
        assert_eq!(response.resources[0].value.len(), 300_000);
        running.publish(Counted::snapshot(300_000, &alive, fill));
    }
    reading.read().await;
    // The newest, the one that is being written, the one that follows it, one behind that and one that waits for room.
    eventually(|| alive.load(Ordering::SeqCst) <= 5).await;
    assert_eq!(running.connections.len(), 2, "a timeout of zero is none");
}

#[tokio::test]
async fn who_reads_and_never_acknowledges_is_kept_and_has_what_is_newest() {
    let options = AdsOptions { write_timeout: Duration::from_mins(1), ..AdsOptions::default() };
    let running = start(options).await;
    let alive = Arc::new(AtomicUsize::new(0));
    running.publish(Counted::snapshot(10_000, &alive, 0));
    let mut silent = sotw(&mut client(&running).await, first()).await.unwrap();
    for fill in 1..50 {
        assert_eq!(silent.read().await.resources[0].value[0], fill - 1);
        running.publish(Counted::snapshot(10_000, &alive, fill));
    }
    assert_eq!(silent.read().await.resources[0].value[0], 49);
    // The newest, and the one that may be on its way out.
    eventually(|| alive.load(Ordering::SeqCst) <= 2).await;
}

#[tokio::test]
async fn a_resource_of_several_steps_arrives_whole() {
    let running = start(AdsOptions::default()).await;
    let alive = Arc::new(AtomicUsize::new(0));
    running.publish(Counted::snapshot(3_500_000, &alive, 7));
    let mut reading = sotw(&mut client(&running).await, first()).await.unwrap();
    let response = reading.read().await;
    assert_eq!(response.resources[0].value, vec![7; 3_500_000]);
}

const PING: u8 = 6;

/// A connection of HTTP/2 by hand, with nothing asked for.
async fn bare(running: &Running) -> TcpStream {
    let mut socket = TcpStream::connect(running.grpc).await.unwrap();
    socket.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    socket
}

/// The next frame with its kind and flags; `None` when the server has closed the connection.
async fn frame(socket: &mut TcpStream) -> Option<(u8, u8, Vec<u8>)> {
    let mut head = [0; 9];
    socket.read_exact(&mut head).await.ok()?;
    let mut content = vec![0; usize::from(head[1]) << 8 | usize::from(head[2])];
    socket.read_exact(&mut content).await.ok()?;
    Some((head[3], head[4], content))
}

#[tokio::test]
async fn who_answers_no_ping_is_cut_off() {
    let options = AdsOptions {
        keepalive_interval: Duration::from_millis(50),
        keepalive_timeout: Duration::from_millis(50),
        ..AdsOptions::default()
    };
    let running = start(options).await;
    let mut socket = bare(&running).await;
    let mut n_pings = 0;
    while let Some((kind, _, _)) = frame(&mut socket).await {
        n_pings += usize::from(kind == PING);
    }
    assert!(n_pings > 0, "it was asked first");
}

#[tokio::test]
async fn who_answers_pings_stays() {
    let options = AdsOptions {
        keepalive_interval: Duration::from_millis(20),
        keepalive_timeout: Duration::from_mins(1),
        ..AdsOptions::default()
    };
    let running = start(options).await;
    let mut socket = bare(&running).await;
    for _ in 0..5 {
        let ping = loop {
            match frame(&mut socket).await {
                Some((PING, 0, content)) => break content,
                Some(_) => {}
                None => panic!("it was cut off"),
            }
        };
        let answer: Vec<u8> = [&[0, 0, 8, PING, 1, 0, 0, 0, 0], &ping[..]].concat();
        socket.write_all(&answer).await.unwrap();
    }
}
