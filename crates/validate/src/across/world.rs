//! Objects as they were written, by kind, with an index of workloads by their labels. A workload is whatever makes
//! something that proxies run beside: Pods and what makes Pods, WorkloadEntries and WorkloadGroups, and Gateways of the
//! Gateway API, for which Pods are made.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use config::Kind;
use serde_json::Value;

use super::Surroundings;
use super::hosts::Hosts;
use crate::cursor::Node;

/// The label of what runs for a Gateway of the Gateway API.
pub(super) const GATEWAY_NAME: &str = "gateway.networking.k8s.io/gateway-name";

pub(super) type Labels<'a> = BTreeMap<&'a str, &'a str>;

/// One object.
#[derive(Clone, Debug)]
pub(super) struct Subject<'a> {
    pub(super) index: usize,
    pub(super) group: &'a str,
    pub(super) kind: &'a str,
    pub(super) name: &'a str,
    /// Empty for what is in no namespace.
    pub(super) namespace: &'a str,
    pub(super) object: Node<'a>,
    pub(super) spec: Node<'a>,
}

impl<'a> Subject<'a> {
    fn new(index: usize, object: &'a Value) -> Option<Self> {
        let node = Node::new(Some(object), "");
        let api_version = node.at("apiVersion").text();
        let metadata = node.at("metadata");
        let kind = node.at("kind").text();
        let name = metadata.at("name").text();
        let is_cluster_wide = matches!(kind, "Namespace" | "GatewayClass" | "CustomResourceDefinition");
        (!kind.is_empty() && !name.is_empty()).then(|| Self {
            index,
            group: api_version.rsplit_once('/').map_or("", |(group, _)| group),
            kind,
            name,
            namespace: if is_cluster_wide { "" } else { metadata.at("namespace").text() },
            spec: node.at("spec"),
            object: node,
        })
    }

    fn id(&self) -> (&'a str, &'a str, &'a str, &'a str) {
        (self.group, self.kind, self.namespace, self.name)
    }

    /// `namespace/name`.
    pub(super) fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    pub(super) fn labels(&self) -> Labels<'a> {
        labels(&self.object.at("metadata").at("labels"))
    }

    pub(super) fn label(&self, name: &str) -> Option<&'a str> {
        entry(&self.object.at("metadata").at("labels"), name)
    }

    pub(super) fn annotation(&self, name: &str) -> Option<&'a str> {
        entry(&self.object.at("metadata").at("annotations"), name)
    }

    pub(super) fn is(&self, kind: Kind) -> bool {
        self.kind == kind.name() && self.group == kind.group()
    }

    /// The place of the name, for findings that are about the whole object.
    pub(super) fn name_node(&self) -> Node<'a> {
        self.object.at("metadata").at("name")
    }
}

fn entry<'a>(map: &Node<'a>, name: &str) -> Option<&'a str> {
    map.value()?.get(name)?.as_str()
}

pub(super) fn labels<'a>(map: &Node<'a>) -> Labels<'a> {
    let members = map.value().and_then(Value::as_object);
    members.into_iter().flatten().filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))).collect()
}

/// `a=b,c=d`, as selectors are written.
pub(super) fn as_selector(labels: &Labels<'_>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    pairs.join(",")
}

pub(super) fn selects(selector: &Labels<'_>, labels: &Labels<'_>) -> bool {
    selector.iter().all(|(name, value)| labels.get(name) == Some(value))
}

/// What proxies run beside.
#[derive(Clone, Debug)]
pub(super) struct Workload<'a> {
    pub(super) subject: usize,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) labels: Labels<'a>,
}

/// All objects.
pub(super) struct World<'a> {
    pub(super) around: &'a Surroundings,
    pub(super) subjects: Vec<Subject<'a>>,
    by_kind: BTreeMap<&'a str, Vec<usize>>,
    by_name: HashMap<(&'a str, &'a str, &'a str, &'a str), usize>,
    pub(super) workloads: Vec<Workload<'a>>,
    by_label: HashMap<(&'a str, &'a str), Vec<usize>>,
    pub(super) hosts: Hosts<'a>,
    /// Content of the mesh configuration, if it is among the objects.
    pub(super) mesh: Option<Value>,
    /// Whether selectors can be judged at all.
    pub(super) knows_workloads: bool,
    pub(super) namespaces: BTreeSet<&'a str>,
}

