//! An ingress gateway whose certificates are Secrets (security specification, 5 and 6): SIMPLE and MUTUAL, clients with
//! the right certificate, a wrong one and none, and Secrets that change under open connections.

use anyhow::{Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tests::namespaces::{Certified, Issuer, Mesh, NAMESPACE};

const HOST: &str = "shop.example.com";
const SIMPLE: &str = "10.77.1.16:8443";
const MUTUAL: &str = "10.77.1.16:9443";

fn gateway() -> String {
    format!(
        "apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata:\n  name: ingress\n  namespace: \
         {NAMESPACE}\nspec:\n  selector:\n    istio: ingress\n  servers:\n  - port: {{number: 8443, name: https-simple, \
         protocol: HTTPS}}\n    hosts: [{HOST}]\n    tls: {{mode: SIMPLE, credentialName: simple}}\n  - port: {{number: \
         9443, name: https-mutual, protocol: HTTPS}}\n    hosts: [{HOST}]\n    tls: {{mode: MUTUAL, credentialName: \
         mutual}}\n---\napiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata:\n  name: shop\n  namespace: \
         {NAMESPACE}\nspec:\n  hosts: [{HOST}]\n  gateways: [ingress]\n  http:\n  - route:\n    - destination: {{host: \
         server, port: {{number: 80}}}}\n"
    )
}

fn secret(name: &str, entries: &[(&str, &str)]) -> String {
    let lines = entries.iter().map(|(key, text)| format!("  {key}: {}\n", STANDARD.encode(text)));
    let entries = lines.collect::<Vec<_>>().concat();
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\ndata:\n{entries}"
    )
}

/// As `kubectl create secret tls` writes it.
fn simple(own: &Certified) -> String {
    secret("simple", &[("tls.crt", &own.certificate), ("tls.key", &own.key)])
}

/// As `kubectl create secret generic` does, with whom clients must be known by.
fn mutual(own: &Certified, clients: &Issuer) -> String {
    let roots = &clients.certified.certificate;
    secret("mutual", &[("cert", &own.certificate), ("key", &own.key), ("cacert", roots)])
}

fn is(peer: &str, certificate: &Certified) -> bool {
    let lines = certificate.certificate.lines().filter(|line| !line.starts_with("-----"));
    !peer.is_empty() && lines.collect::<String>() == peer
}

pub(super) fn credentials_are_served_and_rotate(mesh: &mut Mesh, public: &Issuer) -> Result<()> {
    let server = format!("DNS:{HOST}");
    let [first, second, third] = ["first", "second", "third"].map(|name| public.issue(name, &server));
    let (first, second, third) = (first?, second?, third?);
    let [partners, others] = ["partners", "others"].map(|name| public.intermediate(name));
    let (partners, others) = (partners?, others?);
    let partner = partners.issue("partner", "URI:spiffe://partner.example/buyer")?;
    let stranger = others.issue("stranger", "URI:spiffe://stranger.example/buyer")?;
    let file = |name: &str, own: &Certified| mesh.file(name, &format!("{}{}", own.certificate, own.key));
    let (partner, stranger) = (file("partner.pem", &partner)?, file("stranger.pem", &stranger)?);
    let roots = mesh.file("public.pem", &public.certified.certificate)?;
    let anybody = ["--roots", &roots, "--server-name", HOST, "-H", "host: shop.example.com"];
    let as_partner = [&anybody[..], &["--identity", &partner]].concat();
    let as_stranger = [&anybody[..], &["--identity", &stranger]].concat();

    // The server takes mutual TLS alone, so what the gateway sends on is proved.
    mesh.apply(&super::peer_authentication("mtls: {mode: STRICT}"))?;
    mesh.apply_as("gateway", &gateway())?;
    mesh.apply_as("simple", &simple(&first))?;
    mesh.apply_as("mutual", &mutual(&second, &partners))?;
    mesh.wait("the gateway in SIMPLE mode", |mesh| {
        let reply = mesh.get_tls("plain", SIMPLE, "/", &anybody)?;
        let proof = reply.received("x-forwarded-client-cert").unwrap_or_default();
        ensure!(reply.status == 200, "{} {}", reply.status, reply.body);
        Ok(is(&reply.peer, &first) && proof.contains("spiffe://cluster.local/ns/shop/sa/ingress"))
    })?;
    // Who may come in by the MUTUAL port: nobody, the partner, the stranger.
    let clients: [&[&str]; 3] = [&anybody, &as_partner, &as_stranger];
    let answers = |mesh: &Mesh| -> Result<[u16; 3]> {
        let mut all = [0; 3];
        for (status, options) in all.iter_mut().zip(clients) {
            *status = mesh.get_tls("plain", MUTUAL, "/", options)?.status;
        }
        Ok(all)
    };
    mesh.wait("the gateway in MUTUAL mode", |mesh| Ok(answers(mesh)? == [0, 200, 0]))?;
    let reply = mesh.get_tls("plain", MUTUAL, "/", &as_partner)?;
    let proof = reply.received("x-forwarded-client-cert").unwrap_or_default();
    ensure!(proof.contains("spiffe://partner.example/buyer"), "the application is told {proof:?}");

    // Requests at both ports, each over three connections that stay.
    let steady = [
        "--roots",
        &roots,
        "--server-name",
        HOST,
        "--host",
        HOST,
        "--connections",
        "3",
        "--identity",
        &partner,
    ];
    let loads = [
        mesh.load_with("plain", SIMPLE, 60, 120, &steady)?,
        mesh.load_with("plain", MUTUAL, 60, 120, &steady)?,
    ];
    mesh.apply_as("simple", &simple(&third))?;
    mesh.wait("the new certificate", |mesh| {
        let reply = mesh.get_tls("plain", SIMPLE, "/", &anybody)?;
        Ok(reply.status == 200 && is(&reply.peer, &third))
    })?;
    let other = mesh.get_tls("plain", MUTUAL, "/", &as_partner)?;
    ensure!(other.status == 200 && is(&other.peer, &second), "the other Secret has not changed");
    mesh.apply_as("mutual", &mutual(&second, &others))?;
    mesh.wait("other clients than before", |mesh| Ok(answers(mesh)? == [0, 0, 200]))?;
    for load in loads {
        let outcome = load.stop()?;
        ensure!(outcome["failed"] == 0 && outcome["connections"] == 3, "{outcome}");
    }
    Ok(())
}
