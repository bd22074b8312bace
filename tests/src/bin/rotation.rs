//! `cargo xtask rotation`: steady load through a pair of sidecars, each in a network namespace, while the certificates
//! of both rotate every few seconds. Prints what came of it; the exit code is 0 only if nothing failed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use tests::namespaces::{self, Mesh, Role, Setting, Workload};
use tests::report::{self, Check};

#[derive(Parser)]
#[command(about = "Load through two sidecars while their certificates rotate")]
struct Arguments {
    /// Requests per second.
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// For how long.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Lifetime of certificates, which are renewed halfway.
    #[arg(long, default_value = "20s")]
    lifetime: String,
}

const WORKLOADS: &[Workload] = &[
    Workload { name: "client", number: 11, role: Role::Sidecar },
    Workload { name: "server", number: 12, role: Role::Sidecar },
];

const STRICT: &str = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  \
                      namespace: istio-system\nspec:\n  mtls:\n    mode: STRICT\n";

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    ensure!(namespaces::are_possible()?, "nothing was measured");
    let helper = std::env::current_exe()?.with_file_name("workload");
    let mut mesh = Mesh::start(&Setting {
        helper: &helper,
        mesh_config: "enableAutoMtls: true",
        workloads: WORKLOADS,
        lifetime: &arguments.lifetime,
        environment: &[],
        authority: None,
    })?;
    mesh.apply(STRICT)?;
    mesh.wait("mutual TLS in force", |mesh| {
        let reply = mesh.call("client", "server", 80, "/", &[])?;
        Ok(reply.status == 200 && reply.received("x-forwarded-client-cert").is_some())
    })?;

    let mut load = mesh.load("client", "server", arguments.rate, arguments.seconds)?;
    let started = Instant::now();
    let mut serials: [Vec<String>; 2] = Default::default();
    while !load.has_ended()? {
        for (seen, name) in serials.iter_mut().zip(["client", "server"]) {
            let serial = mesh.serial(name)?;
            if seen.last() != Some(&serial) {
                seen.push(serial);
            }
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    let outcome = load.finish()?;
    let number = |key: &str| outcome[key].as_f64().context("the load has not said");
    let (requests, failed, seconds) = (number("requests")?, number("failed")?, number("seconds")?);
    let rate = requests / seconds;
    let least = started.elapsed().as_secs() / 15;
    let mut checks = vec![
        Check::new("failed requests", format!("{failed} of {requests}"), "none", failed == 0.0),
        Check::new(
            "rate",
            format!("{rate:.0} requests/s over {seconds:.0} s"),
            format!("{} requests/s, less 5 %", arguments.rate),
            rate >= f64::from(arguments.rate) * 0.95,
        ),
    ];
    for (seen, name) in serials.iter().zip(["client", "server"]) {
        checks.push(Check::new(
            format!("certificates of {name}"),
            seen.len().to_string(),
            format!("at least {least}"),
            seen.len() as u64 >= least,
        ));
    }
    let passed = report::checks("Load while certificates rotate", &checks);
    report::line(&format!(
        "latency: p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms; failures: {}",
        number("p50_ms")?,
        number("p99_ms")?,
        number("max_ms")?,
        outcome["failures"]
    ));
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
