//! `swarm --target http://HOST:15010 --proxies 100`: opens streams as sidecars would and tells what comes, until it is
//! interrupted or `--seconds` have passed.

use std::io::Write as _;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use clap::Parser;
use swarm::{Event, Options, Place, Swarm, node};

/// A thousand streams make many small allocations on all threads, which is to cost little beside what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Opens many delta ADS streams, as sidecars would.
#[derive(Debug, Parser)]
#[command(name = "swarm", version)]
struct Arguments {
    /// The ADS server, in plain text.
    #[arg(long, default_value = "http://127.0.0.1:15010")]
    target: String,
    /// Streams to open.
    #[arg(long, default_value_t = 100)]
    proxies: usize,
    /// Namespaces that they are spread over; proxy i is a pod of service `svc-i`.
    #[arg(long, default_value_t = 1)]
    namespaces: usize,
    /// When to stop; 0 is never.
    #[arg(long, default_value_t = 0)]
    seconds: u64,
    /// Streams that are opened again tell what they have, as an Envoy that lives on does.
    #[arg(long)]
    resume: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Runtime::new()?;
    let place = |index: usize| Place {
        namespace: format!("ns-{}", index % arguments.namespaces.max(1)),
        app: format!("svc-{index}"),
        pod: format!("svc-{index}-0"),
        ip: format!("10.{}.{}.{}", 64 + index / 62_500, index / 250 % 250, index % 250 + 1),
    };
    let nodes = (0..arguments.proxies).map(|index| node(&place(index))).collect();
    let options = Options { resume: arguments.resume, ..Options::new(arguments.target) };
    let started = Instant::now();
    let swarm = Swarm::start(runtime.handle(), options, nodes);
    let (mut n_synced, mut n_responses, mut n_bytes, mut n_ended) = (0, 0, 0, 0);
    let mut output = std::io::stdout();
    let mut told = Instant::now();
    loop {
        match swarm.events().recv_timeout(Duration::from_secs(1)) {
            Ok(Event::Synced { .. }) => n_synced += 1,
            Ok(Event::Answered { n_bytes: bytes, .. }) => {
                n_responses += 1;
                n_bytes += bytes;
            }
            Ok(Event::Ended { stream, reason, .. }) => {
                n_ended += 1;
                if n_ended <= 10 {
                    writeln!(output, "stream {stream} ended: {reason}")?;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if told.elapsed() >= Duration::from_secs(1) {
            told = Instant::now();
            writeln!(
                output,
                "{:.0} s: {n_synced} synced, {n_responses} responses, {n_bytes} bytes, {n_ended} ended",
                started.elapsed().as_secs_f64()
            )?;
        }
        if arguments.seconds > 0 && started.elapsed().as_secs() >= arguments.seconds {
            return Ok(());
        }
    }
}
