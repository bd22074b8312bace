//! The TLS port as workloads see it: who gets which certificate, who gets configuration, what outsiders are told.

use std::io::Write as _;
use std::process::{Command, Stdio};

use ca::{Authority, Identity, Lifetimes, Material, PrivateKey, TokenRule};
use proto::envoy::core::Node;
use proto::envoy::discovery::DiscoveryRequest;
use proto::istio::certificates::IstioCertificateRequest;
use server::{
    Authenticator, AuthorityHolder, CertificateAuthenticator, CertificateMetrics, Certificates, Gate,
    GateOptions, KeyKind, LocalIssuer, ServingCertificate, Tls, TokenAuthenticator, Trust, generate_key,
    moment,
};
use testkit::secure::{ClientIdentity, TokenIssuer, connect, create_certificate, new_request, now};
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;
use tonic::{Code, Status};

use super::*;

const HOST: &str = "istiod.istio-system.svc";

/// A TLS port with a root of its own; ends with the test.
pub(crate) struct Secure {
    pub(crate) running: Running,
    pub(crate) address: SocketAddr,
    pub(crate) holder: AuthorityHolder,
    pub(crate) tls: Arc<Tls>,
    pub(crate) tokens: TokenIssuer,
    pub(crate) roots: String,
    pub(crate) debug: Arc<Debug>,
    /// The same streams in plain text.
    pub(crate) plain: SocketAddr,
}

pub(crate) fn root(kind: KeyKind) -> Material {
    let key = generate_key(kind).unwrap();
    let private = PrivateKey::from_pem(&key).unwrap();
    let certificate =
        Authority::self_signed(&private, "cluster.local", 10 * 365 * 86_400, moment().unwrap()).unwrap();
    Material { certificate, key, ..Material::default() }
}

pub(crate) async fn secure(kind: KeyKind) -> Secure {
    let running = start(AdsOptions::default()).await;
    let tokens = TokenIssuer::new("https://issuer.test").unwrap();
    let trust: Arc<dyn Trust> = Arc::new(Arc::<str>::from("cluster.local"));
    let rule = TokenRule { issuer: "https://issuer.test".into(), audiences: vec!["istio-ca".into()] };
    let keys = ca::KeySet::parse(&tokens.key_set().to_string()).unwrap();
    let authenticators: Vec<Box<dyn Authenticator>> = vec![
        Box::new(CertificateAuthenticator),
        Box::new(TokenAuthenticator::new(rule, Arc::new(keys), trust.clone())),
    ];
    let gate = Arc::new(Gate::new(authenticators, trust, GateOptions::default()));
    let holder = AuthorityHolder::default();
    let material = root(kind);
    let authority = Authority::new(&material, moment().unwrap().now).unwrap();
    let tls = Arc::new(Tls::new(server::TlsOptions::default()));
    let serving = ServingCertificate { hosts: vec![HOST.into()], lifetime: 3600 };
    serving.issue(&authority, &tls).unwrap();
    let roots = authority.roots().to_owned();
    holder.replace(authority);
    let issuer = Arc::new(LocalIssuer::new(holder.clone(), Lifetimes::default()));
    let metrics = CertificateMetrics::new(running.metrics.registry()).unwrap();
    let certificates = Certificates::new(gate.clone(), issuer, metrics);
    let access = DebugAccess {
        gate: Some(gate.clone()),
        namespaces: vec!["istio-system".into()],
        ..DebugAccess::default()
    };
    let debug = Arc::new(Debug::new(running.connections.clone(), Arc::new(Pages), access));
    let ads = Ads::with_debug_types(
        running.fake.clone(),
        running.connections.clone(),
        running.metrics.clone(),
        AdsOptions::default(),
        debug.clone(),
        "it is me".into(),
    );
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let plain = listener.local_addr().unwrap();
    tokio::spawn(server::serve_ads(listener, ads.clone(), std::future::pending()));
    let ads = ads.behind(gate);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = server::accept_tls(listener, tls.grpc().unwrap()).unwrap();
    tokio::spawn(server::serve_secure(incoming, ads, Some(certificates), std::future::pending()));
    Secure { running, address, holder, tls, tokens, roots, debug, plain }
}

