//! Roots change while requests go on (platform specification, 5.2): plugged-in ones as an operator does it, the new
//! root beside the old one, then the new signer, then the new root alone; and one of our own, which is renewed in time.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::namespaces::{self, Issuer, Mesh, NAMESPACE, PluggedIn, Role, Setting, Workload};

const PAIR: [&str; 2] = ["client", "server"];

/// A signer with what it needs, beside these roots.
pub(super) fn plugged_in(signer: &Issuer, roots: &[&Issuer]) -> PluggedIn {
    PluggedIn {
        signer: signer.certified.clone(),
        chain: signer.certified.certificate.clone(),
        roots: roots.iter().map(|root| root.certified.certificate.as_str()).collect(),
    }
}

/// Everybody must prove who they are, and connections between sidecars are short, so that handshakes go on.
fn short_connections() -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: default\n  namespace: \
         {NAMESPACE}\nspec:\n  mtls: {{mode: STRICT}}\n---\napiVersion: networking.istio.io/v1\nkind: \
         DestinationRule\nmetadata:\n  name: server\n  namespace: {NAMESPACE}\nspec:\n  host: server\n  \
         trafficPolicy:\n    connectionPool:\n      http: {{maxRequestsPerConnection: 10}}\n"
    )
}

fn apply_short_connections(mesh: &mut Mesh) -> Result<()> {
    mesh.apply(&short_connections())?;
    mesh.wait("connections that end after ten requests", |mesh| {
        let plain = mesh.call_pod("plain", "server", 8080)?.status;
        let before = mesh.stat("client", "server.shop.*upstream_cx_max_requests$")?;
        for _ in 0..11 {
            ensure!(mesh.call("client", "server", 80, "/", &[])?.status == 200, "no answer");
        }
        Ok(plain == 0 && mesh.stat("client", "server.shop.*upstream_cx_max_requests$")? > before)
    })
}

fn holds(pem: &str, certificate: &Issuer) -> bool {
    let bare = |text: &str| text.split_ascii_whitespace().collect::<String>();
    bare(pem).contains(&bare(&certificate.certified.certificate))
}

/// Nothing failed, and handshakes went on.
fn check(mesh: &Mesh, outcome: &Value, handshakes_before: u64) -> Result<()> {
    ensure!(outcome["failed"] == 0, "{outcome}");
    let handshakes = mesh.stat("client", "server.shop.*ssl.handshake$")? - handshakes_before;
    let requests = outcome["requests"].as_u64().unwrap_or_default();
    ensure!(handshakes * 30 > requests, "{handshakes} handshakes for {requests} requests");
    Ok(())
}

pub(super) fn plugged_in_roots_rotate_under_load(
    mesh: &mut Mesh,
    [older, newer]: &[Issuer; 2],
    [older_signer, newer_signer]: &[Issuer; 2],
) -> Result<()> {
    apply_short_connections(mesh)?;
    let before = mesh.stat("client", "server.shop.*ssl.handshake$")?;
    let load = mesh.load("client", "server", 200, 120)?;
    // The material; who then shows whose chain, and trusts whom.
    let steps = [
        ("both roots", plugged_in(older_signer, &[older, newer]), older_signer, [true, true]),
        ("the new signer", plugged_in(newer_signer, &[older, newer]), newer_signer, [true, true]),
        ("the new root alone", plugged_in(newer_signer, &[newer]), newer_signer, [false, true]),
    ];
    for (what, material, signer, trusted) in steps {
        mesh.plug_in(&material)?;
        mesh.wait(&format!("{what} at both sidecars"), |mesh| {
            for name in PAIR {
                let (chain, roots) = mesh.trust(name)?;
                if !holds(&chain, signer) || [holds(&roots, older), holds(&roots, newer)] != trusted {
                    return Ok(false);
                }
            }
            Ok(true)
        })?;
        // Handshakes that see it on both sides.
        let seen = mesh.stat("client", "server.shop.*ssl.handshake$")?;
        mesh.wait(&format!("handshakes after {what}"), |mesh| {
            Ok(mesh.stat("client", "server.shop.*ssl.handshake$")? > seen + 20)
        })?;
    }
    check(mesh, &load.stop()?, before)
}

const WORKLOADS: &[Workload] = &[
    Workload { name: "client", number: 11, role: Role::Sidecar },
    Workload { name: "server", number: 12, role: Role::Sidecar },
    Workload { name: "plain", number: 13, role: Role::Plain },
];

/// The root lives for 30 seconds and is renewed when some twelve are left (of its life, which began two minutes
/// earlier, eight percent). The load outlives the first root.
#[test]
fn a_root_of_our_own_is_renewed_under_load() -> Result<()> {
    if !namespaces::are_possible()? {
        return Ok(());
    }
    let mut mesh = Mesh::start(&Setting {
        helper: super::helper(),
        mesh_config: "enableAutoMtls: true",
        workloads: WORKLOADS,
        lifetime: "8s",
        environment: &[
            ("CITADEL_SELF_SIGNED_CA_CERT_TTL", "30s"),
            ("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", "8"),
            ("CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL", "1s"),
        ],
        authority: None,
    })?;
    apply_short_connections(&mut mesh)?;
    let before = mesh.stat("client", "server.shop.*ssl.handshake$")?;
    let mut load = mesh.load("client", "server", 200, 120)?;
    for number in 1..=2 {
        let roots =
            |mesh: &Mesh| -> Result<[String; 2]> { Ok([mesh.trust(PAIR[0])?.1, mesh.trust(PAIR[1])?.1]) };
        let old = roots(&mesh)?;
        mesh.wait_for(Duration::from_mins(1), &format!("renewal {number} at both sidecars"), |mesh| {
            Ok(roots(mesh)?.iter().zip(&old).all(|(new, old)| new != old))
        })?;
    }
    ensure!(!load.has_ended()?, "the load ended by itself");
    check(&mesh, &load.stop()?, before)
}
