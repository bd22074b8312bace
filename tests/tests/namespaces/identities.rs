//! Who is one of us (security specification, 4.9): a workload of an alias of the trust domain, as while a mesh is being
//! renamed, is let in, and rules that name the new domain hold for it; one of any other domain is not, though the same
//! authority signed for it.

use anyhow::Result;
use tests::namespaces::{Issuer, Mesh, NAMESPACE, Reply};

pub(super) fn aliases_are_us_and_strangers_are_not(mesh: &mut Mesh, signer: &Issuer) -> Result<()> {
    let rule =
        "action: ALLOW\n  rules:\n  - from: [{source: {principals: [cluster.local/ns/shop/sa/caller]}}]";
    mesh.apply(&format!(
        "{}{}",
        super::peer_authentication("mtls: {mode: STRICT}"),
        super::authorization(rule)
    ))?;
    let call = |domain: &str, account: &str| {
        let name = format!("{account}-of-{domain}");
        let own = signer.issue(&name, &format!("URI:spiffe://{domain}/ns/{NAMESPACE}/sa/{account}"))?;
        let both = format!("{}{}{}", own.certificate, signer.certified.certificate, own.key);
        let identity = mesh.file(&format!("{name}.pem"), &both)?;
        let roots = mesh.file("any.pem", "")?;
        Ok::<_, anyhow::Error>(move |mesh: &Mesh| {
            let options = ["--roots", &roots, "--identity", &identity, "--alpn", "istio-http/1.1"];
            mesh.get_tls("plain", "10.77.1.12:8080", "/", &options)
        })
    };
    let callers = [
        (call("cluster.local", "caller")?, 200),
        (call("elder.example", "caller")?, 200),
        (call("elder.example", "other")?, 403),
        (call("stranger.example", "caller")?, 0),
    ];
    mesh.wait("aliases let in and strangers kept out", |mesh| {
        for (call, status) in &callers {
            let Reply { status: got, body, .. } = call(mesh)?;
            anyhow::ensure!(got == *status, "{got} instead of {status}: {body}");
        }
        Ok(true)
    })
}