impl Secure {
    pub(crate) async fn anonymous(&self) -> Channel {
        connect(self.address, HOST, &self.roots, None).await.unwrap()
    }

    /// A certificate obtained by a token.
    pub(crate) async fn identity(&self, namespace: &str, account: &str) -> ClientIdentity {
        let (key, request) = new_request(KeyKind::P256).unwrap();
        let token = self.tokens.token(namespace, account);
        let reply = create_certificate(&self.anonymous().await, Some(&token), request).await.unwrap();
        ClientIdentity { chain: reply[..reply.len() - 1].concat(), key }
    }
}

/// What one stream of a sidecar is answered.
async fn ask(channel: Channel, token: Option<&str>, namespace: &str, account: &str) -> Result<(), Status> {
    use proto::envoy::google::{string_value, struct_of};
    let node = Node {
        id: format!("sidecar~10.0.0.1~web-1.{namespace}~{namespace}.svc.cluster.local"),
        metadata: Some(struct_of([
            ("NAMESPACE", string_value(namespace)),
            ("SERVICE_ACCOUNT", string_value(account)),
        ])),
        ..Default::default()
    };
    let first = DiscoveryRequest {
        node: Some(node),
        type_url: proto::type_url::CLUSTER.into(),
        ..Default::default()
    };
    let mut client = ads::Client::new(channel);
    let mut request = tonic::Request::new(tokio_stream::iter([first]).chain(tokio_stream::pending()));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let mut stream = client.stream_aggregated_resources(request).await?.into_inner();
    match stream.message().await? {
        Some(_) => Ok(()),
        None => Err(Status::unavailable("ended")),
    }
}

