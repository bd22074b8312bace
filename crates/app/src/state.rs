//! What the control thread lets others see: readiness, the mesh of the last commit, what is wrong. And the two ports
//! of `server` over it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::time::Instant;

use arc_swap::ArcSwapOption;
use config::Rejection;
use mesh::{KeySource, Mesh, MeshSettings, Reader};
use model::Issue;
use parking_lot::Mutex;
use proto::istio::mesh::mesh_config::CertificateData;
use proto::istio::mesh::mesh_config::certificate_data::CertificateData as Source;
use scope::Proxy;
use serde_json::{Value, json};
use server::{DebugSource, Discovery, Published, Trust};
use tokio::sync::watch;

use crate::control::Event;
use crate::debug;
use crate::heartbeat::Heartbeat;
use crate::jwks::WantedKeys;
use crate::remotes::Known;

/// What others may see of the control thread.
#[derive(Default)]
pub(crate) struct State {
    ready: watch::Sender<bool>,
    stopping: AtomicBool,
    pub(crate) heartbeat: Heartbeat,
    mesh: ArcSwapOption<Mesh>,
    commits: watch::Sender<u64>,
    rejections: Mutex<Vec<Rejection>>,
    issues: Mutex<Arc<[Issue]>>,
    wanted_keys: WantedKeys,
    pub(crate) clusters: Arc<Known>,
}

impl State {
    /// Whether every source was read and committed once.
    pub(crate) fn has_committed(&self) -> bool {
        *self.ready.borrow()
    }

    /// Returns once every source was read and committed.
    pub(crate) async fn until_committed(&self) {
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// Whether proxies are served, seen at this moment: not before everything was read, not while the control thread
    /// is stuck, as whoever came would wait for ever, and not any more once the process stops.
    pub(crate) fn is_ready_at(&self, now: Instant) -> bool {
        self.has_committed() && !self.stopping.load(Ordering::Acquire) && self.heartbeat.is_well(now)
    }

    /// Whether the control thread gets on, seen at this moment. A process that stops is alive until it is gone.
    pub(crate) fn is_live(&self, now: Instant) -> bool {
        self.heartbeat.is_well(now)
    }

    /// The process stops: nobody shall be sent here any more.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// A commit is done; the first one makes the process ready.
    pub(crate) fn committed(&self, mesh: Mesh) {
        self.wanted_keys.set(mesh.wanted_key_sets());
        self.mesh.store(Some(Arc::new(mesh)));
        self.ready.send_replace(true);
        self.commits.send_modify(|n_commits| *n_commits += 1);
    }

    /// Which keys for tokens configuration wants, now and whenever that changes.
    pub(crate) fn wanted_keys(&self) -> watch::Receiver<Arc<BTreeSet<KeySource>>> {
        self.wanted_keys.watch()
    }

    /// The number of commits, now and whenever it grows.
    pub(crate) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.subscribe()
    }

    /// The mesh of the last commit.
    pub(crate) fn mesh(&self) -> Option<Arc<Mesh>> {
        self.mesh.load_full()
    }

    /// What is rejected now.
    pub(crate) fn rejected(&self, rejections: Vec<Rejection>) {
        *self.rejections.lock() = rejections;
    }

    /// What makes no sense now; what is new is logged.
    pub(crate) fn issues(&self, issues: Arc<[Issue]>) {
        let mut known = self.issues.lock();
        if Arc::ptr_eq(&known, &issues) {
            return;
        }
        // Both lists are sorted.
        for issue in issues.iter().filter(|issue| known.binary_search(issue).is_err()) {
            tracing::warn!("{issue}");
        }
        *known = issues;
    }
}

/// The ports of `server`.
pub(crate) struct Ports {
    pub(crate) state: Arc<State>,
    pub(crate) events: Sender<Event>,
    /// The ID of our own cluster.
    pub(crate) cluster: String,
}

impl Discovery for Ports {
    fn is_ready(&self) -> bool {
        self.state.is_ready_at(Instant::now())
    }

