//! Tokens of an OIDC issuer whose keys are fetched over https: found by its own words, taken over when they change, kept
//! while it is away.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use ca::{Authority, Material, PrivateKey};
use serde_json::{Value, json};
use server::{KeyKind, Tls, TlsOptions, accept_tls, generate_key, moment, serve_https};
use testkit::secure::{TokenIssuer, connect, create_certificate, new_request};
use testkit::wait;
use tokio::net::TcpListener;

use crate::{Folder, LIMIT};

const HOST: &str = "istiod.istio-system.svc";

/// Root and the TLS of an issuer at `localhost`.
fn tls_of_issuer() -> (String, Arc<Tls>) {
    let key = generate_key(KeyKind::P256).unwrap();
    let at = moment().unwrap();
    let certificate =
        Authority::self_signed(&PrivateKey::from_pem(&key).unwrap(), "web", 86_400, at).unwrap();
    let authority = Authority::new(&Material { certificate, key, ..Material::default() }, at.now).unwrap();
    let own = generate_key(KeyKind::P256).unwrap();
    let public = PrivateKey::from_pem(&own).unwrap();
    let issued = authority.issue_server(public.public_key(), &["localhost".to_owned()], 3600, at).unwrap();
    let tls = Tls::new(TlsOptions::default());
    tls.serve_certificate(&issued.chain.concat(), &own).unwrap();
    (authority.roots().to_owned(), Arc::new(tls))
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_of_an_issuer_are_found_rotate_and_stay_while_it_is_away() {
    let folder = Folder::new("oidc");
    let (roots, tls) = tls_of_issuer();
    fs::write(folder.path().join("roots.pem"), roots).unwrap();
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (first, second) =
        (TokenIssuer::new(&issuer).unwrap(), TokenIssuer::new(&issuer).unwrap().named("two"));
    // What is answered now, and how often it was asked for.
    let served: Arc<Mutex<(Option<Value>, usize)>> = Arc::new(Mutex::new((Some(first.key_set()), 0)));
    let words = json!({"issuer": issuer, "jwks_uri": format!("{issuer}/keys")}).to_string();
    let keys = Arc::clone(&served);
    let router = Router::new()
        .route("/.well-known/openid-configuration", get(move || async move { words.clone() }))
        .route(
            "/keys",
            get(move || async move {
                let mut served = keys.lock().unwrap();
                served.1 += 1;
                served.0.as_ref().map(Value::to_string).ok_or(StatusCode::SERVICE_UNAVAILABLE)
            }),
        );
    let incoming = accept_tls(listener, tls.https().unwrap()).unwrap();
    tokio::spawn(serve_https(incoming, router, std::future::pending()));

    let mut plane = folder.control_plane();
    plane.secure = Some(wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap());
    plane.flags = vec!["--caRootFolder".into(), folder.path().join("root").display().to_string()];
    plane.environment = vec![
        ("JWT_RULE".into(), json!({"issuer": issuer, "audiences": ["istio-ca"]}).to_string()),
        ("SSL_CERT_FILE".into(), folder.path().join("roots.pem").display().to_string()),
    ];
    let mut running = plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let root =
        wait::until(
            "the root",
            LIMIT,
            || Ok(fs::read_to_string(folder.path().join("root/ca-cert.pem")).ok()),
        )
        .unwrap();
    let deadline = Instant::now() + LIMIT;
    let channel = loop {
        match connect(plane.secure.unwrap(), HOST, &root, None).await {
            Ok(channel) => break channel,
            Err(error) => assert!(Instant::now() < deadline, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let ask = async |token: String| {
        let (_, request) = new_request(KeyKind::P256).unwrap();
        create_certificate(&channel, Some(&token), request).await.map(drop)
    };
    ask(first.token("shop", "web")).await.unwrap();

    // The issuer signs with a key that nobody knows yet: asked again long before the interval of twenty minutes.
    served.lock().unwrap().0 = Some(second.key_set());
    let started = Instant::now();
    while let Err(status) = ask(second.token("shop", "web")).await {
        assert!(started.elapsed() < LIMIT, "{status}");
    }
    assert!(ask(first.token("shop", "web")).await.is_err(), "the old key is gone with the issuer's word");
    // However many bring unknown keys, the issuer is asked a few times only.
    let stranger = TokenIssuer::new(&issuer).unwrap().named("stranger");
    served.lock().unwrap().0 = None;
    let asked = served.lock().unwrap().1;
    let many = (0..50).map(|_| ask(stranger.token("shop", "web")));
    let mut refused = 0;
    for one in many {
        let status = tokio::time::timeout(Duration::from_millis(20), one).await;
        refused += usize::from(status.is_err() || status.is_ok_and(|status| status.is_err()));
    }
    assert_eq!(refused, 50);
    // It is away, the last good keys are believed on.
    ask(second.token("shop", "web")).await.unwrap();
    let times = served.lock().unwrap().1 - asked;
    assert!(times < 10, "asked {times} times");
}
