//! `trierarch request`: asks a debug page of a control plane on this machine and prints the answer.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

/// Sends one request and prints the body. A status other than 2xx is an error.
pub(crate) fn run(method: &str, path: &str, address: &str) -> Result<()> {
    let method = method.to_ascii_uppercase();
    if !matches!(method.as_str(), "GET" | "POST") {
        bail!("the method is {method:?}; use GET or POST");
    }
    if !path.starts_with('/') || path.contains(char::is_whitespace) {
        bail!("the path {path:?} does not begin with a slash, or has blanks in it");
    }
    let mut stream = TcpStream::connect(address).with_context(|| {
        format!("nothing answers at {address}; is the control plane running on this machine?")
    })?;
    stream.set_read_timeout(Some(Duration::from_mins(1)))?;
    // HTTP/1.0 keeps the answer in one piece: no chunks, closed at its end.
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: 0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("the answer broke off")?;
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("the answer is not HTTP")?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let status = head.split_whitespace().nth(1).unwrap_or_default().to_owned();
    std::io::stdout().write_all(body)?;
    if !status.starts_with('2') {
        bail!("{path} was answered with status {status}");
    }
    Ok(())
}
