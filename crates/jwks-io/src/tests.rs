//! Fetching and keeping over real sockets, from issuers that mean well and others.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use testkit::http_server::{Answer, Received, Server};
use tokio::sync::{mpsc, watch};

use crate::{Client, FetchError, Guard, Options, Source, Told, keep};

const ONE: &str =
    r#"{"keys": [{"kty": "RSA", "kid": "a", "n": "x", "e": "AQAB"}, {"kty": "oct", "kid": "b", "k": "y"}]}"#;
/// The same in another order.
const SAME: &str = r#"{"keys":[{"kty":"oct","k":"y","kid":"b"},{"e":"AQAB","kty":"RSA","kid":"a","n":"x"}]}"#;
const TWO: &str = r#"{"keys": [{"kty": "RSA", "kid": "c", "n": "x", "e": "AQAB"}]}"#;

fn server(answer: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Server {
    Server::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), answer).unwrap()
}

/// A client that may ask the one address of these servers.
fn client(options: Options) -> Client {
    let guard = Guard { allowed: vec!["127.0.0.1/32".parse().unwrap()], blocked: Vec::new() };
    Client::new(Options { guard, ..options }).unwrap()
}

#[tokio::test]
async fn addresses_inside_are_refused_by_name_by_number_and_after_a_redirect() {
    let n_asked = Arc::new(AtomicUsize::new(0));
    let seen = n_asked.clone();
    let inside = server(move |_| {
        seen.fetch_add(1, Ordering::SeqCst);
        Answer::new(200, ONE)
    });
    let port = inside.address().port();
    let careful = Client::new(Options::default()).unwrap();
    for host in ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "127.1"] {
        let uri = format!("http://{host}:{port}/keys");
        let error = careful.get(&uri).await.unwrap_err();
        let is_refused = matches!(error, FetchError::Refused { .. } | FetchError::Resolve { .. });
        assert!(is_refused, "{uri}: {error}");
    }
    assert_eq!(n_asked.load(Ordering::SeqCst), 0, "nothing was even connected to");

    let leading = server(move |request| {
        let to = match request.path.as_str() {
            "/metadata" => "http://169.254.169.254/latest/".to_owned(),
            "/other" => format!("http://127.0.0.2:{port}/"),
            "/name" => "http://[::1]/".to_owned(),
            _ => "file:///etc/passwd".to_owned(),
        };
        Answer::new(302, "").header("location", &to)
    });
    let client = client(Options::default());
    for path in ["metadata", "other", "name"] {
        let error = client.get(&format!("http://{}/{path}", leading.address())).await.unwrap_err();
        assert!(matches!(error, FetchError::Refused { .. }), "{path}: {error}");
    }
    let error = client.get(&format!("http://{}/file", leading.address())).await.unwrap_err();
    assert!(matches!(error, FetchError::Uri { .. }), "{error}");
    for uri in ["ftp://a.test/", "http://user@127.0.0.1/", "/keys", "http://", "", "http://a b/"] {
        assert!(matches!(client.get(uri).await, Err(FetchError::Uri { .. })), "{uri}");
    }
    assert_eq!(n_asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_issuer_that_means_ill_is_cut_short() {
    let (release, wait) = std::sync::mpsc::channel::<()>();
    let wait = Mutex::new(wait);
    let ill = server(move |request| match request.path.as_str() {
        "/long" => Answer::new(200, "x".repeat(2000)),
        "/circle" => Answer::new(302, "").header("location", "/circle"),
        "/slow" => {
            let _ = wait.lock().map(|wait| wait.recv());
            Answer::new(200, ONE)
        }
        "/nowhere" => Answer::new(302, ""),
        _ => Answer::new(503, "secret of somebody else"),
    });
    let client = client(Options { size: 1000, time: Duration::from_millis(500), ..Options::default() });
    let get = async |path: &str| client.get(&format!("http://{}/{path}", ill.address())).await.unwrap_err();
    assert!(matches!(get("long").await, FetchError::Size { limit: 1000, .. }));
    assert!(matches!(get("circle").await, FetchError::Redirect { .. }));
    assert!(matches!(get("nowhere").await, FetchError::Redirect { .. }));
    assert!(matches!(get("slow").await, FetchError::Time(_)));
    let error = get("broken").await;
    assert!(matches!(error, FetchError::Status { status: 503, .. }) && !error.to_string().contains("secret"));
    drop(release);
}

/// The next thing told that is not about a single fetch.
async fn keys(told: &mut mpsc::UnboundedReceiver<Told>) -> Vec<String> {
    loop {
        if let Told::Keys(keys) = told.recv().await.unwrap() {
            return keys.values().map(ToString::to_string).collect();
        }
    }
}

#[tokio::test]
async fn keys_are_refreshed_and_the_last_good_ones_stay() {
    let now = Arc::new(Mutex::new(Answer::new(200, ONE)));
    let answer = now.clone();
    let issuer = server(move |request| match request.path.as_str() {
        "/.well-known/openid-configuration" => {
            let host = request.header("host").unwrap_or_default();
            Answer::new(200, format!("{{\"jwks_uri\": \"http://{host}/found\"}}"))
        }
        _ => answer.lock().unwrap().clone(),
    });
    let issuer_uri = format!("http://{}/", issuer.address());
    let source = Source { issuer: issuer_uri, uri: String::new() };
    let (want, wanted) = watch::channel(BTreeSet::from([source.clone()]));
    let (tell, mut told) = mpsc::unbounded_channel();
    let keeping =
        tokio::spawn(keep(client(Options::default()), Duration::from_millis(20), wanted, move |what| {
            let _ = tell.send(what);
        }));
    assert_eq!(keys(&mut told).await, [ONE], "found by asking the issuer");

    // Neither another spelling nor a failure moves what is in force.
    for (status, body) in [(200, SAME), (500, ""), (200, "<html>"), (200, "{\"keys\": []}")] {
        *now.lock().unwrap() = Answer::new(status, body);
        let is_failure = status != 200 || body != SAME;
        loop {
            match told.recv().await.unwrap() {
                Told::Keys(keys) => panic!("{keys:?} after {status} {body}"),
                Told::Failed(of, _) if is_failure => break assert_eq!(of, source),
                Told::Fetched if !is_failure => break,
                _ => {}
            }
        }
        // The pause after a failure grows; another wish begins anew.
        if is_failure {
            break;
        }
    }
    *now.lock().unwrap() = Answer::new(200, TWO);
    assert_eq!(keys(&mut told).await, [TWO]);
    want.send_replace(BTreeSet::new());
    assert_eq!(keys(&mut told).await, Vec::<String>::new());
    drop(want);
    keeping.await.unwrap();
}
