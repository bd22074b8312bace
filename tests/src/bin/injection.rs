//! `cargo run --package tests --bin injection`: how long the injection webhook of the real process takes. Clients post
//! the review of a Pod such as a Deployment makes; printed are the times of the calls and the processor time that the
//! process took for one, as a line for people and as one of JSON. Figures of a build that is not optimized say nothing.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use serde_json::{Value, json};
use testkit::control_plane::ControlPlane;
use testkit::http;
use tests::binary::binary;

#[derive(Parser)]
#[command(about = "Measure the injection webhook")]
struct Arguments {
    /// How many Pods are injected.
    #[arg(long, default_value_t = 2000)]
    calls: usize,
    /// How many clients ask at the same time.
    #[arg(long, default_value_t = 8)]
    clients: usize,
}

const LIMIT: Duration = Duration::from_mins(1);
/// Of `/proc/<pid>/stat`, on every Linux there is.
const TICKS_PER_SECOND: f64 = 100.0;

/// The injector's ConfigMap with the chart's template.
fn injector() -> Result<Value> {
    let template = testkit::workspace().join("deploy/helm/istiod/files/injection-template.yaml");
    let config = json!({"policy": "enabled", "templates": {"sidecar": std::fs::read_to_string(template)?}});
    let values = json!({
        "global": {
            "hub": "hub.test", "tag": "1", "istioNamespace": "istio-system", "pilotCertProvider": "istiod",
            "logging": {"level": "default:info"},
            "proxy": {
                "image": "proxyv2", "clusterDomain": "cluster.local", "includeIPRanges": "*",
                "includeInboundPorts": "*", "statusPort": 15020, "privileged": false, "logLevel": "warning",
                "componentLogLevel": "misc:error", "readinessInitialDelaySeconds": 0,
                "readinessPeriodSeconds": 15, "readinessFailureThreshold": 4,
            },
            "proxy_init": {"image": "proxyv2"}, "sds": {"token": {"aud": "istio-ca"}}, "sts": {"servicePort": 0},
        },
        "pilot": {"cni": {"enabled": false}}, "revision": "",
        "sidecarInjectorWebhook": {"rewriteAppHTTPProbe": true},
    });
    Ok(json!({"apiVersion": "v1", "kind": "ConfigMap",
              "metadata": {"name": "istio-sidecar-injector", "namespace": "istio-system"},
              "data": {"config": config.to_string(), "values": values.to_string()}}))
}

fn review() -> String {
    json!({"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
           "request": {"uid": "1", "namespace": "shop", "object": {"kind": "Pod", "apiVersion": "v1",
        "metadata": {"generateName": "web-5d4-", "labels": {"app": "web", "pod-template-hash": "5d4"},
            "ownerReferences": [{"kind": "ReplicaSet", "apiVersion": "apps/v1", "name": "web-5d4", "controller": true}]},
        "spec": {"serviceAccountName": "web", "containers": [{"name": "web", "image": "web:1",
            "ports": [{"name": "http", "containerPort": 8080}], "resources": {},
            "readinessProbe": {"httpGet": {"path": "/ready", "port": "http"}}}]}}}})
    .to_string()
}

/// Seconds of processor time that a process has taken.
fn processor_time(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name in brackets may hold anything.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields.get(index).and_then(|ticks| ticks.parse::<f64>().ok());
    Ok((ticks(11).context("utime")? + ticks(12).context("stime")?) / TICKS_PER_SECOND)
}

/// Asks until all calls are made; the time of each.
fn ask(address: SocketAddr, body: &str, left: &AtomicUsize) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
        let request = http::post(address, "/inject").header("content-type", "application/json").body(body);
        let started = Instant::now();
        let response = request.send()?;
        times.push(started.elapsed());
        ensure!(response.text().contains("\"patch\":"), "no patch: {}", response.text());
    }
    Ok(times)
}

/// How this program, and so most likely the process beside it, was built.
fn profile() -> &'static str {
    if cfg!(debug_assertions) { "debug" } else { "optimized" }
}

#[expect(clippy::print_stdout, reason = "the figures are the output of this command")]
fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let binary = binary()?;
    let folder: PathBuf = std::env::temp_dir().join(format!("trierarch-injection-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("config"))?;
    std::fs::write(folder.join("config/injector.yaml"), injector()?.to_string())?;
    let mut running = ControlPlane::below(&folder, &binary)?.start()?;
    running.wait_ready(LIMIT)?;
    let (address, pid) = (running.addresses().http, running.process().id());
    let body = review();
    ask(address, &body, &AtomicUsize::new(10))?;

    let left = AtomicUsize::new(arguments.calls);
    let (before, started) = (processor_time(pid)?, Instant::now());
    let times: Result<Vec<Vec<Duration>>> = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..arguments.clients).map(|_| scope.spawn(|| ask(address, &body, &left))).collect();
        clients
            .into_iter()
            .map(|client| client.join().map_err(|_| anyhow::anyhow!("a client panicked"))?)
            .collect()
    });
    let (elapsed, processor) = (started.elapsed(), processor_time(pid)? - before);
    let mut times = times?.concat();
    times.sort_unstable();
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).or(times.last()).copied();
    let milliseconds = |time: Option<Duration>| time.unwrap_or_default().as_secs_f64() * 1e3;
    let (p50, p99) = (milliseconds(at(0.5)), milliseconds(at(0.99)));
    let longest = milliseconds(times.last().copied());
    let per_call = processor * 1e3 / times.len().max(1) as f64;
    let (n_calls, n_clients, profile) = (times.len(), arguments.clients, profile());
    println!(
        "{n_calls} injections by {n_clients} clients in {elapsed:.2?} ({profile}): p50 {p50:.2} ms, p99 {p99:.2} ms, \
         longest {longest:.2} ms, processor {per_call:.2} ms per call"
    );
    println!(
        "{}",
        json!({"case": "injection", "profile": profile, "calls": n_calls, "clients": n_clients,
               "seconds": elapsed.as_secs_f64(), "p50_ms": p50, "p99_ms": p99, "longest_ms": longest,
               "cpu_ms_per_call": per_call})
    );
    drop(running);
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}
