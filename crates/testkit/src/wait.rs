//! Waiting for what another process will do: ask again until it holds or a deadline passes. Never a blind sleep.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::thread;
use std::time::{Duration, Instant};

/// The pause between two questions; short beside anything that is waited for.
const PAUSE: Duration = Duration::from_millis(20);

/// Asks until there is an answer. The error names what was waited for and the last reason why not.
pub fn until<T>(
    what: &str,
    limit: Duration,
    mut ask: impl FnMut() -> io::Result<Option<T>>,
) -> io::Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        let reason = match ask() {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => "not yet".to_owned(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= deadline {
            let message = format!("{what} within {limit:?}: {reason}");
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        thread::sleep(PAUSE);
    }
}

/// An address whose port nobody listens on now.
pub fn free_address(ip: IpAddr) -> io::Result<SocketAddr> {
    TcpListener::bind((ip, 0))?.local_addr()
}
