//! Who sees which debug page: every port, every identity, every page (reliability specification, 1.2).

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use proto::envoy::core::Node;
use proto::envoy::discovery::{DiscoveryRequest, DiscoveryResponse};
use proto::envoy::google::{string_value, struct_of, struct_value};
use proto::type_url;
use testkit::secure::TokenIssuer;
use tokio_stream::StreamExt as _;
use tonic::codegen::Service as _;
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::secure::{Secure, secure};
use super::*;

/// What workloads may see of proxies of their own namespace.
const OWN: &[&str] = &["config_dump", "edsz", "ndsz"];

/// Somebody who wants to see what the proxy `web-1.shop` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Nobody,
    /// With a token that somebody else signed.
    Forger,
    /// Of another namespace.
    Other,
    /// Of the proxy's namespace.
    Neighbour,
    /// Of the namespace of the control plane.
    Operator,
}

const EVERYBODY: &[Who] = &[Who::Nobody, Who::Forger, Who::Other, Who::Neighbour, Who::Operator];

impl Who {
    fn namespace(self) -> &'static str {
        match self {
            Self::Nobody | Self::Forger | Self::Operator => "istio-system",
            Self::Other => "other",
            Self::Neighbour => "shop",
        }
    }

    fn token(self, issuer: &TokenIssuer) -> Option<String> {
        match self {
            Self::Nobody => None,
            Self::Forger => {
                Some(TokenIssuer::new("https://issuer.test").unwrap().token("istio-system", "default"))
            }
            _ => Some(issuer.token(self.namespace(), "default")),
        }
    }
}

async fn open(
    channel: Channel,
    token: Option<&str>,
    (id, namespace): (&str, &str),
    (type_url, name): (&str, Option<String>),
) -> Result<(Streaming<DiscoveryResponse>, DiscoveryResponse), Status> {
    let node = Node {
        id: format!("sidecar~10.0.0.1~{id}~{namespace}.svc.cluster.local"),
        metadata: Some(struct_of([
            ("NAMESPACE", string_value(namespace)),
            ("PROXY_CONFIG", struct_value([("x", string_value("y"))])),
        ])),
        ..Default::default()
    };
    let first = DiscoveryRequest {
        node: Some(node),
        type_url: type_url.into(),
        resource_names: name.into_iter().collect(),
        response_nonce: if type_url.starts_with(type_url::DEBUG) { "made up".into() } else { String::new() },
        ..Default::default()
    };
    let mut request = tonic::Request::new(tokio_stream::iter([first]).chain(tokio_stream::pending()));
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    let mut stream = ads::Client::new(channel).stream_aggregated_resources(request).await?.into_inner();
    let response = stream.message().await?.ok_or_else(|| Status::unavailable("ended"))?;
    Ok((stream, response))
}

/// A control plane to which `web-1.shop` is connected, for as long as the stream is kept.
async fn with_victim() -> (Secure, Streaming<DiscoveryResponse>) {
    let secure = secure(server::KeyKind::P256).await;
    secure.running.publish(clusters(&["of-shop"], "1"));
    let token = secure.tokens.token("shop", "web");
    let wish = (type_url::CLUSTER, None);
    let opened = open(secure.anonymous().await, Some(&token), ("web-1.shop", "shop"), wish).await;
    let (stream, _) = opened.unwrap();
    (secure, stream)
}

