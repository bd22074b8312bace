//! Certificates of workloads: sixteen clients ask over TLS with tokens, as agents do, and the processor time is that of
//! the control plane alone (performance specification, B9). Once with keys on P-256, once with RSA-2048, the authority's
//! own key being of the same kind.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proto::istio::certificates::IstioCertificateRequest;
use serde_json::{Value, json};
use testkit::cluster::objects;
use testkit::secure::{KeyKind, TokenIssuer, connect, create_certificate, new_request, plugged_in};
use testkit::wait;
use tokio::task::JoinSet;

use super::figures::Figures;
use super::stage::{Bench, LIMIT};
use super::world::World;

/// Clients that ask at once, each over a connection of its own.
const CLIENTS: usize = 16;
/// What each asks for before anything is measured.
const WARM: usize = 10;
const HOST: &str = "istiod.istio-system.svc";

/// Both kinds of keys.
pub(super) fn measure(bench: &Bench) -> Result<Vec<Figures>> {
    ensure!(bench.target.is_none(), "B9 measures our own control plane only, as it needs its keys");
    [("P-256", KeyKind::P256), ("RSA-2048", KeyKind::Rsa(2048))]
        .into_iter()
        .map(|(name, kind)| of_kind(bench, name, kind).with_context(|| name.to_owned()))
        .collect()
}

fn of_kind(bench: &Bench, name: &str, kind: KeyKind) -> Result<Figures> {
    let world = bench.world(&accounts(bench.over_api))?;
    let folder = bench.below.join(format!("cacerts-{name}"));
    fs::create_dir_all(&folder)?;
    let files = plugged_in(kind)?;
    for (name, text) in &files {
        fs::write(folder.join(name), text)?;
    }
    let root = &files.last().context("no root")?.1;
    let issuer = TokenIssuer::new("https://issuer.test")?;
    let mut environment = vec![("ROOT_CA_DIR".to_owned(), folder.display().to_string())];
    if !bench.over_api {
        environment.push(("JWT_RULE".to_owned(), issuer.rule()));
    }
    let address = wait::free_address(Ipv4Addr::LOCALHOST.into())?;
    let mut plane = bench.plane(&world)?.secured(address, environment);
    plane.start(LIMIT)?;

    let n_each = bench.n(10_000).div_ceil(CLIENTS);
    let (latencies, wall, usage) = bench.runtime.block_on(async {
        let mut clients = Vec::new();
        for number in 0..CLIENTS {
            clients.push(Client {
                channel: until_connected(address, root).await?,
                token: token(&world, &issuer, number).await?,
                request: new_request(kind)?.1,
            });
        }
        ask_all(&clients, WARM).await?;
        let (before, started) = (plane.usage()?, Instant::now());
        let latencies = ask_all(&clients, n_each).await?;
        anyhow::Ok((latencies, started.elapsed(), plane.usage()?.since(before)))
    })?;
    let place = if bench.over_api { "tokens reviewed by an API server" } else { "tokens of an OIDC issuer" };
    let what = format!("CreateCertificate, {name}, {CLIENTS} clients over TLS, {place}");
    let mut figures = Figures::new("B9", what);
    let n_issued = latencies.len() as f64;
    figures.add("issued_n", n_issued);
    figures.add("per_cpu_second_n", n_issued / usage.total());
    figures.add("per_second_n", n_issued / wall.as_secs_f64());
    figures.add("cpu_s", usage.total());
    figures.latencies(latencies);
    Ok(figures)
}

#[derive(Clone)]
struct Client {
    channel: testkit::secure::Channel,
    token: String,
    request: IstioCertificateRequest,
}

/// Lets every client ask so often, one request after the other. Returns how long each took.
async fn ask_all(clients: &[Client], n_each: usize) -> Result<Vec<Duration>> {
    let mut running = JoinSet::new();
    for client in clients.iter().cloned() {
        running.spawn(async move {
            let mut latencies = Vec::with_capacity(n_each);
            for _ in 0..n_each {
                let started = Instant::now();
                let reply =
                    create_certificate(&client.channel, Some(&client.token), client.request.clone()).await?;
                latencies.push(started.elapsed());
                ensure!(reply.len() >= 2, "a reply has the certificate and the roots");
            }
            Ok(latencies)
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        all.extend(ended??);
    }
    Ok(all)
}

async fn until_connected(address: SocketAddr, root: &str) -> Result<testkit::secure::Channel> {
    let started = Instant::now();
    loop {
        match connect(address, HOST, root, None).await {
            Ok(channel) => return Ok(channel),
            Err(error) if started.elapsed() > LIMIT => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// The token of the client with this number.
async fn token(world: &World, issuer: &TokenIssuer, number: usize) -> Result<String> {
    let Some(client) = world.client() else {
        return Ok(issuer.token("shop", &format!("client-{number}")));
    };
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest",
                         "spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600}});
    let path = format!("/api/v1/namespaces/shop/serviceaccounts/client-{number}/token");
    let answer = objects::post(client, &path, &request).await?;
    Ok(answer["status"]["token"].as_str().context("no token")?.to_owned())
}

/// Service accounts of the clients, where there is an API server that knows such.
fn accounts(over_api: bool) -> Vec<Value> {
    let account = |number| {
        json!({"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": format!("client-{number}"), "namespace": "shop"}})
    };
    if over_api { (0..CLIENTS).map(account).collect() } else { Vec::new() }
}
