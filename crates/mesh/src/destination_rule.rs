//! Which DestinationRule applies to a service for a client (spec 1.3, rows C08 to C12): rules by namespace and host,
//! merged where one host has several; looked up in the client's namespace, that of the service, and the root's.
//!
//! Rules that select their clients come before the others and never leave their namespace. Merging adds subsets with
//! new names and nothing else, but for a policy where the older rule has none.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use config::{ConfigStore, Object};
use model::{Fingerprint, Host, Labels, Namespace, Timestamp};
use proto::istio;

use crate::{Dirty, MeshSettings, Question, Reader, Service};

#[cfg(test)]
mod tests;

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
    /// Policy of the oldest rule that has one, subsets of all.
    pub spec: istio::networking::DestinationRule,
    /// `namespace/name` of every rule that went in.
    pub from: Vec<(Namespace, String)>,
    /// As the oldest rule states it; `.` alone for a rule that selects its clients.
    export_to: BTreeSet<String>,
    /// Names of subsets that were left out, as an older rule has them: of which rule, and which that is.
    duplicates: Vec<DuplicateSubset>,
    /// Over all rules that went in.
    pub fingerprint: Fingerprint,
}

/// A subset that two rules of one host declare.
#[derive(Clone, Debug)]
struct DuplicateSubset {
    subset: String,
    /// `namespace/name` of the younger rule.
    of: String,
    /// The same of the oldest one.
    older: String,
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

fn fingerprint(object: &Object<istio::networking::DestinationRule>, settings: &MeshSettings) -> Fingerprint {
    Fingerprint::of_hash(&(object.fingerprint, settings.fingerprint))
}

impl MergedDestinationRule {
    fn of(object: &Object<istio::networking::DestinationRule>, settings: &MeshSettings) -> Self {
        let namespace = object.meta.namespace.clone();
        let host = crate::virtual_service::resolve_host(&object.spec.host, &namespace, &settings.domain);
        let export_to = match object.spec.workload_selector {
            Some(_) => BTreeSet::from([".".to_owned()]),
            None => object.spec.export_to.iter().cloned().collect(),
        };
        Self {
            name: object.meta.name.to_string(),
            creation: object.meta.creation,
            host: Host::from(host.to_lowercase()),
            spec: object.spec.clone(),
            from: vec![(namespace.clone(), object.meta.name.to_string())],
            export_to,
            duplicates: Vec::new(),
            namespace,
            fingerprint: fingerprint(object, settings),
        }
    }

    fn selector(&self) -> Option<&BTreeMap<String, String>> {
        self.spec.workload_selector.as_ref().map(|selector| &selector.match_labels)
    }

    /// Takes in a younger rule of the same host.
    fn merge(&mut self, younger: &Self) {
        for subset in &younger.spec.subsets {
            if self.spec.subsets.iter().all(|known| known.name != subset.name) {
                self.spec.subsets.push(subset.clone());
            } else {
                self.duplicates.push(DuplicateSubset {
                    subset: subset.name.clone(),
                    of: format!("{}/{}", younger.namespace, younger.name),
                    older: format!("{}/{}", self.namespace, self.name),
                });
            }
        }
        if self.spec.traffic_policy.is_none() {
            self.spec.traffic_policy.clone_from(&younger.spec.traffic_policy);
        }
        self.from.extend(younger.from.iter().cloned());
        self.fingerprint = Fingerprint::of_hash(&(self.fingerprint, younger.fingerprint));
    }

    /// Whether its own namespace is among those it is exported to.
    fn serves_own_namespace(&self) -> bool {
        let list = &self.export_to;
        list.is_empty() || ["*", ".", self.namespace.as_str()].iter().any(|name| list.contains(*name))
    }

    /// Whether nobody but its own namespace may use it.
    fn is_private(&self, settings: &MeshSettings) -> bool {
        match self.export_to.len() {
            0 => settings.config.default_destination_rule_export_to.iter().any(|name| name == "."),
            1 => self.export_to.contains(".") || self.export_to.contains(self.namespace.as_str()),
            _ => false,
        }
    }

