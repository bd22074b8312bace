//! A small HTTP/1.1 server for tests: a thread per connection, a function from request to answer. Dropping it
//! closes the port.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::{find, header_of};

/// A running server.
pub struct Server {
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

/// A request as received; its body is read and dropped.
#[derive(Clone, Debug, Default)]
pub struct Received {
    pub method: String,
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    /// The first header of that name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

impl Answer {
    /// A status and a text.
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

impl Server {
    /// Listens on the address and answers every request with the function.
    pub fn start(
        address: SocketAddr,
        answer: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)
            .map_err(|error| io::Error::new(error.kind(), format!("listening on {address}: {error}")))?;
        let address = listener.local_addr()?;
        let stopping = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stopping);
        let answer = Arc::new(answer);
        let accept = move || {
            for stream in listener.incoming() {
                if seen.load(Ordering::Acquire) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let answer = Arc::clone(&answer);
                let seen = Arc::clone(&seen);
                // A client that breaks off is its own affair.
                thread::spawn(move || drop(serve(stream, &*answer, &seen)));
            }
        };
        let acceptor = thread::Builder::new().name(format!("http {address}")).spawn(accept)?;
        Ok(Self { address, stopping, acceptor: Some(acceptor) })
    }

    /// Where the server listens, with the real port if 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        // One last connection wakes the acceptor, which then sees that it is over.
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_secs(1));
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Requests of one connection until it closes or the server stops.
fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(&Received) -> Answer,
    stopping: &AtomicBool,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    while let Some(request) = receive(&mut stream, &mut buffer)? {
        if stopping.load(Ordering::Acquire) {
            break;
        }
        let answer = answer(&request);
        let mut lines =
            vec![format!("HTTP/1.1 {} -", answer.status), format!("content-length: {}", answer.body.len())];
        lines.extend(answer.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        let text = lines.join("\r\n") + "\r\n\r\n" + &answer.body;
        stream.write_all(text.as_bytes())?;
        if request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            break;
        }
    }
    Ok(())
}

/// The next request, or nothing when the client has closed.
fn receive(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Option<Received>> {
    let end = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end;
        }
        if !read_more(stream, buffer)? {
            return Ok(None);
        }
    };
    let request = parse(&String::from_utf8_lossy(&buffer[..end]));
    let length = request.header("content-length").and_then(|value| value.parse::<usize>().ok()).unwrap_or(0);
    while buffer.len() < end + 4 + length {
        if !read_more(stream, buffer)? {
            return Ok(None);
        }
    }
    buffer.drain(..end + 4 + length);
    Ok(Some(request))
}

fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<bool> {
    let mut bytes = [0; 4096];
    let n_bytes = stream.read(&mut bytes)?;
    buffer.extend_from_slice(&bytes[..n_bytes]);
    Ok(n_bytes > 0)
}

fn parse(head: &str) -> Received {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    Received { method, path, headers: lines.filter_map(header_of).collect() }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::http;

    fn echo() -> Server {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Server::start(address, |request| {
            Answer::new(200, format!("{} {}", request.method, request.path))
                .header("x-user", request.header("end-user").unwrap_or("nobody"))
        })
        .unwrap()
    }

    #[test]
    fn a_request_reaches_the_function_and_its_answer_comes_back() {
        let server = echo();
        let response = http::get(server.address(), "/a?b").header("End-User", "jason").send().unwrap();
        assert_eq!((response.status, response.text().as_str()), (200, "GET /a?b"));
        assert_eq!(response.header("x-user"), Some("jason"));
        assert_eq!(http::post(server.address(), "/p").send().unwrap().header("x-user"), Some("nobody"));
    }

    #[test]
    fn several_requests_share_a_connection() {
        let server = echo();
        let mut stream = TcpStream::connect(server.address()).unwrap();
        stream.write_all(b"POST /1 HTTP/1.1\r\nContent-Length: 2\r\n\r\nxxGET /2 HTTP/1.1\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.contains("POST /1HTTP/1.1 200") && text.ends_with("GET /2"), "{text}");
    }

    #[test]
    fn a_dropped_server_frees_its_port() {
        let address = echo().address();
        assert!(TcpListener::bind(address).is_ok());
    }
}
