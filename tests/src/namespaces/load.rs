//! Requests at a steady rate over kept connections, each answer judged: what fails is counted with its reason.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::tls_client::TlsClient;

/// How long a connection, a read or a write may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What to send.
#[derive(Clone, Debug)]
pub struct Load {
    pub address: SocketAddr,
    pub path: String,
    pub host: String,
    /// Requests per second, all connections together.
    pub rate: u32,
    pub connections: u32,
    /// Over TLS, where told how.
    pub tls: Option<TlsClient>,
    /// For how long at most.
    pub duration: Duration,
    /// Set by whoever wants it to end before.
    pub stop: Arc<AtomicBool>,
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub n_sent: u64,
    /// How many connections that took.
    pub n_connected: u64,
    /// How often each kind of failure.
    pub failures: BTreeMap<String, u64>,
    /// Of each answer, sorted.
    pub latencies: Vec<Duration>,
    pub elapsed: Duration,
}

impl Outcome {
    /// As one object.
    pub fn to_json(&self) -> Value {
        let at = |part: f64| {
            let index = (self.latencies.len() as f64 * part) as usize;
            let latency = self.latencies.get(index.min(self.latencies.len().saturating_sub(1)));
            latency.map_or(0.0, |latency| latency.as_secs_f64() * 1000.0)
        };
        json!({
            "requests": self.n_sent,
            "connections": self.n_connected,
            "failed": self.failures.values().sum::<u64>(),
            "failures": self.failures,
            "seconds": self.elapsed.as_secs_f64(),
            "p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1.0),
        })
    }
}

/// Sends until the time is over. A request that is late is sent at once, so that the rate is kept on the whole.
pub fn run(load: &Load) -> Outcome {
    let started = Instant::now();
    let threads: Vec<_> = (0..load.connections.max(1))
        .map(|number| {
            let load = load.clone();
            thread::spawn(move || one(&load, number, started))
        })
        .collect();
    let mut all = Outcome::default();
    for outcome in threads.into_iter().filter_map(|thread| thread.join().ok()) {
        all.n_sent += outcome.n_sent;
        all.n_connected += outcome.n_connected;
        all.latencies.extend(outcome.latencies);
        for (reason, n) in outcome.failures {
            *all.failures.entry(reason).or_default() += n;
        }
    }
    all.elapsed = started.elapsed();
    all.latencies.sort_unstable();
    all
}

fn one(load: &Load, number: u32, started: Instant) -> Outcome {
    let connections = load.connections.max(1);
    let pause = Duration::from_secs_f64(f64::from(connections) / f64::from(load.rate.max(1)));
    let mut next = started + pause.mul_f64(f64::from(number) / f64::from(connections));
    let mut outcome = Outcome::default();
    let mut connection = None;
    while started.elapsed() < load.duration && !load.stop.load(Ordering::Acquire) {
        if let Some(wait) = next.checked_duration_since(Instant::now()) {
            thread::sleep(wait);
        }
        next += pause;
        let sent = Instant::now();
        outcome.n_sent += 1;
        outcome.n_connected += u64::from(connection.is_none());
        match exchange(load, &mut connection) {
            Ok(200) => outcome.latencies.push(sent.elapsed()),
            Ok(status) => *outcome.failures.entry(format!("status {status}")).or_default() += 1,
            Err(error) => {
                connection = None;
                *outcome.failures.entry(error.to_string()).or_default() += 1;
            }
        }
    }
    outcome
}

trait Stream: Read + Write {}

impl<T: Read + Write> Stream for T {}

type Connection = BufReader<Box<dyn Stream>>;

fn connect(load: &Load) -> io::Result<Box<dyn Stream>> {
    if let Some(tls) = &load.tls {
        return Ok(Box::new(tls.connect(load.address, LIMIT)?));
    }
    let stream = TcpStream::connect_timeout(&load.address, LIMIT)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(LIMIT))?;
    Ok(Box::new(stream))
}

fn exchange(load: &Load, connection: &mut Option<Connection>) -> io::Result<u16> {
    let stream = match connection {
        Some(stream) => stream,
        None => connection.insert(BufReader::new(connect(load)?)),
    };
    let request = format!("GET {} HTTP/1.1\r\nhost: {}\r\n\r\n", load.path, load.host);
    stream.get_mut().write_all(request.as_bytes())?;
    stream.get_mut().flush()?;
    let malformed = || io::Error::other("the answer is not HTTP");
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::Error::other("the connection was closed"));
    }
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(malformed)?;
    let (mut length, mut closes) = (0, false);
    loop {
        line.clear();
        if stream.read_line(&mut line)? == 0 {
            return Err(malformed());
        }
        let header = line.trim_end().to_ascii_lowercase();
        if header.is_empty() {
            break;
        }
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().map_err(|_| malformed())?;
        }
        closes |= header == "connection: close";
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    if closes {
        *connection = None;
    }
    Ok(status)
}
