//! Mutual TLS and policies between real Envoys, each in a network namespace with its traffic redirected, under
//! `trierarch agent`: what security.md promises of sections 1, 2, 3 and 4, seen from the applications.

#[path = "namespaces/gateway.rs"]
mod gateway;
#[path = "namespaces/identities.rs"]
mod identities;
#[path = "namespaces/redirection.rs"]
mod redirection;
#[path = "namespaces/roots.rs"]
mod roots;

use std::path::Path;

use anyhow::{Result, ensure};
use testkit::secure::now;
use tests::namespaces::{self, Issuer, Mesh, NAMESPACE, Role, Setting, Workload};

const WORKLOADS: &[Workload] = &[
    Workload { name: "client", number: 11, role: Role::Sidecar },
    Workload { name: "server", number: 12, role: Role::Sidecar },
    Workload { name: "plain", number: 13, role: Role::Plain },
    Workload { name: "authz", number: 14, role: Role::Guard("x-allow") },
    Workload { name: "warden", number: 15, role: Role::Guard("x-pass") },
    Workload { name: "ingress", number: 16, role: Role::Gateway },
];

const MESH_CONFIG: &str = "\
enableAutoMtls: true
trustDomainAliases: [elder.example]
extensionProviders:
- name: guard
  envoyExtAuthzHttp:
    service: authz.shop.svc.cluster.local
    port: 80
    includeRequestHeadersInCheck: [x-allow]
- name: warden
  envoyExtAuthzHttp:
    service: warden.shop.svc.cluster.local
    port: 80
    includeRequestHeadersInCheck: [x-pass]
";

/// The program that is the application or the client inside a namespace.
fn helper() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_workload"))
}

/// Workloads come and go slowly, so one mesh sees everything but the root of our own.
#[test]
fn workloads_in_namespaces_are_secured_as_policies_say() -> Result<()> {
    if !namespaces::are_possible()? {
        return Ok(());
    }
    let keys = std::env::temp_dir().join(format!("trierarch-authorities-{}", std::process::id()));
    let authorities = [Issuer::root(&keys, "older")?, Issuer::root(&keys, "newer")?];
    let signers =
        [authorities[0].intermediate("older-signer")?, authorities[1].intermediate("newer-signer")?];
    let mut mesh = Mesh::start(&Setting {
        helper: helper(),
        mesh_config: MESH_CONFIG,
        workloads: WORKLOADS,
        // Renewed every four seconds.
        lifetime: "8s",
        environment: &[("ISTIO_MULTIROOT_MESH", "true")],
        authority: Some(&roots::plugged_in(&signers[0], &[&authorities[0]])),
    })?;
    names_of_the_mesh_resolve(&mut mesh)?;
    modes_decide_who_may_speak_in_plain_text(&mut mesh)?;
    rules_decide_both_ways(&mut mesh)?;
    identities::aliases_are_us_and_strangers_are_not(&mut mesh, &signers[0])?;
    gateway::credentials_are_served_and_rotate(&mut mesh, &Issuer::root(&keys, "public")?)?;
    certificates_rotate_under_load(&mesh)?;
    roots::plugged_in_roots_rotate_under_load(&mut mesh, &authorities, &signers)?;
    Ok(std::fs::remove_dir_all(keys)?)
}

/// Questions to any server come to the agent, which has the control plane's table.
fn names_of_the_mesh_resolve(mesh: &mut Mesh) -> Result<()> {
    mesh.wait("names of the mesh", |mesh| {
        for name in ["server", "server.shop", "server.shop.svc.cluster.local"] {
            let addresses = mesh.resolve("client", name)?;
            ensure!(addresses == "10.96.0.12", "{name} is {addresses:?}");
        }
        Ok(true)
    })?;
    let unknown = mesh.resolve("client", "www.example.org")?;
    ensure!(unknown.is_empty(), "www.example.org is {unknown:?}, though there is nobody to ask");
    Ok(())
}

fn peer_authentication(spec: &str) -> String {
    format!(
        "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata:\n  name: server\n  namespace: \
         {NAMESPACE}\nspec:\n  selector:\n    matchLabels:\n      app: server\n  {spec}\n"
    )
}

fn authorization(spec: &str) -> String {
    format!(
        "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata:\n  name: server\n  namespace: \
         {NAMESPACE}\nspec:\n  selector:\n    matchLabels:\n      app: server\n  {spec}\n"
    )
}

/// Whether the application saw a caller that had proved to be the client.
fn is_proved(mesh: &Mesh) -> Result<Option<bool>> {
    let reply = mesh.call("client", "server", 80, "/", &[])?;
    let proof = reply.received("x-forwarded-client-cert").unwrap_or_default();
    Ok((reply.status == 200).then(|| proof.contains("spiffe://cluster.local/ns/shop/sa/client")))
}

fn modes_decide_who_may_speak_in_plain_text(mesh: &mut Mesh) -> Result<()> {
    // The mode, whether the client's sidecar uses its certificate, and whether plain text is answered at 8080, 8081.
    let cases = [
        ("mtls: {mode: STRICT}", true, [false, false]),
        ("mtls: {mode: DISABLE}", false, [true, true]),
        ("mtls: {mode: PERMISSIVE}", true, [true, true]),
        ("mtls: {mode: STRICT}\n  portLevelMtls: {8081: {mode: DISABLE}}", true, [false, true]),
        ("mtls: {mode: DISABLE}\n  portLevelMtls: {8081: {mode: STRICT}}", false, [true, false]),
    ];
    for (spec, proved, plain) in cases {
        mesh.apply(&peer_authentication(spec))?;
        mesh.wait(&format!("{spec} in force"), |mesh| {
            let answered =
                |port| Ok::<_, anyhow::Error>(mesh.call_pod("plain", "server", port)?.status == 200);
            Ok(is_proved(mesh)? == Some(proved) && [answered(8080)?, answered(8081)?] == plain)
        })?;
        // The other port is reached through the sidecar in every mode.
        mesh.wait(&format!("{spec} at the other port"), |mesh| {
            Ok(mesh.call("client", "server", 81, "/", &[])?.status == 200)
        })?;
    }
    Ok(())
}

