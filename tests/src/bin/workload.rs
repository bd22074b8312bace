//! What runs inside a network namespace in place of an application: a small server, one request, or load at a given
//! rate. Prints one line of JSON; so the test outside learns what happened inside.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Args, Parser};
use serde_json::json;
use testkit::http::{self, Response};
use testkit::http_server::{Answer, Received, Server};
use testkit::secure::ClientIdentity;
use testkit::tls_client::TlsClient;
use tests::namespaces::{load, resolve};
use tests::report;

#[derive(Parser)]
#[command(about = "A server or a client inside a network namespace")]
enum Role {
    /// Answer with the path and the headers received.
    Serve {
        /// Where, one or several.
        addresses: Vec<SocketAddr>,
        /// Refuse with 403 what does not say `yes` in this header.
        #[arg(long, value_name = "HEADER")]
        guard: Option<String>,
    },
    /// One request.
    Get {
        address: SocketAddr,
        path: String,
        /// `name: value`
        #[arg(short = 'H')]
        headers: Vec<String>,
        #[command(flatten)]
        tls: Tls,
    },
    /// The IPv4 addresses of a name, as a server tells them over UDP.
    Resolve { server: SocketAddr, name: String },
    /// Requests at a rate over kept connections, until the time is over or the standard input ends.
    Load {
        address: SocketAddr,
        path: String,
        #[arg(long)]
        host: String,
        /// Requests per second, all connections together.
        #[arg(long)]
        rate: u32,
        #[arg(long, default_value_t = 16)]
        connections: u32,
        #[arg(long, default_value_t = 600)]
        seconds: u64,
        #[command(flatten)]
        tls: Tls,
    },
}

/// TLS, where roots are named.
#[derive(Args)]
struct Tls {
    /// File with the roots that the server must have its certificate by.
    #[arg(long)]
    roots: Option<PathBuf>,
    /// The name that it must be for.
    #[arg(long, default_value = "")]
    server_name: String,
    /// File with the client's certificate and key.
    #[arg(long)]
    identity: Option<PathBuf>,
    /// Protocols to offer.
    #[arg(long)]
    alpn: Vec<String>,
}

impl Tls {
    fn client(self) -> Result<Option<TlsClient>> {
        let Some(roots) = self.roots else { return Ok(None) };
        let read = |path: &PathBuf| {
            fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        // One file may hold both; each reader takes what it looks for.
        let identity = self.identity.as_ref().map(read).transpose()?;
        let identity = identity.map(|both| ClientIdentity { chain: both.clone(), key: both });
        let (server_name, alpn) = (self.server_name, self.alpn);
        Ok(Some(TlsClient { roots: read(&roots)?, server_name, identity, alpn }))
    }
}

fn main() -> Result<()> {
    match Role::parse() {
        Role::Serve { addresses, guard } => serve(&addresses, guard),
        Role::Get { address, path, headers, tls } => {
            get(address, &path, &headers, tls.client()?);
            Ok(())
        }
        Role::Resolve { server, name } => {
            let outcome = match resolve::addresses(server, &name) {
                Ok(addresses) => json!({"status": 200, "body": addresses.join(" ")}),
                Err(error) => json!({"status": 0, "body": error.to_string()}),
            };
            report::line(&outcome.to_string());
            Ok(())
        }
        Role::Load { address, path, host, rate, connections, seconds, tls } => {
            let stop = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&stop);
            std::thread::spawn(move || {
                // Whoever started this keeps it open as long as it shall go on; a failed read ends it as well.
                let _ = io::copy(&mut io::stdin(), &mut io::sink());
                seen.store(true, Ordering::Release);
            });
            let outcome = load::run(&load::Load {
                address,
                path,
                host,
                rate,
                connections,
                tls: tls.client()?,
                duration: Duration::from_secs(seconds),
                stop,
            });
            report::line(&outcome.to_json().to_string());
            Ok(())
        }
    }
}

fn serve(addresses: &[SocketAddr], guard: Option<String>) -> Result<()> {
    let answer = move |request: &Received| {
        let headers: serde_json::Map<_, _> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let is_refused = guard.as_ref().is_some_and(|name| request.header(name) != Some("yes"));
        let status = if is_refused { 403 } else { 200 };
        Answer::new(status, json!({"path": request.path, "headers": headers}).to_string())
    };
    let servers = addresses.iter().map(|address| Server::start(*address, answer.clone()));
    let _servers = servers.collect::<io::Result<Vec<_>>>()?;
    loop {
        std::thread::park();
    }
}

fn get(address: SocketAddr, path: &str, headers: &[String], tls: Option<TlsClient>) {
    let mut request = http::get(address, path);
    for (name, value) in headers.iter().filter_map(|header| header.split_once(':')) {
        request = request.header(name.trim(), value.trim());
    }
    let mut certificate = String::new();
    let outcome = match tls {
        None => request.send(),
        Some(tls) => over_tls(&request, address, &tls, &mut certificate),
    };
    let outcome = match outcome {
        Ok(response) => json!({"status": response.status, "body": response.text(), "peer": certificate}),
        Err(error) => json!({"status": 0, "body": error.to_string(), "peer": certificate}),
    };
    report::line(&outcome.to_string());
}

/// Notes the server's certificate, also where the request fails.
fn over_tls(
    request: &http::Request,
    address: SocketAddr,
    tls: &TlsClient,
    certificate: &mut String,
) -> io::Result<Response> {
    let mut stream = tls.connect(address, Duration::from_secs(5))?;
    *certificate = stream.peer();
    request.send_over(&mut stream)
}
