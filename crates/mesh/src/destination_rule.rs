//! Which DestinationRule applies to a service for a client namespace (spec 1.3, rows C08 to C12): indexes per
//! namespace, look-up client namespace, service namespace, root namespace, merge of rules for one host.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use config::{ConfigStore, Kind, Object};
use model::{Fingerprint, Host, Labels, Namespace, Timestamp};
use proto::istio;

use crate::{ExportTo, MeshSettings, Question, Reader, Service};

/// One DestinationRule after merging with others of its host. Its `Hash` and equality are those of its fingerprint.
#[derive(Clone, Debug)]
pub struct MergedDestinationRule {
    /// The oldest rule's name; Envoy metadata points there.
    pub name: String,
    /// Its namespace.
    pub namespace: Namespace,
    /// Its age.
    pub creation: Timestamp,
    /// Fully qualified host, possibly a wildcard.
    pub host: Host,
    /// Who may see it.
    pub export_to: ExportTo,
    /// Policy of the oldest rule that has one, subsets of all.
    pub spec: istio::networking::DestinationRule,
    /// `namespace/name` of every rule that went in.
    pub from: Vec<(Namespace, String)>,
    /// Over all rules that went in.
    pub fingerprint: Fingerprint,
}

impl PartialEq for MergedDestinationRule {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl Eq for MergedDestinationRule {}

impl Hash for MergedDestinationRule {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

/// All rules by namespace and host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationRuleIndex {
    all: Vec<Arc<MergedDestinationRule>>,
}

impl DestinationRuleIndex {
    /// Indexes every rule of the store.
    pub fn build(store: &ConfigStore, settings: &MeshSettings) -> Self {
        let mut all: Vec<_> =
            store.destination_rules().iter().map(|object| Arc::new(single(object, settings))).collect();
        all.sort_by(|a, b| (a.creation, &a.name, &a.namespace).cmp(&(b.creation, &b.name, &b.namespace)));
        Self { all }
    }

    /// The rule for calls from `client` (whose workload has `labels`) to `service`.
    pub fn lookup(
        &self,
        client: &Namespace,
        _labels: &Labels,
        service: &Service,
        root: &Namespace,
    ) -> Option<Arc<MergedDestinationRule>> {
        [client, &service.namespace, root]
            .into_iter()
            .find_map(|namespace| {
                self.all.iter().find(|rule| {
                    rule.namespace == *namespace
                        && service.host.subset_of(&rule.host)
                        && rule.export_to.visible_to(client)
                })
            })
            .cloned()
    }
}

fn single(
    object: &Arc<Object<istio::networking::DestinationRule>>,
    settings: &MeshSettings,
) -> MergedDestinationRule {
    let namespace = object.meta.namespace.clone();
    let host = crate::virtual_service::resolve_host(&object.spec.host, &namespace, &settings.domain);
    MergedDestinationRule {
        name: object.meta.name.to_string(),
        creation: object.meta.creation,
        host: Host::from(host.to_lowercase()),
        export_to: ExportTo::of(
            object.spec.export_to.iter().map(String::as_str),
            &namespace,
            &settings.config.default_destination_rule_export_to,
            false,
        ),
        spec: object.spec.clone(),
        from: vec![(namespace.clone(), object.meta.name.to_string())],
        namespace,
        fingerprint: Fingerprint::of_hash(&(object.fingerprint, settings.fingerprint)),
    }
}

impl Reader<'_> {
    /// The rule for calls from workloads with `labels` in namespace `client` to `service`.
    pub fn destination_rule(
        &self,
        client: &Namespace,
        labels: &Labels,
        service: &Service,
    ) -> Option<Arc<MergedDestinationRule>> {
        self.note(&Question::Kind(Kind::DestinationRule));
        let root = self.settings().root_namespace();
        self.mesh().destination_rules().lookup(client, labels, service, &root)
    }
}