    fn is_live(&self) -> bool {
        self.state.is_live(Instant::now())
    }

    fn connect(&self, id: u64, proxy: Arc<Proxy>) -> watch::Receiver<Option<Published>> {
        let (snapshots, receiver) = watch::channel(None);
        // When the control thread is gone the sender is dropped with the event, and the stream ends.
        let _ = self.events.send(Event::Connect { id, proxy, snapshots });
        receiver
    }

    fn disconnect(&self, id: u64) {
        let _ = self.events.send(Event::Disconnect { id });
    }
}

impl State {
    fn settings(&self) -> Option<Arc<MeshSettings>> {
        self.mesh.load().as_deref().map(|mesh| Arc::clone(Reader::new(mesh).settings()))
    }

    /// Roots in PEM that the mesh configuration has for this signer (`caCertificates[].certSigners`); empty where it has
    /// none.
    pub(crate) fn roots_of_signer(&self, signer: &str) -> String {
        self.roots_of(&|certificate, _| certificate.cert_signers.iter().any(|name| name == signer))
    }

    /// Roots in PEM of all signers that sign for our trust domain.
    pub(crate) fn roots_of_signers(&self) -> String {
        self.roots_of(&|certificate, trust_domain| {
            let domains = &certificate.trust_domains;
            !certificate.cert_signers.is_empty()
                && (domains.is_empty() || domains.iter().any(|domain| domain == trust_domain))
        })
    }

    fn roots_of(&self, is_meant: &dyn Fn(&CertificateData, &str) -> bool) -> String {
        let Some(settings) = self.settings() else { return String::new() };
        let mut roots = String::new();
        for certificate in &settings.config.ca_certificates {
            if let (true, Some(Source::Pem(pem))) =
                (is_meant(certificate, settings.trust_domain()), &certificate.certificate_data)
            {
                roots.push_str(pem.trim());
                roots.push('\n');
            }
        }
        roots
    }

    /// The host that proxies reach the control plane at, with its port; empty where none is set.
    pub(crate) fn discovery_address(&self) -> String {
        let settings = self.settings();
        let proxy = settings.as_ref().and_then(|settings| settings.config.default_config.as_ref());
        proxy.map(|proxy| proxy.discovery_address.clone()).unwrap_or_default()
    }
}

impl Trust for State {
    fn trust_domain(&self) -> Arc<str> {
        self.settings().map_or_else(|| "cluster.local".into(), |settings| settings.trust_domain().into())
    }

    fn is_trusted(&self, trust_domain: &str) -> bool {
        match self.settings() {
            Some(settings) => {
                settings.trust_domain() == trust_domain
                    || settings.config.trust_domain_aliases.iter().any(|alias| alias == trust_domain)
            }
            None => false,
        }
    }
}

impl DebugSource for Ports {
    fn pages(&self) -> Vec<(&'static str, &'static str)> {
        vec![
            ("clusterz", "Clusters that are read, and whether each has been"),
            ("registryz", "Services of the mesh"),
            ("endpointz", "Endpoints of the mesh, by service"),
            ("configz", "Configuration objects, with what was rejected and what is amiss"),
            ("mesh", "Mesh configuration in force"),
        ]
    }

    fn page(&self, name: &str, _query: &BTreeMap<String, String>) -> Option<Value> {
        let mesh = self.state.mesh();
        let mesh = mesh.as_deref();
        match name {
            "clusterz" => Some(self.state.clusters.page(&self.cluster, self.state.has_committed())),
            "registryz" => Some(mesh.map_or(json!([]), debug::services)),
            "endpointz" => Some(mesh.map_or(json!([]), debug::endpoints)),
            "configz" => {
                let mut objects = mesh.map(debug::objects).unwrap_or_default();
                objects.extend(self.state.rejections.lock().iter().map(debug::rejection));
                objects.extend(self.state.issues.lock().iter().map(debug::issue));
                Some(Value::Array(objects))
            }
            "mesh" => Some(mesh.map_or(Value::Null, debug::settings)),
            _ => None,
        }
    }
}
