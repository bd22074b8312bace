//! A blocking HTTP/1.1 client for admin pages and test traffic: one request per connection, everything under one
//! time limit. It knows just what a test needs, so that the test binary needs no HTTP stack.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A request that is not sent yet.
#[derive(Clone, Debug)]
pub struct Request {
    method: &'static str,
    address: SocketAddr,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    limit: Duration,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case, in the order received.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// From before connecting until the last byte.
    pub elapsed: Duration,
}

/// A GET of a path from the server at an address.
pub fn get(address: SocketAddr, path: &str) -> Request {
    Request::new("GET", address, path)
}

/// A POST, without a body unless one is given.
pub fn post(address: SocketAddr, path: &str) -> Request {
    Request::new("POST", address, path)
}

impl Request {
    fn new(method: &'static str, address: SocketAddr, path: &str) -> Self {
        let limit = Duration::from_secs(5);
        Self { method, address, path: path.to_owned(), headers: Vec::new(), body: Vec::new(), limit }
    }

    /// Adds a header. `host` replaces the default, which is the address.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// What a POST brings.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// Replaces the time limit of five seconds.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sends the request and reads the whole answer.
    pub fn send(&self) -> io::Result<Response> {
        let started = Instant::now();
        let mut stream = TcpStream::connect_timeout(&self.address, self.limit)?;
        stream.set_read_timeout(Some(self.limit))?;
        stream.set_write_timeout(Some(self.limit))?;
        stream.set_nodelay(true)?;
        self.exchange(&mut stream, started)
    }

    /// The same over a connection that is open already, and under its time limits.
    pub fn send_over(&self, stream: &mut (impl Read + Write)) -> io::Result<Response> {
        self.exchange(stream, Instant::now())
    }

    fn exchange(&self, stream: &mut (impl Read + Write), started: Instant) -> io::Result<Response> {
        stream.write_all(self.head().as_bytes())?;
        stream.write_all(&self.body)?;
        let mut bytes = Vec::new();
        let mut piece = [0; 16 * 1024];
        loop {
            let n_bytes = stream.read(&mut piece)?;
            bytes.extend_from_slice(&piece[..n_bytes]);
            // A proxy may hold its side open for a while after the last byte, so its end is not waited for.
            if n_bytes == 0 || is_complete(&bytes) {
                return parse(&bytes, started.elapsed());
            }
        }
    }

    fn head(&self) -> String {
        let mut lines =
            vec![format!("{} {} HTTP/1.1", self.method, self.path), "connection: close".to_owned()];
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            lines.push(format!("host: {}", self.address));
        }
        if self.method == "POST" {
            lines.push(format!("content-length: {}", self.body.len()));
        }
        lines.extend(self.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        lines.join("\r\n") + "\r\n\r\n"
    }
}

impl Response {
    /// The first header of that name, which is given in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    pub fn json(&self) -> io::Result<Value> {
        serde_json::from_slice(&self.body).map_err(|error| invalid(&format!("the body is not JSON: {error}")))
    }
}

/// Whether the answer says where it ends and has come that far.
fn is_complete(bytes: &[u8]) -> bool {
    let Ok(head) = Head::read(bytes) else { return false };
    match (head.is_chunked(), head.length()) {
        // The end of the last chunk is asked for first: joining a large body after every piece would be slow.
        (true, _) => bytes.ends_with(b"0\r\n\r\n") && join_chunks(&bytes[head.end..]).is_ok(),
        (false, Some(length)) => bytes.len() >= head.end + length,
        (false, None) => false,
    }
}

fn parse(bytes: &[u8], elapsed: Duration) -> io::Result<Response> {
    let head = Head::read(bytes)?;
    let rest = &bytes[head.end..];
    let body = match (head.is_chunked(), head.length()) {
        (true, _) => join_chunks(rest)?,
        (false, Some(length)) => rest.get(..length).ok_or_else(|| invalid("the body ends early"))?.to_vec(),
        (false, None) => rest.to_vec(),
    };
    Ok(Response { status: head.status, headers: head.headers, body, elapsed })
}

/// Status and headers, and the offset at which the body begins.
struct Head {
    status: u16,
    headers: Vec<(String, String)>,
    end: usize,
}

impl Head {
    fn read(bytes: &[u8]) -> io::Result<Self> {
        let end = find(bytes, b"\r\n\r\n").ok_or_else(|| invalid("the answer ends before its headers do"))?;
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = text.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let status = status.ok_or_else(|| invalid("the answer has no status"))?;
        Ok(Self { status, headers: lines.filter_map(header_of).collect(), end: end + 4 })
    }

    fn is_chunked(&self) -> bool {
        self.value("transfer-encoding").is_some_and(|value| value.contains("chunked"))
    }

    fn length(&self) -> Option<usize> {
        self.value("content-length")?.parse().ok()
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

/// `Name: value` with the name in lower case.
pub(crate) fn header_of(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

pub(crate) fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

fn join_chunks(mut rest: &[u8]) -> io::Result<Vec<u8>> {
    let early = || invalid("the body ends inside a chunk");
    let mut body = Vec::new();
    loop {
        let end = find(rest, b"\r\n").ok_or_else(early)?;
        let size = String::from_utf8_lossy(&rest[..end]).into_owned();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16).map_err(|_| invalid("a chunk has no size"))?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(rest.get(end + 2..end + 2 + size).ok_or_else(early)?);
        rest = rest.get(end + 2 + size + 2..).ok_or_else(early)?;
    }
}

fn invalid(message: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_by_length_by_chunks_or_to_the_end() {
        let by_length = parse(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabc", Duration::ZERO).unwrap();
        assert_eq!((by_length.status, by_length.text().as_str()), (200, "ab"));
        let by_chunks = parse(
            b"HTTP/1.1 503 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\n\r\n",
            Duration::ZERO,
        )
        .unwrap();
        assert_eq!((by_chunks.status, by_chunks.text().as_str()), (503, "abc"));
        let to_the_end = parse(b"HTTP/1.1 204 X\r\nServer: Envoy\r\n\r\nabc", Duration::ZERO).unwrap();
        assert_eq!((to_the_end.text().as_str(), to_the_end.header("server")), ("abc", Some("Envoy")));
    }

    #[test]
    fn an_answer_is_complete_when_its_own_length_says_so() {
        assert!(is_complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab"));
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na"));
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n"));
        assert!(!is_complete(b"HTTP/1.1 200 OK\r\nServer: Envoy\r\n\r\nab"));
    }

    #[test]
    fn a_torn_answer_is_an_error() {
        for torn in
            ["", "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", "junk\r\n\r\n"]
        {
            assert!(parse(torn.as_bytes(), Duration::ZERO).is_err(), "{torn}");
        }
    }
}
