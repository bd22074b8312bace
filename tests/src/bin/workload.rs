//! What runs inside a network namespace in place of an application: a small server, one request, or load at a given
//! rate. Prints one line of JSON; so the test outside learns what happened inside.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use serde_json::json;
use testkit::http;
use testkit::http_server::{Answer, Received, Server};
use tests::namespaces::load;
use tests::report;

#[derive(Parser)]
#[command(about = "A server or a client inside a network namespace")]
enum Role {
    /// Answer with a name and the headers received; 403 unless `x-allow: yes`, where that is asked for.
    Serve {
        /// Where, one or several.
        addresses: Vec<SocketAddr>,
        /// Refuse what has no `x-allow: yes`.
        #[arg(long)]
        guard: bool,
    },
    /// One request.
    Get {
        address: SocketAddr,
        path: String,
        /// `name: value`
        #[arg(short = 'H')]
        headers: Vec<String>,
    },
    /// Requests at a rate over kept connections.
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
        #[arg(long)]
        seconds: u64,
    },
}

fn main() -> Result<()> {
    match Role::parse() {
        Role::Serve { addresses, guard } => serve(&addresses, guard),
        Role::Get { address, path, headers } => {
            get(address, &path, &headers);
            Ok(())
        }
        Role::Load { address, path, host, rate, connections, seconds } => {
            let outcome = load::run(&load::Load {
                address,
                path,
                host,
                rate,
                connections,
                duration: Duration::from_secs(seconds),
            });
            report::line(&outcome.to_json().to_string());
            Ok(())
        }
    }
}

fn serve(addresses: &[SocketAddr], guard: bool) -> Result<()> {
    let answer = move |request: &Received| {
        let headers: serde_json::Map<_, _> =
            request.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        let status = if guard && request.header("x-allow") != Some("yes") { 403 } else { 200 };
        Answer::new(status, json!({"path": request.path, "headers": headers}).to_string())
    };
    let servers = addresses.iter().map(|address| Server::start(*address, answer));
    let _servers = servers.collect::<std::io::Result<Vec<_>>>()?;
    loop {
        std::thread::park();
    }
}

fn get(address: SocketAddr, path: &str, headers: &[String]) {
    let mut request = http::get(address, path);
    for (name, value) in headers.iter().filter_map(|header| header.split_once(':')) {
        request = request.header(name.trim(), value.trim());
    }
    let outcome = match request.send() {
        Ok(response) => json!({"status": response.status, "body": response.text()}),
        Err(error) => json!({"status": 0, "body": error.to_string()}),
    };
    report::line(&outcome.to_string());
}
