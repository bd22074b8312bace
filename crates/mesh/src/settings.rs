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
    /// `SHARED_MESH_CONFIG`: a further ConfigMap, whose mesh configuration the own one is laid over; empty for none.
    pub shared_config_map: String,
}

impl Default for Base {
    fn default() -> Self {
        Self {
            features: Features::default(),
            domain: "cluster.local".to_owned(),
            namespace: Namespace::from("istio-system"),
            revision: String::new(),
            shared_config_map: String::new(),
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
        let own = base.config_map_name();
        let document = |name: &str, key: &str| {
            let map = store.config_maps().get(&base.namespace, name);
            map.and_then(|map| map.spec.data.get(key)).map_or("", String::as_str)
        };
        let mut issues = Vec::new();
        let mut issue = |name: &str, key: &str, reason: String| {
            issues.push(Issue {
                object: format!("ConfigMap {}/{name}", base.namespace),
                path: format!("data.{key}"),
                message: format!("{reason}; the last good configuration stays"),
            });
        };
        let is_shared = !base.shared_config_map.is_empty() && base.shared_config_map != own;
        let shared = if is_shared { document(&base.shared_config_map, "mesh") } else { "" };
        let merged = config::mesh_config::merge_mesh(&[shared, document(&own, "mesh")]);
        let mut config = merged.unwrap_or_else(|reason| {
            // Each is a document of its own, so one of the two is at fault.
            let name = match config::mesh_config::parse_mesh(shared) {
                Err(_) => base.shared_config_map.as_str(),
                Ok(_) => own.as_str(),
            };
            issue(name, "mesh", reason.to_string());
            previous.map_or_else(config::mesh_config::default_mesh, |p| p.config.clone())
        });
        let networks =
            config::mesh_config::parse_networks(document(&own, "meshNetworks")).unwrap_or_else(|reason| {
                issue(&own, "meshNetworks", reason.to_string());
                previous.map(|p| p.networks.clone()).unwrap_or_default()
            });
        issues.extend(mend_ports(&mut config).into_iter().map(|(path, message)| Issue {
            object: format!("ConfigMap {}/{own}", base.namespace),
            path: format!("mesh.{path}"),
            message,
        }));
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

    /// The ID of the cluster that a store is of.
    pub fn cluster_of<'a>(&'a self, store: &'a ConfigStore) -> &'a str {
        store.cluster().map_or(&self.features.cluster_id, |id| id)
    }

    /// The trust domain of workload identities.
    pub fn trust_domain(&self) -> &str {
        if self.config.trust_domain.is_empty() { "cluster.local" } else { &self.config.trust_domain }
    }
}

/// Ports that no proxy can listen on become the usual ones: what is none, and one port for both directions, which
/// Envoy refuses as two listeners of one address. Says what was wrong, by field.
fn mend_ports(config: &mut istio::mesh::MeshConfig) -> Vec<(&'static str, String)> {
    const OUTBOUND: (&str, i32) = ("proxyListenPort", 15001);
    const INBOUND: (&str, i32) = ("proxyInboundListenPort", 15006);
    let mut wrong = Vec::new();
    let fields =
        [(OUTBOUND, &mut config.proxy_listen_port), (INBOUND, &mut config.proxy_inbound_listen_port)];
    for ((field, usual), port) in fields {
        if !(0..=65_535).contains(port) {
            wrong.push((field, format!("{port} is no port; {usual} is used")));
            *port = usual;
        } else if *port == 0 {
            *port = usual;
        }
    }
    if config.proxy_listen_port == config.proxy_inbound_listen_port {
        let same = config.proxy_listen_port;
        let ((field, usual), port) = if same == INBOUND.1 {
            (OUTBOUND, &mut config.proxy_listen_port)
        } else {
            (INBOUND, &mut config.proxy_inbound_listen_port)
        };
        wrong.push((field, format!("port {same} cannot take both directions; {usual} is used here")));
        *port = usual;
    }
    wrong
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

#[cfg(test)]
mod tests {
    use config::ConfigStore;
    use serde_json::json;

    use super::{Base, MeshSettings};

    fn store(maps: &[(&str, &str)]) -> ConfigStore {
        maps.iter()
            .filter_map(|(name, mesh)| {
                let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"mesh": mesh},
                                 "metadata": {"name": name, "namespace": "istio-system"}});
                config::parse(map, "test").unwrap()
            })
            .collect()
    }

    fn base() -> Base {
        Base { shared_config_map: "shared".to_owned(), ..Base::default() }
    }

    #[test]
    fn the_own_configuration_is_laid_over_the_shared_one() {
        let shared = "{trustDomain: example.org, accessLogFile: /shared, defaultConfig: {concurrency: 3}}";
        let own = "{accessLogFile: /own, defaultConfig: {drainDuration: 5s}}";
        let (settings, issues) =
            MeshSettings::resolve(&store(&[("shared", shared), ("istio", own)]), &base(), None);
        assert!(issues.is_empty());
        assert_eq!(settings.trust_domain(), "example.org");
        assert_eq!(settings.config.access_log_file, "/own");
        let proxy = settings.config.default_config.clone().unwrap();
        assert_eq!(proxy.concurrency.map(|count| count.value), Some(3));
        assert_eq!(proxy.drain_duration.map(|duration| duration.seconds), Some(5));

        let alone = MeshSettings::resolve(&store(&[("istio", own)]), &base(), None).0;
        assert_eq!(alone.trust_domain(), "cluster.local");
    }

    #[test]
    fn ports_that_no_proxy_can_listen_on_are_told_and_become_the_usual_ones() {
        let cases = [
            ("{proxyListenPort: 443, proxyInboundListenPort: 443}", (443, 15006), "proxyInboundListenPort"),
            ("{proxyListenPort: 15006}", (15001, 15006), "proxyListenPort"),
            ("{proxyListenPort: 70000}", (15001, 15006), "proxyListenPort"),
            ("{proxyInboundListenPort: -1}", (15001, 15006), "proxyInboundListenPort"),
        ];
        for (document, ports, field) in cases {
            let (settings, issues) = MeshSettings::resolve(&store(&[("istio", document)]), &base(), None);
            let config = &settings.config;
            assert_eq!((config.proxy_listen_port, config.proxy_inbound_listen_port), ports, "{document}");
            assert_eq!(issues.len(), 1, "{issues:?}");
            assert_eq!(issues[0].path, format!("mesh.{field}"));
        }
        let swapped = "{proxyListenPort: 15006, proxyInboundListenPort: 15001}";
        let (settings, issues) = MeshSettings::resolve(&store(&[("istio", swapped)]), &base(), None);
        assert_eq!((settings.config.proxy_listen_port, issues.len()), (15006, 0));
    }

    #[test]
    fn a_broken_document_keeps_what_was_in_force_and_is_told_by_the_name_of_its_map() {
        let good = store(&[("shared", "trustDomain: example.org"), ("istio", "accessLogFile: /own")]);
        let (before, _) = MeshSettings::resolve(&good, &base(), None);
        for (shared, own, name) in [("trustDomain: [", "", "shared"), ("", "trustDomain: {}", "istio")] {
            let broken = store(&[("shared", shared), ("istio", own)]);
            let (settings, issues) = MeshSettings::resolve(&broken, &base(), Some(&before));
            assert_eq!(settings, before);
            assert_eq!(issues.len(), 1);
            assert_eq!(issues[0].object, format!("ConfigMap istio-system/{name}"));
        }
    }
}
