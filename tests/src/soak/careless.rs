//! Clients that never read, or a few bytes a second: HTTP/2 written by hand over a socket, since every library reads as
//! fast as it can. Each asks for clusters and listeners as a sidecar does, and answers nothing, not even pings.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use prost::Message as _;
use proto::envoy::core::Node;
use proto::envoy::discovery::DeltaDiscoveryRequest;
use proto::type_url;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::watch;

const PATH: &str = "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";
/// Bytes of responses that the server may send unasked: not even one cluster, or so many that the kernel's buffers are
/// what is full.
const WINDOWS: [u32; 2] = [1024, 1 << 30];
/// The memory of the kernel for what is not read, in bytes: as little as it gives.
const BUFFER: u32 = 4096;
/// Bytes that one who reads slowly reads each second.
const SIP: u32 = 16;
/// How long one who never reads leaves its connection open: longer than the server should.
const PATIENCE: Duration = Duration::from_secs(75);

// Kinds of frames (RFC 9113, 6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const WINDOW_UPDATE: u8 = 8;

/// How a client is careless.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Manner {
    /// Reads nothing; over the small window or the large one.
    Deaf { large: bool },
    /// Reads a few bytes a second.
    Slow,
}

/// Connects again and again, until `last` says that this is the last connection: that is left open.
pub(super) async fn run(server: SocketAddr, node: Node, manner: Manner, last: watch::Receiver<bool>) {
    loop {
        let window = WINDOWS[usize::from(manner == Manner::Deaf { large: true })];
        if let Ok(socket) = open(server, &node, window).await {
            match manner {
                Manner::Deaf { .. } => tokio::time::sleep(PATIENCE).await,
                Manner::Slow => drop(sip(&socket).await),
            }
            if *last.borrow() {
                // Whether it is cut off is the server's business.
                std::future::pending::<()>().await;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn open(server: SocketAddr, node: &Node, window: u32) -> Result<TcpStream> {
    let socket = if server.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_recv_buffer_size(BUFFER)?;
    let mut socket = socket.connect(server).await?;
    socket.write_all(&opening(node, window)).await?;
    Ok(socket)
}

/// Reads slowly until the server closes the connection.
async fn sip(socket: &TcpStream) -> Result<()> {
    let mut buffer = [0; SIP as usize];
    loop {
        socket.readable().await?;
        match socket.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error.into()),
            _ => {}
        }
        socket.writable().await?;
        let _ = socket.try_write(&frame(WINDOW_UPDATE, 0, 1, &SIP.to_be_bytes()));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Everything that is ever asked.
fn opening(node: &Node, window: u32) -> Vec<u8> {
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    // SETTINGS_INITIAL_WINDOW_SIZE is 4.
    bytes.extend(frame(SETTINGS, 0, 0, &[&[0, 4], &window.to_be_bytes()[..]].concat()));
    let headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", PATH),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    // Literals that are not indexed, with lengths below 127 (RFC 7541, 6.2.2).
    let literal = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let block: Vec<u8> =
        headers.iter().flat_map(|(name, value)| [vec![0], literal(name), literal(value)].concat()).collect();
    bytes.extend(frame(HEADERS, 4, 1, &block));
    for (node, url) in [(Some(node.clone()), type_url::CLUSTER), (None, type_url::LISTENER)] {
        let request = DeltaDiscoveryRequest { node, type_url: url.to_owned(), ..Default::default() };
        let message = request.encode_to_vec();
        let head = [&[0], &(message.len() as u32).to_be_bytes()[..]].concat();
        bytes.extend(frame(DATA, 0, 1, &[head, message].concat()));
    }
    bytes
}

fn frame(kind: u8, flags: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), content].concat()
}