    fn is_exported_to(&self, client: &Namespace) -> bool {
        let list = &self.export_to;
        list.is_empty() || list.contains("*") || list.contains(client.as_str())
    }
}

/// Rules by host; those of one host in the order in which they came, merged.
#[derive(Clone, Debug, Default, PartialEq)]
struct ByHost {
    exact: BTreeMap<Host, Vec<Arc<MergedDestinationRule>>>,
    wildcard: BTreeMap<Host, Vec<Arc<MergedDestinationRule>>>,
}

impl ByHost {
    fn add(&mut self, rule: &Arc<MergedDestinationRule>) {
        let map = if rule.host.is_wildcard() { &mut self.wildcard } else { &mut self.exact };
        let list = map.entry(rule.host.clone()).or_default();
        let mut separate = true;
        for known in list.iter_mut() {
            let equal = known.export_to == rule.export_to;
            let wider = !known.export_to.is_empty() && rule.export_to.is_superset(&known.export_to);
            separate = !equal;
            if !equal && !wider {
                continue;
            }
            match (known.selector(), rule.selector()) {
                (Some(a), Some(b)) if a != b => {
                    separate = true;
                    continue;
                }
                (Some(_), Some(_)) | (None, None) => separate = false,
                (Some(_), None) | (None, Some(_)) => {}
            }
            Arc::make_mut(known).merge(rule);
        }
        if separate {
            list.push(Arc::clone(rule));
        }
    }

    /// Exact hosts whose rules differ from those in `old`, and whether rules of wildcards do.
    fn differences<'a>(&'a self, old: &'a Self) -> (Vec<&'a Host>, bool) {
        let hosts = self.exact.keys().chain(old.exact.keys());
        (
            hosts.filter(|host| self.exact.get(*host) != old.exact.get(*host)).collect(),
            self.wildcard != old.wildcard,
        )
    }

    /// The rules of the most specific host that covers `host`.
    fn most_specific(&self, host: &Host) -> &[Arc<MergedDestinationRule>] {
        let same = if host.is_wildcard() { self.wildcard.get(host) } else { self.exact.get(host) };
        same.or_else(|| {
            let covering = self.wildcard.iter().filter(|(wildcard, _)| host.subset_of(wildcard));
            covering.max_by_key(|(wildcard, _)| wildcard.len()).map(|(_, rules)| rules)
        })
        .map_or(&[], Vec::as_slice)
    }
}

/// All rules by namespace and host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DestinationRuleIndex {
    /// Every rule by itself, by namespace and name.
    single: BTreeMap<(Namespace, Arc<str>), Arc<MergedDestinationRule>>,
    /// What clients of a namespace find there.
    local: BTreeMap<Namespace, ByHost>,
    /// What clients of other namespaces find there.
    exported: BTreeMap<Namespace, ByHost>,
    /// The root namespace's private rules.
    root: ByHost,
}

impl DestinationRuleIndex {
    /// Indexes every rule of the store; rules that `previous` has with the same content are not read again.
    pub(crate) fn build(store: &ConfigStore, settings: &MeshSettings, previous: Option<&Self>) -> Self {
        let mut index = Self::default();
        for object in store.destination_rules() {
            let key = (object.meta.namespace.clone(), Arc::clone(&object.meta.name));
            let known = previous.and_then(|previous| previous.single.get(&key));
            let rule = match known.filter(|rule| rule.fingerprint == fingerprint(object, settings)) {
                Some(rule) => Arc::clone(rule),
                None => Arc::new(MergedDestinationRule::of(object, settings)),
            };
            index.single.insert(key, rule);
        }
        let mut rules: Vec<_> = index.single.values().cloned().collect();
        rules.sort_by(|a, b| {
            let selecting_first = a.selector().is_none().cmp(&b.selector().is_none());
            let age = |rule: &MergedDestinationRule| rule.creation;
            selecting_first
                .then_with(|| age(a).cmp(&age(b)))
                .then_with(|| a.name.cmp(&b.name))
                .then_with(|| a.namespace.cmp(&b.namespace))
        });
        let root = settings.root_namespace();
        for rule in &rules {
            if rule.serves_own_namespace() {
                index.local.entry(rule.namespace.clone()).or_default().add(rule);
            }
            if !rule.is_private(settings) {
                index.exported.entry(rule.namespace.clone()).or_default().add(rule);
            } else if rule.namespace == root {
                index.root.add(rule);
            }
        }
        index
    }

    /// Subsets that were left out because an older rule of the same host has one of that name: the host, the object
    /// that it is of, its name, and the older rule.
    pub(crate) fn duplicate_subsets(&self) -> impl Iterator<Item = (&Host, String, &str, &str)> {
        let of_namespaces = self.local.values().chain([&self.root]);
        let lists = of_namespaces.flat_map(|rules| rules.exact.values().chain(rules.wildcard.values()));
        lists.flatten().flat_map(|rule| {
            rule.duplicates.iter().map(|twice| {
                (&rule.host, format!("DestinationRule {}", twice.of), &*twice.subset, &*twice.older)
            })
        })
    }