/// Status and body of a page for somebody elsewhere in the network.
async fn page(router: &Router, path: &str, token: Option<&str>, peer: [u8; 4]) -> (u16, String) {
    let mut request = Request::get(path).header("x-forwarded-for", "127.0.0.1").header("host", "localhost");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(Body::empty()).unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from((peer, 4000))));
    let response = router.clone().call(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

/// The names of all pages, with that of the list.
async fn names(router: &Router) -> Vec<String> {
    let (_, list) = page(router, "/debug/list", None, [127, 0, 0, 1]).await;
    let mut names: Vec<String> = serde_json::from_str(&list).unwrap();
    assert!(names.len() > 5, "{names:?}");
    names.push("list".to_owned());
    names
}

#[tokio::test]
async fn pages_over_http_are_for_this_machine_for_operators_and_in_parts_for_workloads() {
    let (secure, _victim) = with_victim().await;
    let version = Version { version: "0.1.0".into(), revision: "abc".into(), status: "Clean".into() };
    let routers = [
        server::monitoring_router(secure.running.metrics.clone(), version, secure.debug.clone()),
        server::readiness_router(secure.running.fake.clone(), Some(secure.debug.clone())),
    ];
    for router in routers {
        for name in names(&router).await {
            let path = format!("/debug/{name}?proxyID=web-1.shop");
            assert_eq!(page(&router, &path, None, [127, 0, 0, 1]).await.0, 200, "{name} on this machine");
            for who in EVERYBODY {
                let token = who.token(&secure.tokens);
                let (status, body) = page(&router, &path, token.as_deref(), [192, 0, 2, 7]).await;
                let is_own = OWN.contains(&name.as_str());
                let expected = match who {
                    Who::Nobody | Who::Forger => 401,
                    Who::Operator => 200,
                    Who::Neighbour if is_own => 200,
                    // Whether there is such a proxy is not told.
                    Who::Other if is_own => 404,
                    Who::Neighbour | Who::Other => 403,
                };
                assert_eq!(status, expected, "{name} for {who:?}");
                assert!(status == 200 || !body.contains("of-shop"), "{name} for {who:?}: {body}");
            }
        }
        for (who, expected) in EVERYBODY.iter().zip([401, 401, 403, 403, 200]) {
            let token = who.token(&secure.tokens);
            for path in ["/debug", "/debug/"] {
                let (status, _) = page(&router, path, token.as_deref(), [192, 0, 2, 7]).await;
                assert_eq!(status, expected, "{path} for {who:?}");
            }
        }
    }
}

#[tokio::test]
async fn debug_types_need_a_proof_and_show_workloads_what_is_theirs() {
    let (secure, _victim) = with_victim().await;
    let router = server::readiness_router(secure.running.fake.clone(), Some(secure.debug.clone()));
    let mut wishes: Vec<(&str, Option<String>, bool)> = vec![
        (type_url::DEBUG_SYNC_STATUS, None, true),
        (type_url::DEBUG_CONFIG_DUMP, Some("web-1.shop".to_owned()), true),
    ];
    for name in names(&router).await {
        let is_own = OWN.contains(&name.as_str());
        wishes.push((type_url::DEBUG, Some(format!("{name}?proxyID=web-1.shop")), is_own));
    }
    let plain = Channel::from_shared(format!("http://{}", secure.plain)).unwrap().connect().await.unwrap();
    let tls = secure.anonymous().await;
    for (url, name, is_own) in wishes {
        for who in EVERYBODY {
            let token = who.token(&secure.tokens);
            let node = ("tool-1.x", who.namespace());
            let ask = async |channel: &Channel| {
                open(channel.clone(), token.as_deref(), node, (url, name.clone())).await.map(|(_, it)| it)
            };
            let refused = ask(&plain).await.unwrap_err();
            assert_eq!(refused.code(), Code::Unauthenticated, "{name:?} in plain text for {who:?}");
            let outcome = ask(&tls).await;
            let code = outcome.as_ref().err().map(Status::code);
            let expected = match who {
                Who::Nobody | Who::Forger => Some(Code::Unauthenticated),
                Who::Operator => None,
                Who::Neighbour | Who::Other if !is_own => Some(Code::PermissionDenied),
                Who::Other if url != type_url::DEBUG_SYNC_STATUS => Some(Code::InvalidArgument),
                Who::Neighbour | Who::Other => None,
            };
            assert_eq!(code, expected, "{url} {name:?} for {who:?}: {outcome:?}");
            if let Ok(response) = outcome {
                let shown = format!("{:?}", response.resources);
                let other_sees = *who == Who::Other && shown.contains("web-1.shop");
                assert!(!other_sees, "{url} {name:?}");
            }
        }
    }
}