#[tokio::test]
async fn a_token_brings_a_certificate_that_openssl_accepts() {
    for kind in [KeyKind::P256, KeyKind::Rsa(2048)] {
        let secure = secure(kind).await;
        let (_, request) = new_request(kind).unwrap();
        let token = secure.tokens.token("shop", "web");
        let reply = create_certificate(&secure.anonymous().await, Some(&token), request).await.unwrap();
        assert_eq!(reply.len(), 2, "the leaf, and all roots as the last element");
        assert!(reply.iter().all(|pem| pem.ends_with("-----END CERTIFICATE-----\n")));
        let names = ca::identities_of(&der_of(&reply[0]));
        assert_eq!(names, [Identity::new("cluster.local", "shop", "web").unwrap()]);
        let folder = std::env::temp_dir().join(format!("trierarch-ca-{}-{kind:?}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("root.pem"), &reply[1]).unwrap();
        let mut openssl = Command::new("openssl")
            .args(["verify", "-x509_strict", "-CAfile"])
            .arg(folder.join("root.pem"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        openssl.stdin.take().unwrap().write_all(reply[0].as_bytes()).unwrap();
        let output = openssl.wait_with_output().unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

pub(crate) fn der_of(pem: &str) -> rustls::pki_types::CertificateDer<'static> {
    use rustls::pki_types::pem::PemObject as _;
    rustls::pki_types::CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

#[tokio::test]
async fn a_certificate_is_renewed_with_the_certificate_itself() {
    let secure = secure(KeyKind::P256).await;
    let identity = secure.identity("shop", "web").await;
    let channel = connect(secure.address, HOST, &secure.roots, Some(&identity)).await.unwrap();
    let (_, request) = new_request(KeyKind::P256).unwrap();
    let reply = create_certificate(&channel, None, request).await.unwrap();
    let names = ca::identities_of(&der_of(&reply[0]));
    assert_eq!(names, [Identity::new("cluster.local", "shop", "web").unwrap()]);
}

/// Changes the first character, since the last one of a signature may have bits that nobody reads.
fn with_another_signature(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let first = if signature.starts_with('A') { 'B' } else { 'A' };
    format!("{signed}.{first}{}", &signature[1..])
}

#[tokio::test]
async fn nobody_gets_a_certificate_without_a_credential_that_holds() {
    let secure = secure(KeyKind::P256).await;
    let channel = secure.anonymous().await;
    let claims = |issuer: &str, audience: &str, subject: &str, expires: u64| json!({"iss": issuer, "aud": audience, "sub": subject, "exp": expires});
    let (issuer, account, later) = ("https://issuer.test", "system:serviceaccount:shop:web", now() + 60);
    let good = secure.tokens.token("shop", "web");
    let other = TokenIssuer::new("https://issuer.test").unwrap();
    let refused = [
        None,
        Some("garbage".to_owned()),
        Some("a.b.c".to_owned()),
        Some(with_another_signature(&good)),
        Some(other.token("shop", "web")),
        Some(secure.tokens.sign(&claims(issuer, "istio-ca", account, now() - 60))),
        Some(secure.tokens.sign(&claims(issuer, "elsewhere", account, later))),
        Some(secure.tokens.sign(&claims("https://other.test", "istio-ca", account, later))),
        Some(secure.tokens.sign(&claims(issuer, "istio-ca", "admin", later))),
        Some(secure.tokens.sign(&claims(issuer, "istio-ca", "system:serviceaccount:a/b:c", later))),
    ];
    for token in refused {
        let (_, request) = new_request(KeyKind::P256).unwrap();
        let status = create_certificate(&channel, token.as_deref(), request).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token:?}: {status:?}");
        assert!(token.is_none_or(|token| !status.message().contains(&token)), "the token is not told back");
    }
    let unsound = [
        IstioCertificateRequest { csr: "no".into(), ..Default::default() },
        IstioCertificateRequest { validity_duration: 91 * 86_400, ..new_request(KeyKind::P256).unwrap().1 },
    ];
    for request in unsound {
        let status = create_certificate(&channel, Some(&good), request).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    }
    let metrics = String::from_utf8(secure.running.metrics.text().unwrap()).unwrap();
    assert!(metrics.contains("citadel_server_authentication_failure_count 10"), "{metrics}");
    assert!(metrics.contains("citadel_server_csr_sign_err_count{error=\"TTL_ERROR\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_node_must_be_what_its_credential_says() {
    let secure = secure(KeyKind::P256).await;
    secure.running.publish(clusters(&["a"], "1"));
    let token = secure.tokens.token("shop", "web");
    let code = |answer: Result<(), Status>| answer.err().map(|status| status.code());
    let anonymous = secure.anonymous().await;
    assert_eq!(code(ask(anonymous.clone(), None, "shop", "web").await), Some(Code::Unauthenticated));
    assert_eq!(code(ask(anonymous.clone(), Some(&token), "shop", "web").await), None);
    assert_eq!(code(ask(anonymous.clone(), Some(&token), "shop", "").await), None);
    let denied = Some(Code::PermissionDenied);
    assert_eq!(code(ask(anonymous.clone(), Some(&token), "kube-system", "web").await), denied);
    assert_eq!(code(ask(anonymous, Some(&token), "shop", "admin").await), denied);
    let identity = secure.identity("shop", "web").await;
    let channel = connect(secure.address, HOST, &secure.roots, Some(&identity)).await.unwrap();
    assert_eq!(code(ask(channel.clone(), None, "shop", "web").await), None);
    assert_eq!(code(ask(channel, None, "other", "web").await), denied);
}

#[tokio::test]
async fn a_client_of_another_root_is_turned_away_and_a_new_root_is_used_at_once() {
    let secure = secure(KeyKind::P256).await;
    let identity = secure.identity("shop", "web").await;
    let other = root(KeyKind::P256);
    let authority = Authority::new(&other, moment().unwrap().now).unwrap();
    ServingCertificate { hosts: vec![HOST.into()], lifetime: 60 }.issue(&authority, &secure.tls).unwrap();
    let roots = authority.roots().to_owned();
    secure.holder.replace(authority);
    assert!(connect(secure.address, HOST, &secure.roots, None).await.is_err(), "another root serves now");
    let (_, request) = new_request(KeyKind::P256).unwrap();
    // With TLS 1.3 a client hears of the refusal when it first reads.
    let refused = match connect(secure.address, HOST, &roots, Some(&identity)).await {
        Ok(channel) => create_certificate(&channel, None, request.clone()).await.is_err(),
        Err(_) => true,
    };
    assert!(refused, "its certificate is of the old root");
    let channel = connect(secure.address, HOST, &roots, None).await.unwrap();
    let token = secure.tokens.token("shop", "web");
    let reply = create_certificate(&channel, Some(&token), request).await.unwrap();
    assert_eq!(reply.last(), Some(&roots));
}