fn rules_decide_both_ways(mesh: &mut Mesh) -> Result<()> {
    let strict = peer_authentication("mtls: {mode: STRICT}");
    let principal = "cluster.local/ns/shop/sa/client";
    let by = |action: &str, rule: &str| authorization(&format!("action: {action}\n  rules:\n  - {rule}"));
    let token = mesh
        .issuer()
        .sign(&serde_json::json!({"iss": "https://users.example", "sub": "alice", "exp": now() + 600}));
    let bearer = format!("authorization: Bearer {token}");
    let forged = format!("{}x", &bearer[..bearer.len() - 3]);
    let keys = mesh.issuer().key_set().to_string();
    let request = format!(
        "---\napiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata:\n  name: server\n  namespace: \
         {NAMESPACE}\nspec:\n  selector:\n    matchLabels:\n      app: server\n  jwtRules:\n  - issuer: \
         https://users.example\n    jwks: '{keys}'\n"
    );
    // The policy; then requests, each with the status that it must get.
    type Case<'a> = (String, Vec<(&'a str, Vec<&'a str>, u16)>);
    let cases: Vec<Case<'_>> = vec![
        (
            by("ALLOW", "from: [{source: {principals: [cluster.local/ns/shop/sa/other]}}]"),
            vec![("/", vec![], 403)],
        ),
        (
            by(
                "ALLOW",
                &format!(
                    "from: [{{source: {{principals: [{principal}]}}}}]\n    to: [{{operation: {{paths: [/ok]}}}}]"
                ),
            ),
            vec![("/", vec![], 403), ("/ok", vec![], 200)],
        ),
        (
            by(
                "DENY",
                &format!(
                    "from: [{{source: {{principals: [{principal}]}}}}]\n    to: [{{operation: {{paths: [/no]}}}}]"
                ),
            ),
            vec![("/no", vec![], 403), ("/", vec![], 200)],
        ),
        (
            authorization(
                "action: CUSTOM\n  provider: {name: guard}\n  rules:\n  - to: [{operation: {paths: [/guarded]}}]",
            ),
            vec![("/guarded", vec![], 403), ("/guarded", vec!["x-allow: yes"], 200), ("/", vec![], 200)],
        ),
        (
            authorization(
                "action: CUSTOM\n  provider: {name: nobody}\n  rules:\n  - to: [{operation: {paths: [/guarded]}}]",
            ),
            vec![("/guarded", vec![], 403), ("/guarded", vec!["x-allow: yes"], 403), ("/", vec![], 200)],
        ),
        (
            request + &by("ALLOW", "from: [{source: {requestPrincipals: [\"https://users.example/*\"]}}]"),
            vec![("/", vec![], 403), ("/", vec![&forged], 401), ("/", vec![&bearer], 200)],
        ),
    ];
    for (policy, requests) in &cases {
        mesh.apply(&format!("{strict}{policy}"))?;
        mesh.wait(&format!("{policy}\nwith {requests:?}"), |mesh| {
            for (path, headers, status) in requests {
                let reply = mesh.call("client", "server", 80, path, headers)?;
                ensure!(reply.status == *status, "{path} with {headers:?}: {} {}", reply.status, reply.body);
            }
            Ok(true)
        })?;
    }
    dry_runs_count_and_let_through(mesh, &strict, &by("DENY", "to: [{operation: {paths: [/no]}}]"))?;
    mesh.apply(&strict)?;
    mesh.wait("no rules", |mesh| Ok(is_proved(mesh)? == Some(true)))
}

fn dry_runs_count_and_let_through(mesh: &mut Mesh, strict: &str, deny: &str) -> Result<()> {
    let dry = deny.replacen("metadata:\n", "metadata:\n  annotations: {istio.io/dry-run: \"true\"}\n", 1);
    mesh.apply(&format!("{strict}{dry}"))?;
    mesh.wait("a dry run that counts", |mesh| {
        let reply = mesh.call("client", "server", 80, "/no", &[])?;
        ensure!(reply.status == 200, "{}", reply.status);
        Ok(mesh.stat("server", "rbac.istio_dry_run_deny_.*shadow_denied$")? > 0)
    })?;
    let [denied, allowed] =
        ["denied", "allowed"].map(|what| format!("rbac.istio_dry_run_deny_.*shadow_{what}$"));
    let before = [mesh.stat("server", &denied)?, mesh.stat("server", &allowed)?];
    mesh.call("client", "server", 80, "/else", &[])?;
    let after = [mesh.stat("server", &denied)?, mesh.stat("server", &allowed)?];
    ensure!(after == [before[0], before[1] + 1], "denied and allowed went from {before:?} to {after:?}");
    Ok(())
}

fn certificates_rotate_under_load(mesh: &Mesh) -> Result<()> {
    let before = [mesh.serial("client")?, mesh.serial("server")?];
    let outcome = mesh.load("client", "server", 300, 15)?.finish()?;
    assert_eq!(outcome["failed"], 0, "{outcome}");
    for (name, before) in ["client", "server"].iter().zip(before) {
        assert_ne!(mesh.serial(name)?, before, "{name} has the certificate of before");
    }
    Ok(())
}
