//! PeerAuthentication: which mTLS mode a workload demands, port by port (security specification, section 1.1).
//!
//! Three levels, each overwriting the one before where it says something: mesh (no selector, root namespace),
//! namespace (no selector), workload (a selector outside of the root namespace). The oldest policy of a level wins
//! and levels never merge fields; ports are stated on workload policies alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::{ConfigStore, Kind};
use model::{Labels, Namespace, Timestamp};
use proto::istio::security::{PeerAuthentication, peer_authentication};

use crate::{MeshSettings, Question, Reader};

/// How a workload takes connections.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MtlsMode {
    /// A value that this version does not know; plaintext only.
    Unknown,
    /// Plaintext.
    Disable,
    /// Both; the built-in default.
    #[default]
    Permissive,
    /// Mutual TLS.
    Strict,
}

/// The modes of one workload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct WorkloadMtls {
    /// For ports without a mode of their own.
    pub mode: MtlsMode,
    /// By port of the workload; an unset entry already has the workload's mode.
    pub ports: BTreeMap<u32, MtlsMode>,
}

impl WorkloadMtls {
    /// The mode of a port of the workload.
    pub fn of_port(&self, port: u32) -> MtlsMode {
        self.ports.get(&port).copied().unwrap_or(self.mode)
    }
}

/// A policy for selected workloads.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Selected {
    selector: BTreeMap<String, String>,
    mode: Option<MtlsMode>,
    ports: BTreeMap<u32, Option<MtlsMode>>,
}

/// What the workloads of one namespace demand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NamespaceMtls {
    inherited: MtlsMode,
    selected: Arc<[Selected]>,
}

impl NamespaceMtls {
    /// The modes of a workload with `labels`.
    pub fn workload(&self, labels: &Labels) -> WorkloadMtls {
        let mode = self.inherited;
        let policy = self.selected.iter().find(|policy| labels.selected_by(&policy.selector));
        let Some(policy) = policy else { return WorkloadMtls { mode, ports: BTreeMap::new() } };
        let mode = policy.mode.unwrap_or(mode);
        let ports = policy.ports.iter().map(|(port, of_port)| (*port, of_port.unwrap_or(mode))).collect();
        WorkloadMtls { mode, ports }
    }
}

/// What one namespace says.
#[derive(Clone, Debug, Default, PartialEq)]
struct OfNamespace {
    mode: Option<MtlsMode>,
    selected: Vec<Selected>,
}

/// All PeerAuthentications, by level.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct PeerAuthenticationIndex {
    mesh: MtlsMode,
    namespaces: BTreeMap<Namespace, OfNamespace>,
}

impl PeerAuthenticationIndex {
    /// Indexes every policy of the store.
    pub(crate) fn build(store: &ConfigStore, settings: &MeshSettings) -> Self {
        let root = settings.root_namespace();
        let mut policies: Vec<_> = store.peer_authentications().iter().collect();
        policies.sort_by(|a, b| {
            let age = |m: &config::Meta| (m.creation, m.name.clone(), m.namespace.clone());
            let (a, b): ((Timestamp, _, _), _) = (age(&a.meta), age(&b.meta));
            a.cmp(&b)
        });
        let mut index = Self::default();
        let mut settled = std::collections::BTreeSet::new();
        for policy in policies {
            let namespace = &policy.meta.namespace;
            let selector = policy.spec.selector.as_ref().map(|s| s.match_labels.clone()).unwrap_or_default();
            if selector.is_empty() {
                // Only the oldest counts, even if it leaves the mode to the level above.
                if settled.insert(namespace.clone()) {
                    let mode = stated(policy.spec.mtls.as_ref());
                    if *namespace == root {
                        index.mesh = mode.unwrap_or_default();
                    } else {
                        index.namespaces.entry(namespace.clone()).or_default().mode = mode;
                    }
                }
            } else if *namespace != root {
                let of_namespace = index.namespaces.entry(namespace.clone()).or_default();
                of_namespace.selected.push(selected(selector, &policy.spec));
            }
        }
        index
    }

    /// The mode of a namespace.
    pub(crate) fn namespace_mode(&self, namespace: &str) -> MtlsMode {
        self.namespaces.get(namespace).and_then(|of| of.mode).unwrap_or(self.mesh)
    }

    /// What the workloads of a namespace demand.
    pub(crate) fn namespace(&self, namespace: &str) -> NamespaceMtls {
        let selected = self.namespaces.get(namespace).map(|of| of.selected.as_slice().into());
        NamespaceMtls { inherited: self.namespace_mode(namespace), selected: selected.unwrap_or_default() }
    }
}

fn selected(selector: BTreeMap<String, String>, spec: &PeerAuthentication) -> Selected {
    let ports = spec.port_level_mtls.iter().map(|(port, mtls)| (*port, stated(Some(mtls)))).collect();
    Selected { selector, mode: stated(spec.mtls.as_ref()), ports }
}

/// The mode that a policy states; `None` leaves it to the level above.
fn stated(mtls: Option<&peer_authentication::MutualTls>) -> Option<MtlsMode> {
    use peer_authentication::mutual_tls::Mode;
    let Ok(mode) = Mode::try_from(mtls?.mode) else { return Some(MtlsMode::Unknown) };
    match mode {
        Mode::Unset => None,
        Mode::Disable => Some(MtlsMode::Disable),
        Mode::Permissive => Some(MtlsMode::Permissive),
        Mode::Strict => Some(MtlsMode::Strict),
    }
}

impl Reader<'_> {
    /// The mTLS mode of a namespace, workload policies left aside: what clients can tell of a whole service.
    pub fn namespace_mtls_mode(&self, namespace: &Namespace) -> MtlsMode {
        self.note(&Question::Kind(Kind::PeerAuthentication));
        self.mesh().peer_authentications().namespace_mode(namespace)
    }

    /// The mTLS mode of one port of the workloads in `namespace` with `labels`.
    pub fn workload_mtls_mode(&self, namespace: &Namespace, labels: &Labels, port: u32) -> MtlsMode {
        self.inbound_mtls(namespace, labels).of_port(port)
    }

    /// What the workloads of a namespace demand, to be asked for many of them.
    pub fn namespace_mtls(&self, namespace: &Namespace) -> NamespaceMtls {
        self.note(&Question::Kind(Kind::PeerAuthentication));
        self.mesh().peer_authentications().namespace(namespace)
    }

    /// The mTLS modes of the workloads in `namespace` with `labels`, every port that states one included.
    pub fn inbound_mtls(&self, namespace: &Namespace, labels: &Labels) -> WorkloadMtls {
        self.note(&Question::Kind(Kind::PeerAuthentication));
        self.mesh().peer_authentications().namespace(namespace).workload(labels)
    }
}
