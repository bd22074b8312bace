//! As much of a resolver as a test needs: one question for IPv4 addresses over UDP.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// Bytes of an answer before its first record, less those of the name.
const BEFORE_RECORDS: usize = 12 + 2 + 4;

/// The addresses that a server tells of a name; none where it knows none.
pub fn addresses(server: SocketAddr, name: &str) -> io::Result<Vec<String>> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).map_err(io::Error::other)?);
        message.extend_from_slice(label.as_bytes());
    }
    message.extend_from_slice(&[0, 0, 1, 0, 1]);
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.connect(server)?;
    socket.send(&message)?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    let records = answer.get(BEFORE_RECORDS + name.len()..).unwrap_or_default();
    // A pointer to the name, type, class, time to live, length, address.
    Ok(records
        .chunks_exact(16)
        .map(|record| Ipv4Addr::new(record[12], record[13], record[14], record[15]).to_string())
        .collect())
}
