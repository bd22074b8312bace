//! Questions for names, answered at a local port from the table that the control plane sends (NDS; platform
//! specification, 2.3 and 2.9), so that hosts of the mesh resolve where no other server knows them. Everything else is
//! passed on, unread, to the servers that this machine would ask.

mod table;
mod wire;

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use crate::settings::NameService;

pub(crate) use table::Table;

/// How long a server may take before the next one is asked.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);
/// How long a connection may be silent.
const IDLE_LIMIT: Duration = Duration::from_secs(10);
/// Questions and connections at a time; more wait.
const AT_A_TIME: usize = 512;
/// The most that an answer over UDP has, where the asker says nothing else.
const UDP_LENGTH: usize = 512;
const LONGEST: usize = 65_535;

/// Both sockets of the name service.
pub(crate) struct Sockets {
    udp: UdpSocket,
    tcp: TcpListener,
}

impl Sockets {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok(Self { udp, tcp })
    }

    /// Serves until dropped.
    pub(crate) async fn serve(self, settings: NameService, table: watch::Receiver<Arc<Table>>) {
        let shared = Arc::new(Shared { settings, table, permits: Arc::new(Semaphore::new(AT_A_TIME)) });
        tokio::join!(by_udp(Arc::new(self.udp), Arc::clone(&shared)), by_tcp(self.tcp, shared));
    }
}

struct Shared {
    settings: NameService,
    table: watch::Receiver<Arc<Table>>,
    permits: Arc<Semaphore>,
}

impl Shared {
    /// The answer from the table; `None` where others must be asked.
    fn answer(&self, message: &[u8], longest: usize) -> Option<Vec<u8>> {
        let question = wire::Question::read(message)?;
        let found = self.table.borrow().find(&question.name, &self.settings.search)?;
        let addresses = found.addresses.iter().filter(|address| match question.kind {
            wire::Kind::A => address.is_ipv4(),
            wire::Kind::Aaaa => address.is_ipv6(),
        });
        Some(question.answer(
            message,
            found.alias.as_deref(),
            &addresses.copied().collect::<Vec<_>>(),
            longest,
        ))
    }
}

async fn by_udp(socket: Arc<UdpSocket>, shared: Arc<Shared>) {
    let mut buffer = vec![0; LONGEST];
    loop {
        // An error is of one asker that has gone.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else { continue };
        let message = buffer[..length].to_vec();
        if let Some(answer) = shared.answer(&message, UDP_LENGTH) {
            let _ = socket.send_to(&answer, from).await;
            continue;
        }
        let Ok(permit) = Arc::clone(&shared.permits).acquire_owned().await else { return };
        let (socket, shared) = (Arc::clone(&socket), Arc::clone(&shared));
        tokio::spawn(async move {
            let mut answer = None;
            for server in &shared.settings.servers {
                if let Ok(Ok(bytes)) = timeout(ANSWER_LIMIT, ask_by_udp(*server, &message)).await {
                    answer = Some(bytes);
                    break;
                }
            }
            if let Some(answer) = answer.or_else(|| wire::failure(&message)) {
                let _ = socket.send_to(&answer, from).await;
            }
            drop(permit);
        });
    }
}

async fn ask_by_udp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let own =
        if server.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; LONGEST];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // The same number, or it answers something else.
        if length >= 2 && buffer.get(..2) == message.get(..2) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_tcp(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        let Ok(permit) = Arc::clone(&shared.permits).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            // Whoever breaks off, or asks nonsense, is not answered.
            let _ = converse(stream, &shared).await;
            drop(permit);
        });
    }
}

async fn converse(mut stream: TcpStream, shared: &Shared) -> io::Result<()> {
    loop {
        let message = timeout(IDLE_LIMIT, read(&mut stream)).await.map_err(io::Error::other)??;
        let mut answer = shared.answer(&message, LONGEST);
        for server in shared.settings.servers.iter().filter(|_| answer.is_none()) {
            if let Ok(Ok(bytes)) = timeout(ANSWER_LIMIT, ask_by_tcp(*server, &message)).await {
                answer = Some(bytes);
                break;
            }
        }
        let Some(answer) = answer.or_else(|| wire::failure(&message)) else { return Ok(()) };
        write(&mut stream, &answer).await?;
    }
}

async fn ask_by_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    write(&mut stream, message).await?;
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_u16(length).await?;
    stream.write_all(message).await
}

#[cfg(test)]
mod tests;