    /// Whether a rule that clients find in one of these namespaces declares the subset for a host.
    pub(crate) fn has_subset(&self, namespaces: &BTreeSet<Namespace>, host: &Host, subset: &str) -> bool {
        let of = |rules: &ByHost| {
            let rules = rules.most_specific(host).iter();
            rules.flat_map(|rule| &rule.spec.subsets).any(|known| known.name == subset)
        };
        of(&self.root)
            || namespaces.iter().any(|namespace| {
                self.local.get(namespace).is_some_and(of) || self.exported.get(namespace).is_some_and(of)
            })
    }

    /// Marks the questions about rules that have another answer than in `old`.
    pub(crate) fn mark_changes_since(&self, old: &Self, dirty: &mut Dirty) {
        let none = ByHost::default();
        let mut mark = |(hosts, wildcards): (Vec<&Host>, bool)| {
            for host in hosts {
                dirty.mark(&Question::DestinationRules(host.clone()));
            }
            if wildcards {
                dirty.mark(&Question::WildcardDestinationRules);
            }
        };
        for (new, old) in [(&self.local, &old.local), (&self.exported, &old.exported)] {
            for namespace in new.keys().chain(old.keys()) {
                let (new, old) = (new.get(namespace).unwrap_or(&none), old.get(namespace).unwrap_or(&none));
                mark(new.differences(old));
            }
        }
        mark(self.root.differences(&old.root));
    }

    /// The rules for calls from `client` to `service`, those that select their clients first.
    fn candidates<'i>(
        &'i self,
        client: &Namespace,
        service: &Service,
        root: &Namespace,
    ) -> Vec<&'i Arc<MergedDestinationRule>> {
        let local = if client == root { Some(&self.root) } else { self.local.get(client) };
        let local = local.map_or(&[][..], |rules| rules.most_specific(&service.host));
        if !local.is_empty() {
            return local.iter().collect();
        }
        for namespace in [&service.namespace, root] {
            let Some(rules) = self.exported.get(namespace) else { continue };
            let rules = rules.most_specific(&service.host).iter();
            let found: Vec<_> = rules.filter(|rule| rule.is_exported_to(client)).collect();
            if !found.is_empty() {
                return found;
            }
        }
        Vec::new()
    }

    /// The rule for calls from `client`, whose workload has `labels`, to `service`.
    pub fn outbound(
        &self,
        client: &Namespace,
        labels: &Labels,
        service: &Service,
        root: &Namespace,
    ) -> Option<Arc<MergedDestinationRule>> {
        let candidates = self.candidates(client, service, root);
        let selecting = candidates.iter().find(|rule| {
            rule.namespace == *client && rule.selector().is_some_and(|selector| labels.selected_by(selector))
        });
        selecting.or_else(|| candidates.iter().rfind(|rule| rule.selector().is_none())).copied().cloned()
    }

    /// The rule for a workload's own side of `service`: those that select clients do not count.
    pub fn inbound(
        &self,
        client: &Namespace,
        service: &Service,
        root: &Namespace,
    ) -> Option<Arc<MergedDestinationRule>> {
        let candidates = self.candidates(client, service, root);
        candidates.iter().rfind(|rule| rule.selector().is_none()).copied().cloned()
    }
}

impl Reader<'_> {
    fn note_rules_of(&self, service: &Service) {
        self.note(&Question::DestinationRules(service.host.clone()));
        self.note(&Question::WildcardDestinationRules);
    }

    /// The rule for calls from workloads with `labels` in namespace `client` to `service`.
    pub fn destination_rule(
        &self,
        client: &Namespace,
        labels: &Labels,
        service: &Service,
    ) -> Option<Arc<MergedDestinationRule>> {
        self.note_rules_of(service);
        let root = self.settings().root_namespace();
        self.mesh().destination_rules().outbound(client, labels, service, &root)
    }

    /// The rule whose connection pool a workload of namespace `client` behind `service` applies to itself.
    pub fn inbound_destination_rule(
        &self,
        client: &Namespace,
        service: &Service,
    ) -> Option<Arc<MergedDestinationRule>> {
        self.note_rules_of(service);
        let root = self.settings().root_namespace();
        self.mesh().destination_rules().inbound(client, service, &root)
    }
}
