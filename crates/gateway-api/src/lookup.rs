//! What objects refer to, looked up by name. Every single lookup is noted by its key, found or not, so that a change
//! of another Service, Secret, ConfigMap, ServiceEntry or Namespace asks for no new derivation (rule 1: reads are
//! recorded).

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use config::{ConfigKey, ConfigStore, Kind, Object, k8s};
use model::{Labels, Namespace};
use proto::istio::mesh::MeshConfig;
use proto::istio::networking::ServiceEntry;

/// What of the mesh's settings matters here.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// MeshConfig over its defaults.
    pub mesh: &'a MeshConfig,
    /// The suffix of Kubernetes service names.
    pub domain: &'a str,
    /// The namespace that Gateways made of Ingresses are in (`K8S_INGRESS_NS`).
    pub ingress_namespace: &'a str,
    /// Whether TCP listeners, TCPRoutes and experimental kinds count (`PILOT_ENABLE_ALPHA_GATEWAY_API`).
    pub alpha: bool,
}

/// The objects, and which of them were asked for by name.
pub(crate) struct Lookup<'a> {
    pub(crate) store: &'a ConfigStore,
    pub(crate) settings: Settings<'a>,
    asked: RefCell<BTreeSet<ConfigKey>>,
    /// Whether somebody looked at every Namespace.
    all_namespaces: RefCell<bool>,
    /// Whether somebody looked for a host among all ServiceEntries of a namespace.
    entries_of: RefCell<BTreeSet<Namespace>>,
}

/// What was looked up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Asked {
    keys: BTreeSet<ConfigKey>,
    all_namespaces: bool,
    entries_of: BTreeSet<Namespace>,
}

impl Asked {
    /// Whether the object's change can make a difference to who asked.
    pub(crate) fn concerns(&self, key: &ConfigKey) -> bool {
        match key.kind {
            Kind::Namespace if self.all_namespaces => true,
            Kind::ServiceEntry if self.entries_of.contains(&key.namespace) => true,
            _ => self.keys.contains(key),
        }
    }
}

impl<'a> Lookup<'a> {
    pub(crate) fn new(store: &'a ConfigStore, settings: Settings<'a>) -> Self {
        Self {
            store,
            settings,
            asked: RefCell::default(),
            all_namespaces: RefCell::default(),
            entries_of: RefCell::default(),
        }
    }

    /// What was looked up.
    pub(crate) fn into_asked(self) -> Asked {
        Asked {
            keys: self.asked.into_inner(),
            all_namespaces: self.all_namespaces.into_inner(),
            entries_of: self.entries_of.into_inner(),
        }
    }

    fn note(&self, kind: Kind, namespace: &str, name: &str) {
        self.asked.borrow_mut().insert(ConfigKey::new(kind, namespace, name));
    }

    /// A Service.
    pub(crate) fn service(&self, namespace: &str, name: &str) -> Option<&'a Arc<Object<k8s::Service>>> {
        self.note(Kind::Service, namespace, name);
        self.store.services().get(namespace, name)
    }

    /// A ServiceEntry.
    pub(crate) fn service_entry(&self, namespace: &str, name: &str) -> Option<&'a Arc<Object<ServiceEntry>>> {
        self.note(Kind::ServiceEntry, namespace, name);
        self.store.service_entries().get(namespace, name)
    }

    /// A Secret.
    pub(crate) fn secret(&self, namespace: &str, name: &str) -> Option<&'a Arc<Object<k8s::Secret>>> {
        self.note(Kind::Secret, namespace, name);
        self.store.secrets().get(namespace, name)
    }

    /// A ConfigMap.
    pub(crate) fn config_map(&self, namespace: &str, name: &str) -> Option<&'a Arc<Object<k8s::ConfigMap>>> {
        self.note(Kind::ConfigMap, namespace, name);
        self.store.config_maps().get(namespace, name)
    }

    /// The labels of a namespace; none if there is no such Namespace.
    pub(crate) fn namespace_labels(&self, name: &str) -> Option<&'a Labels> {
        self.note(Kind::Namespace, "", name);
        self.store.namespaces().get("", name).map(|namespace| &namespace.meta.labels)
    }

    /// Every Namespace with its labels, by name.
    pub(crate) fn namespaces(&self) -> impl Iterator<Item = (&'a str, &'a Labels)> {
        *self.all_namespaces.borrow_mut() = true;
        self.store.namespaces().iter().map(|namespace| (&*namespace.meta.name, &namespace.meta.labels))
    }

    /// Whether a Service or ServiceEntry of the namespace declares that host.
    pub(crate) fn declares_host(&self, namespace: &str, host: &str) -> bool {
        self.entries_of.borrow_mut().insert(Namespace::from(namespace));
        let suffix = format!(".{namespace}.svc.{}", self.settings.domain);
        let service = host.strip_suffix(&suffix).filter(|name| !name.contains('.'));
        if service.is_some_and(|name| self.service(namespace, name).is_some()) {
            return true;
        }
        let mut entries = self.store.service_entries().in_namespace(namespace);
        entries.any(|entry| entry.spec.hosts.iter().any(|of_entry| of_entry.eq_ignore_ascii_case(host)))
    }

    /// The full name of a Service.
    pub(crate) fn service_host(&self, namespace: &str, name: &str) -> String {
        format!("{name}.{namespace}.svc.{}", self.settings.domain)
    }
}
