//! What our own TLS ports speak, and with which certificate: flags, files and the compliance policy, seen by OpenSSL and
//! by a client of our own.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ca::{Authority, Material, PrivateKey};
use server::{KeyKind, generate_key, moment};
use testkit::control_plane::ControlPlane;
use testkit::secure::{Channel, TokenIssuer, connect, create_certificate, new_request};
use testkit::wait;

use crate::{Folder, LIMIT};

const HOST: &str = "istiod.istio-system.svc";

/// A control plane with its own root in a folder.
fn plane(folder: &Folder, flags: &[&str], variables: &[(&str, &str)]) -> ControlPlane {
    let mut plane = folder.control_plane();
    plane.secure = Some(wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap());
    plane.flags = vec!["--caRootFolder".into(), folder.path().join("root").display().to_string()];
    plane.flags.extend(flags.iter().map(|&flag| flag.to_owned()));
    plane.environment = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    plane
}

fn root(folder: &Folder) -> String {
    let file = folder.path().join("root/ca-cert.pem");
    wait::until("the root", LIMIT, || Ok(fs::read_to_string(&file).ok())).unwrap()
}

async fn reach(address: SocketAddr, roots: &str) -> Channel {
    let deadline = Instant::now() + LIMIT;
    loop {
        match connect(address, HOST, roots, None).await {
            Ok(channel) => return channel,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What OpenSSL says of a handshake; `None` if there was none.
fn shake_hands(address: SocketAddr, arguments: &[&str]) -> Option<String> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &address.to_string(), "-servername", HOST, "-alpn", "h2"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let is_done = text.lines().any(|line| line.starts_with("New, TLSv1") && !line.contains("(NONE)"));
    is_done.then_some(text)
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_suites_are_those_of_flags_and_of_the_policy() {
    let folder = Folder::new("tls");
    let suite = "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,TLS_RSA_WITH_AES_128_CBC_SHA";
    let one = plane(&folder, &["--tls-cipher-suites", suite], &[]);
    let mut running = one.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    reach(one.secure.unwrap(), &root(&folder)).await;
    let shake = |arguments: &[&str]| shake_hands(one.secure.unwrap(), arguments);
    assert!(shake(&["-tls1_3"]).is_some());
    assert!(shake(&["-tls1_2"]).unwrap().contains("ECDHE-RSA-AES256-GCM-SHA384"));
    assert!(shake(&["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]).is_none());
    assert!(running.log().contains("TLS_RSA_WITH_AES_128_CBC_SHA is weak"));
    running.stop(LIMIT).unwrap();

    let strict = plane(&folder, &["--tls-min-version", "1.3"], &[]);
    let mut running = strict.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    reach(strict.secure.unwrap(), &root(&folder)).await;
    assert!(shake_hands(strict.secure.unwrap(), &["-tls1_2"]).is_none());
    running.stop(LIMIT).unwrap();

    let fips = plane(&folder, &[], &[("COMPLIANCE_POLICY", "fips-140-2")]);
    let mut running = fips.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    reach(fips.secure.unwrap(), &root(&folder)).await;
    let shake = |arguments: &[&str]| shake_hands(fips.secure.unwrap(), arguments);
    assert!(shake(&["-tls1_3"]).is_none());
    assert!(shake(&["-tls1_2", "-cipher", "ECDHE-RSA-CHACHA20-POLY1305"]).is_none());
    assert!(shake(&["-tls1_2", "-groups", "X25519"]).is_none());
    assert!(shake(&["-tls1_2", "-groups", "P-256"]).unwrap().contains("GCM"));
    running.stop(LIMIT).unwrap();

    // This OpenSSL does not know the key exchange, our own client does.
    let quantum = plane(&folder, &[], &[("COMPLIANCE_POLICY", "pqc")]);
    let mut running = quantum.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    reach(quantum.secure.unwrap(), &root(&folder)).await;
    assert!(shake_hands(quantum.secure.unwrap(), &["-tls1_2"]).is_none());
    assert!(shake_hands(quantum.secure.unwrap(), &["-tls1_3", "-groups", "X25519"]).is_none());
}

#[test]
fn unknown_values_stop_a_start_and_say_what_is_known() {
    let folder = Folder::new("tls-unknown");
    /// Flags, variables, and what is told.
    type Case<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str);
    let cases: &[Case<'_>] = &[
        (&["--tls-min-version", "1.1"], &[], "expected 1.2 or 1.3"),
        (&["--tls-cipher-suites", "FOO"], &[], "\"FOO\" is no cipher suite"),
        (&["--tlsCertFile", "a.pem"], &[], "are given together"),
        (&[], &[("PILOT_CERT_PROVIDER", "vault")], "use istiod, custom, none or k8s.io/<signer>"),
        (&[], &[("PILOT_CERT_PROVIDER", "custom")], "there is no certificate for our own ports"),
        (&[], &[("EXTERNAL_CA", "ISTIOD_RA_ISTIO_API")], "use ISTIOD_RA_KUBERNETES_API"),
        (&[], &[("EXTERNAL_CA", "ISTIOD_RA_KUBERNETES_API")], "need an API server"),
    ];
    for (flags, variables, message) in cases {
        let mut running = plane(&folder, flags, variables).start().unwrap();
        wait::until("its end", LIMIT, || Ok(running.process().check_running().is_err().then_some(())))
            .unwrap();
        let log = running.log();
        assert!(log.contains(message), "{flags:?} {variables:?}: {log}");
    }
    let warned = plane(&folder, &[], &[("COMPLIANCE_POLICY", "fips-999")]);
    let mut running = warned.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    assert!(running.log().contains("COMPLIANCE_POLICY=\"fips-999\" is not fips-140-2 or pqc"));
}

/// A new authority's root, and files of a certificate that it issued to us.
fn write_files(folder: &Folder) -> String {
    let key = generate_key(KeyKind::P256).unwrap();
    let at = moment().unwrap();
    let certificate =
        Authority::self_signed(&PrivateKey::from_pem(&key).unwrap(), "corp", 86_400, at).unwrap();
    let authority = Authority::new(&Material { certificate, key, ..Material::default() }, at.now).unwrap();
    let own = generate_key(KeyKind::P256).unwrap();
    let public = PrivateKey::from_pem(&own).unwrap();
    let issued = authority.issue_server(public.public_key(), &[HOST.to_owned()], 3600, at).unwrap();
    for (name, text) in
        [("own.key", own.as_str()), ("own.crt", &issued.chain.concat()), ("own.ca", authority.roots())]
    {
        fs::write(folder.path().join(name), text).unwrap();
    }
    authority.roots().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_files_is_served_and_followed_while_our_own_authority_signs() {
    let folder = Folder::new("tls-files");
    let first = write_files(&folder);
    let file = |name: &str| folder.path().join(name).display().to_string();
    let flags = [
        "--tlsCertFile",
        &file("own.crt"),
        "--tlsKeyFile",
        &file("own.key"),
        "--caCertFile",
        &file("own.ca"),
    ];
    let tokens = TokenIssuer::new("https://issuer.test").unwrap();
    let plane = plane(&folder, &flags, &[("JWT_RULE", &tokens.rule())]);
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let address = plane.secure.unwrap();
    let channel = reach(address, &first).await;
    let own_root = root(&folder);
    assert!(connect(address, HOST, &own_root, None).await.is_err(), "it is not our own authority's");
    let (_, request) = new_request(KeyKind::P256).unwrap();
    let reply = create_certificate(&channel, Some(&tokens.token("shop", "web")), request).await.unwrap();
    assert_eq!(reply.last(), Some(&own_root));

    let second = write_files(&folder);
    reach(address, &second).await;
    fs::write(folder.path().join("own.crt"), "nothing").unwrap();
    let alarm = "citadel_server_ca_reload_failure_count";
    wait::until("the alarm", LIMIT, || Ok((running.metric(alarm)? >= 1.0).then_some(()))).unwrap();
    reach(address, &second).await;
    assert!(!running.log().contains("PRIVATE KEY"));
}
