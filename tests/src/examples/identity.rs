//! The example of identity: mutual TLS between workloads that have proved who they are.

use std::time::Duration;

use anyhow::Result;
use testkit::http;
use testkit::tls_client::TlsClient;

use super::checks::{equal, holds};
use super::running::Running;
use crate::report::Check;

/// The port of the server's sidecar.
const PORT: u16 = 9080;

pub(super) fn mutual_tls(running: &Running) -> Result<Vec<Check>> {
    const N: usize = 20;
    for _ in 0..N {
        running.ask("httpbin", "/", &[])?;
    }
    let received = running.received("httpbin");
    let caller = "URI=spiffe://cluster.local/ns/mutual-tls/sa/client";
    let proved = received.iter().filter(|request| {
        request.header("x-forwarded-client-cert").is_some_and(|value| value.contains(caller))
    });
    let handshakes: u64 = running
        .admin("client")?
        .stats("^cluster.outbound.*httpbin.mutual-tls.*ssl.handshake$")?
        .values()
        .sum();

    let sidecar = running.at("httpbin", PORT)?;
    let plain = http::get(sidecar, "/").header("host", "httpbin").send();
    let nobody = TlsClient {
        roots: String::new(),
        server_name: String::new(),
        identity: None,
        alpn: vec!["istio".to_owned()],
    };
    let unproved = nobody
        .connect(sidecar, Duration::from_secs(5))
        .and_then(|mut stream| http::get(sidecar, "/").header("host", "httpbin").send_over(&mut stream));
    let outcome = |answer: std::io::Result<http::Response>| match answer {
        Ok(response) => response.status.to_string(),
        Err(_) => "no answer".to_owned(),
    };
    Ok(vec![
        equal("requests through the sidecars", &proved.count(), &N),
        holds("TLS handshakes of the client", handshakes.to_string(), "at least 1", handshakes > 0),
        equal("plain text, past the client's sidecar", &outcome(plain), &"no answer".to_owned()),
        equal("TLS without a certificate", &outcome(unproved), &"no answer".to_owned()),
        equal("requests that httpbin received", &running.received("httpbin").len(), &N),
    ])
}
