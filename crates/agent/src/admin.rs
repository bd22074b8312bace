//! Envoy's administration, asked over HTTP on this machine.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Longer answers are cut.
const MAX: u64 = 64 << 20;

/// A status and a body.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

/// GETs a page.
pub(crate) async fn get(address: SocketAddr, path: &str) -> io::Result<Answer> {
    ask(address, "GET", path).await
}

/// POSTs to a page, without a body.
pub(crate) async fn post(address: SocketAddr, path: &str) -> io::Result<Answer> {
    ask(address, "POST", path).await
}

async fn ask(address: SocketAddr, method: &str, path: &str) -> io::Result<Answer> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        stream.take(MAX).read_to_end(&mut bytes).await?;
        parse(&bytes).ok_or_else(|| io::Error::other("the answer is not HTTP"))
    };
    match timeout(LIMIT, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, format!("{address}{path} does not answer"))),
    }
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let status = head.split_ascii_whitespace().nth(1)?.parse().ok()?;
    let is_chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let rest = &bytes[end + 4..];
    let body = if is_chunked { joined(rest)? } else { rest.to_vec() };
    Some(Answer { status, body })
}

/// Chunks as one.
fn joined(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n")?;
        let line = std::str::from_utf8(&rest[..end]).ok()?;
        let length = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        rest = rest.get(end + 2..)?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..length)?);
        rest = rest.get(length.checked_add(2)?..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_joined_and_nonsense_is_no_answer() {
        let text = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n";
        let answer = parse(text).expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"abcd"[..]));
        let plain = parse(b"HTTP/1.1 503 no\r\n\r\nnot yet").expect("an answer");
        assert_eq!((plain.status, plain.body.as_slice()), (503, &b"not yet"[..]));
        assert!(
            parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\n").is_none()
        );
        assert!(parse(b"nonsense").is_none());
    }
}
