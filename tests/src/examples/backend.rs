//! The application behind a pod's address. It answers with its pod and version and remembers what it received; a path
//! asks for more: `/status/503` for that status, `/slow/400` for 400 ms, `/flaky/key/2` for two failures first.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use testkit::http_server::{Answer, Received, Server};

/// A running application.
pub(super) struct Backend {
    received: Arc<Mutex<Vec<Received>>>,
    _server: Server,
}

impl Backend {
    /// Listens on a pod's address.
    pub(super) fn start(address: SocketAddr, pod: &str, version: &str) -> io::Result<Self> {
        let received: Arc<Mutex<Vec<Received>>> = Arc::default();
        let notes = Arc::clone(&received);
        let failures: Mutex<BTreeMap<String, u32>> = Mutex::default();
        let (pod, version) = (pod.to_owned(), version.to_owned());
        let server = Server::start(address, move |request| {
            notes.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
            let status = status_of(&request.path, &failures);
            Answer::new(status, pod.clone()).header("x-pod", &pod).header("x-version", &version)
        })?;
        Ok(Self { received, _server: server })
    }

    /// Every request so far.
    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn status_of(path: &str, failures: &Mutex<BTreeMap<String, u32>>) -> u16 {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["", "status", status] => status.parse().unwrap_or(400),
        ["", "slow", milliseconds] => {
            std::thread::sleep(Duration::from_millis(milliseconds.parse().unwrap_or(0)));
            200
        }
        ["", "flaky", key, times] => {
            let mut failures = failures.lock().unwrap_or_else(PoisonError::into_inner);
            let failed = failures.entry((*key).to_owned()).or_default();
            *failed += 1;
            if *failed <= times.parse().unwrap_or(0) { 503 } else { 200 }
        }
        _ => 200,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_asks_for_a_status_or_for_failures_first() {
        let failures = Mutex::default();
        let got = |path: &str| status_of(path, &failures);
        assert_eq!([got("/"), got("/status/418"), got("/slow/1")], [200, 418, 200]);
        assert_eq!([got("/flaky/a/1"), got("/flaky/a/1"), got("/flaky/b/1")], [503, 200, 503]);
    }
}