impl<'a> World<'a> {
    pub(super) fn new(objects: &'a [Value], around: &'a Surroundings) -> Self {
        let all: Vec<Subject<'_>> =
            objects.iter().enumerate().filter_map(|(index, object)| Subject::new(index, object)).collect();
        // Of what is said twice the last counts, as if all were applied in turn.
        let last: HashMap<_, usize> = all.iter().map(|subject| (subject.id(), subject.index)).collect();
        let subjects: Vec<Subject<'_>> =
            all.iter().filter(|subject| last.get(&subject.id()) == Some(&subject.index)).cloned().collect();
        let mut by_kind: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut by_name = HashMap::new();
        let mut namespaces = BTreeSet::new();
        for (at, subject) in subjects.iter().enumerate() {
            by_kind.entry(subject.kind).or_default().push(at);
            by_name.insert(subject.id(), at);
            namespaces.insert(if subject.kind == "Namespace" { subject.name } else { subject.namespace });
        }
        let workloads: Vec<Workload<'_>> = subjects
            .iter()
            .enumerate()
            .filter_map(|(at, subject)| {
                let labels = workload_labels(subject)?;
                Some(Workload { subject: at, namespace: subject.namespace, name: subject.name, labels })
            })
            .collect();
        let mut by_label: HashMap<_, Vec<usize>> = HashMap::new();
        for (at, workload) in workloads.iter().enumerate() {
            for (name, value) in &workload.labels {
                by_label.entry((*name, *value)).or_default().push(at);
            }
        }
        let mesh = subjects.iter().find_map(|subject| mesh_config(subject, &around.root_namespace));
        let hosts = Hosts::new(&subjects, around, mesh.as_ref());
        let has_services = subjects.iter().any(|subject| subject.is(Kind::Service));
        let knows_workloads = around.is_complete || has_services || !workloads.is_empty();
        Self {
            around,
            subjects,
            by_kind,
            by_name,
            workloads,
            by_label,
            hosts,
            mesh,
            knows_workloads,
            namespaces,
        }
    }

    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Subject<'a>> + use<'_, 'a> {
        self.named(kind.group(), kind.name())
    }

    pub(super) fn named<'s>(
        &'s self,
        group: &'s str,
        kind: &str,
    ) -> impl Iterator<Item = &'s Subject<'a>> + use<'s, 'a> {
        let of_kind = self.by_kind.get(kind).map(Vec::as_slice).unwrap_or_default();
        of_kind.iter().map(|at| &self.subjects[*at]).filter(move |subject| subject.group == group)
    }

    pub(super) fn get(&self, kind: Kind, namespace: &str, name: &str) -> Option<&Subject<'a>> {
        let at = self.by_name.get(&(kind.group(), kind.name(), namespace, name))?;
        self.subjects.get(*at)
    }

    /// Workloads that have these labels, in one namespace or in all. No labels select all.
    pub(super) fn selected<'s>(
        &'s self,
        selector: &Labels<'_>,
        namespace: Option<&str>,
    ) -> Vec<&'s Workload<'a>> {
        // The rarest of the labels bounds the search.
        let candidates: Option<&[usize]> = selector
            .iter()
            .map(|(name, value)| self.by_label.get(&(*name, *value)).map_or(&[][..], Vec::as_slice))
            .min_by_key(|list| list.len());
        let is_chosen = |workload: &&Workload<'_>| {
            namespace.is_none_or(|namespace| workload.namespace == namespace)
                && selects(selector, &workload.labels)
        };
        match candidates {
            Some(list) => list.iter().map(|at| &self.workloads[*at]).filter(is_chosen).collect(),
            None => self.workloads.iter().filter(is_chosen).collect(),
        }
    }

    /// The namespace in which a policy counts: none for those of the root namespace, which are for all.
    pub(super) fn reach<'s>(&self, namespace: &'s str) -> Option<&'s str> {
        (namespace != self.around.root_namespace).then_some(namespace)
    }
}

/// The labels of what an object makes proxies run beside, if it does.
fn workload_labels<'a>(subject: &Subject<'a>) -> Option<Labels<'a>> {
    let spec = &subject.spec;
    let of_template = |spec: &Node<'a>| labels(&spec.at("template").at("metadata").at("labels"));
    match (subject.group, subject.kind) {
        ("", "Pod") => Some(subject.labels()),
        ("", "ReplicationController") => Some(of_template(spec)),
        ("apps", "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet")
        | ("batch", "Job")
        | ("argoproj.io", "Rollout") => Some(of_template(spec)),
        ("batch", "CronJob") => Some(of_template(&spec.at("jobTemplate").at("spec"))),
        ("networking.istio.io", "WorkloadEntry") => {
            let mut all = subject.labels();
            all.extend(labels(&spec.at("labels")));
            Some(all)
        }
        ("networking.istio.io", "WorkloadGroup") => Some(labels(&spec.at("metadata").at("labels"))),
        ("gateway.networking.k8s.io", "Gateway") => {
            let mut all = subject.labels();
            all.extend(labels(&spec.at("infrastructure").at("labels")));
            all.insert(GATEWAY_NAME, subject.name);
            Some(all)
        }
        _ => None,
    }
}

/// The mesh configuration in the ConfigMap that holds it.
fn mesh_config(subject: &Subject<'_>, root: &str) -> Option<Value> {
    let is_it = subject.is(Kind::ConfigMap) && subject.name == "istio" && subject.namespace == root;
    let text = subject.object.at("data").at("mesh");
    let text = text.text();
    (is_it && !text.is_empty()).then(|| config::yaml::documents(text).ok()?.into_iter().next()).flatten()
}
