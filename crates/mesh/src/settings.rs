//! The mesh-wide settings: MeshConfig merged over its defaults, MeshNetworks, features.

use std::hash::{Hash, Hasher};

use config::ConfigStore;
use model::{Fingerprint, Issue, Namespace};
use proto::istio;

use crate::Features;

/// What the process was started with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Base {
    /// Switches.
    pub features: Features,
    /// `--domain`: the suffix of Kubernetes service names.
    pub domain: String,
    /// The namespace of the control plane, where the ConfigMap with the mesh configuration is.
    pub namespace: Namespace,
    /// The revision; empty or `default` for the default one.
    pub revision: String,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            features: Features::default(),
            domain: "cluster.local".to_owned(),
            namespace: Namespace::from("istio-system"),
            revision: String::new(),
        }
    }
}

impl Base {
    /// The name of the ConfigMap with the mesh configuration: `istio`, or `istio-<revision>`.
    pub fn config_map_name(&self) -> String {
        match self.revision.as_str() {
            "" | "default" => "istio".to_owned(),
            revision => format!("istio-{revision}"),
        }
    }
}

/// Everything that holds for the whole mesh. Its `Hash` and equality are those of its fingerprint.
#[derive(Clone, Debug)]
pub struct MeshSettings {
    /// MeshConfig over istiod's defaults.
    pub config: istio::mesh::MeshConfig,
    /// MeshNetworks.
    pub networks: istio::mesh::MeshNetworks,
    /// Switches.
    pub features: Features,
    /// `--domain`: the suffix of Kubernetes service names.
    pub domain: String,
    /// Over all of the above.
    pub fingerprint: Fingerprint,
}

impl MeshSettings {
    /// The settings that a store holds. A broken document keeps that part of `previous` (or the defaults) and is an
    /// issue for the user.
    pub fn resolve(store: &ConfigStore, base: &Base, previous: Option<&Self>) -> (Self, Vec<Issue>) {
        let name = base.config_map_name();
        let map = store.config_maps().get(&base.namespace, &name);
        let document = |key: &str| map.and_then(|map| map.spec.data.get(key)).map_or("", String::as_str);
        let mut issues = Vec::new();
        let mut issue = |key: &str, reason: String| {
            issues.push(Issue {
                object: format!("ConfigMap {}/{name}", base.namespace),
                path: format!("data.{key}"),
                message: format!("{reason}; the last good configuration stays"),
            });
        };
        let config = config::mesh_config::parse_mesh(document("mesh")).unwrap_or_else(|reason| {
            issue("mesh", reason.to_string());
            previous.map_or_else(config::mesh_config::default_mesh, |p| p.config.clone())
        });
        let networks =
            config::mesh_config::parse_networks(document("meshNetworks")).unwrap_or_else(|reason| {
                issue("meshNetworks", reason.to_string());
                previous.map(|p| p.networks.clone()).unwrap_or_default()
            });
        let fingerprint =
            Fingerprint::of_hash(&(&*proto::pack::bytes(&config), &*proto::pack::bytes(&networks), base));
        let settings = Self {
            config,
            networks,
            features: base.features.clone(),
            domain: base.domain.clone(),
            fingerprint,
        };
        (settings, issues)
    }

    /// The namespace whose objects hold for the mesh.
    pub fn root_namespace(&self) -> Namespace {
        let name = self.config.root_namespace.as_str();
        Namespace::from(if name.is_empty() { "istio-system" } else { name })
    }

    /// The trust domain of workload identities.
    pub fn trust_domain(&self) -> &str {
        if self.config.trust_domain.is_empty() { "cluster.local" } else { &self.config.trust_domain }
    }
}

impl PartialEq for MeshSettings {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for MeshSettings {}

impl Hash for MeshSettings {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}
