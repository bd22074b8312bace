//! The shells over real sockets, in front of a discovery that hands out what the test puts in.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod ads;
mod envoy;
mod exposure;
mod hostile;
mod http;
mod secure;
mod slow;
mod validation;
mod webhook;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use scope::Proxy;
use serde_json::{Value, json};
use server::{
    Ads, AdsOptions, Answer, Authenticator, Caller, Connections, Credentials, Debug, DebugAccess,
    DebugSource, Discovery, Gate, GateOptions, Metrics, Published, Refusal, Trust, Version,
};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use xds::{Resource, ResourceType, Snapshot};

pub(crate) struct Fake {
    pub(crate) ready: AtomicBool,
    pub(crate) live: AtomicBool,
    pub(crate) snapshots: watch::Sender<Option<Published>>,
    pub(crate) n_gone: AtomicUsize,
}

impl Discovery for Fake {
    fn is_ready(&self) -> bool {
        self.ready.load(Ordering::SeqCst)
    }

    fn is_live(&self) -> bool {
        self.live.load(Ordering::SeqCst)
    }

    fn connect(&self, _: u64, _: Arc<Proxy>) -> watch::Receiver<Option<Published>> {
        self.snapshots.subscribe()
    }

    fn disconnect(&self, _: u64) {
        self.n_gone.fetch_add(1, Ordering::SeqCst);
    }
}

struct Pages;

impl DebugSource for Pages {
    fn pages(&self) -> Vec<(&'static str, &'static str)> {
        vec![("registryz", "Services")]
    }

    fn page(&self, name: &str, _: &BTreeMap<String, String>) -> Option<Value> {
        (name == "registryz").then(|| json!([]))
    }
}

/// Takes everybody for somebody of the namespace of the control plane.
struct Operators;

impl Authenticator for Operators {
    fn name(&self) -> &'static str {
        "belief"
    }

    fn authenticate<'a>(&'a self, _: &'a Credentials) -> Answer<'a, Result<Option<Caller>, Refusal>> {
        let identity = ca::Identity::new("cluster.local", "istio-system", "default").unwrap();
        Box::pin(async move { Ok(Some(Caller::new(identity, "belief"))) })
    }
}

fn operators() -> Arc<Gate> {
    let trust: Arc<dyn Trust> = Arc::new(Arc::<str>::from("cluster.local"));
    Arc::new(Gate::new(vec![Box::new(Operators)], trust, GateOptions { check_nodes: false }))
}

/// Everything running on loopback; ends with the test.
pub(crate) struct Running {
    pub(crate) fake: Arc<Fake>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) metrics: Metrics,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
    pub(crate) stop: oneshot::Sender<()>,
    pub(crate) serving: JoinHandle<()>,
}

pub(crate) async fn start(options: AdsOptions) -> Running {
    start_at("127.0.0.1:0".parse().unwrap(), options, false).await
}

pub(crate) async fn start_at(grpc: SocketAddr, options: AdsOptions, debug_types: bool) -> Running {
    let (snapshots, _) = watch::channel(None);
    let (ready, live) = (AtomicBool::new(true), AtomicBool::new(true));
    let fake = Arc::new(Fake { ready, live, snapshots, n_gone: AtomicUsize::new(0) });
    let connections = Arc::new(Connections::default());
    let metrics = Metrics::new("0.1.0").unwrap();
    let access = DebugAccess { namespaces: vec!["istio-system".into()], ..DebugAccess::default() };
    let debug = Arc::new(Debug::new(connections.clone(), Arc::new(Pages), access));
    let ads = if debug_types {
        let pages = debug.clone();
        let (metrics, connections) = (metrics.clone(), connections.clone());
        Ads::with_debug_types(fake.clone(), connections, metrics, options, pages, "it is me".into())
            .behind(operators())
    } else {
        Ads::new(fake.clone(), connections.clone(), metrics.clone(), options)
    };
    let listener = TcpListener::bind(grpc).await.unwrap();
    let grpc = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        let stopped = async {
            let _ = stopped.await;
        };
        server::serve_ads(listener, ads, stopped).await.unwrap();
    });
    let version = Version { version: "0.1.0".into(), revision: "abc".into(), status: "Clean".into() };
    let router = server::monitoring_router(metrics.clone(), version, debug)
        .merge(server::readiness_router(fake.clone(), None));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let http = listener.local_addr().unwrap();
    tokio::spawn(server::serve_http(listener, router, std::future::pending()));
    Running { fake, connections, metrics, grpc, http, stop, serving }
}

impl Running {
    pub(crate) fn publish(&self, snapshot: Snapshot) {
        let published =
            Published { since: Some(tokio::time::Instant::now()), ..Published::now(Arc::new(snapshot)) };
        self.fake.snapshots.send_replace(Some(published));
    }
}

/// A snapshot of clusters, each with this alternative statistics name so that content can change.
pub(crate) fn clusters(names: &[&str], content: &str) -> Snapshot {
    let mut builder = Snapshot::default().to_builder();
    for name in names {
        let cluster = proto::envoy::cluster::Cluster {
            name: (*name).to_owned(),
            alt_stat_name: content.to_owned(),
            ..Default::default()
        };
        let any = proto::pack::any(&cluster);
        let body = prost::Message::encode_to_vec(&any).into();
        builder.insert(ResourceType::Cluster, Resource::new(*name, body));
    }
    builder.build()
}

/// Waits for something that happens soon; fails when it does not.
pub(crate) async fn eventually(what: impl Fn() -> bool) {
    for _ in 0..500 {
        if what() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(what(), "never happened");
}
