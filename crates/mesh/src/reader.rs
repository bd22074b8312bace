//! The questions (rule 1). A [`Reader`] answers from one [`Mesh`] and notes every question put to it; what was read
//! must be redone when a later mesh answers one of these questions differently.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::hash::Hash;
use std::hash::Hasher;
use std::sync::Arc;

use config::{ConfigStore, Kind};
use model::{Fingerprinter, Host, Namespace};

use crate::{EndpointSet, KeySource, Mesh, MeshSettings, Service, VirtualService};

/// One question. Coarser questions cause more work, never wrong results.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// MeshConfig, MeshNetworks, features.
    Settings,
    /// Which label and metadata keys configuration mentions.
    MentionedKeys,
    /// Which services exist, and everything about them but their endpoints.
    Services,
    /// One service.
    Service(Host, Namespace),
    /// The endpoints of one service.
    Endpoints(Host, Namespace),
    /// The service accounts behind one service.
    ServiceAccounts(Host, Namespace),
    /// The gateways between networks.
    NetworkGateways,
    /// Whether every endpoint behind a port of one service can be reached through a tunnel.
    Tunnels(Host, Namespace),
    /// The DestinationRules of one exact host.
    DestinationRules(Host),
    /// The DestinationRules of wildcard hosts.
    WildcardDestinationRules,
    /// Everything about the objects of one kind.
    Kind(Kind),
    /// The objects of one kind in one namespace.
    KindIn(Kind, Namespace),
    /// The keys that one source gives for tokens.
    KeySet(KeySource),
    /// One Secret or ConfigMap.
    Object(Kind, Namespace, Arc<str>),
}

impl Question {
    /// What is noted: a fingerprint of the question. A collision only causes extra work.
    pub fn id(&self) -> u64 {
        let mut hasher = Fingerprinter::default();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// The questions that some computation asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reads(
    /// Ascending. A list, as there are many of these, and they never change.
    Arc<[u64]>,
);

impl Reads {
    /// Whether one of the questions is among `ids`.
    pub fn meets(&self, ids: &BTreeSet<u64>) -> bool {
        if self.0.len() < ids.len() {
            self.0.iter().any(|id| ids.contains(id))
        } else {
            ids.iter().any(|id| self.0.binary_search(id).is_ok())
        }
    }

    /// The questions' ids, ascending.
    pub fn ids(&self) -> impl Iterator<Item = u64> + '_ {
        self.0.iter().copied()
    }
}

/// Answers questions about one mesh and notes them.
pub struct Reader<'m> {
    mesh: &'m Mesh,
    reads: RefCell<BTreeSet<u64>>,
}

impl<'m> Reader<'m> {
    /// A reader that has asked nothing yet.
    pub fn new(mesh: &'m Mesh) -> Self {
        Self { mesh, reads: RefCell::default() }
    }

    /// What was asked since the last call; the notes are empty afterwards.
    pub fn take_reads(&self) -> Reads {
        Reads(std::mem::take(&mut *self.reads.borrow_mut()).into_iter().collect())
    }

    /// Notes a question. Every method of this type that looks at the mesh does so first.
    pub(crate) fn note(&self, question: &Question) {
        self.reads.borrow_mut().insert(question.id());
    }

    /// The mesh, for the answers given in other files of this crate; they note the question themselves.
    pub(crate) fn mesh(&self) -> &'m Mesh {
        self.mesh
    }

    /// The objects of one kind; the caller must have noted a question that covers what it looks at.
    pub(crate) fn store(&self) -> &'m ConfigStore {
        self.mesh.store()
    }

    /// Mesh-wide settings.
    pub fn settings(&self) -> &'m Arc<MeshSettings> {
        self.note(&Question::Settings);
        self.mesh.settings()
    }

    /// All services that `namespace` may see, its private ones first, then those exported to it, then the public
    /// ones, each by age.
    pub fn services_visible_to(&self, namespace: &Namespace) -> Vec<Arc<Service>> {
        self.note(&Question::Services);
        self.mesh.services().visible_to(namespace)
    }

    /// The service of that host declared in that namespace.
    pub fn service(&self, host: &Host, namespace: &Namespace) -> Option<Arc<Service>> {
        self.note(&Question::Service(host.clone(), namespace.clone()));
        self.mesh.services().by_host(host).find(|s| s.namespace == *namespace).cloned()
    }

    /// The services of that host, one per namespace, in the order of the namespaces' names.
    pub fn services_of_host(&self, host: &Host) -> Vec<Arc<Service>> {
        self.note(&Question::Services);
        self.mesh.services().by_host(host).cloned().collect()
    }

    /// The endpoints behind one service, every port's.
    pub fn endpoints(&self, host: &Host, namespace: &Namespace) -> EndpointSet {
        self.note(&Question::Endpoints(host.clone(), namespace.clone()));
        self.mesh.endpoints().get(host, namespace)
    }

    /// The service accounts behind one service, sorted.
    pub fn service_accounts(&self, host: &Host, namespace: &Namespace) -> Arc<[String]> {
        self.note(&Question::ServiceAccounts(host.clone(), namespace.clone()));
        self.mesh.endpoints().get(host, namespace).service_accounts
    }

    /// Whether there are endpoints behind that port of a service and all can be reached through a tunnel.
    pub fn is_tunnelled(&self, host: &Host, namespace: &Namespace, port_name: &str) -> bool {
        self.note(&Question::Tunnels(host.clone(), namespace.clone()));
        let set = self.mesh.endpoints().get(host, namespace);
        set.tunnelled_ports.iter().any(|port| port == port_name)
    }

    /// All VirtualServices that `namespace` may see: its private ones first, then those exported to it, then the
    /// public ones, each by age.
    pub fn virtual_services_visible_to(&self, namespace: &Namespace) -> Vec<Arc<VirtualService>> {
        self.note(&Question::Kind(Kind::VirtualService));
        self.mesh.virtual_services().visible_to(namespace)
    }
}
