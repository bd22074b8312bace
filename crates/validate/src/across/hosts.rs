//! Hosts that can be called: Services by their full names, and hosts of ServiceEntries, which may be wildcards; with
//! ports, and to whom they are exported.

use std::collections::BTreeMap;

use config::Kind;
use serde_json::Value;

use super::Surroundings;
use super::world::{Labels, Subject, labels};

/// One host that can be called.
#[derive(Clone, Debug)]
pub(super) struct Service<'a> {
    pub(super) host: String,
    pub(super) namespace: &'a str,
    /// Numbers of its ports; none if they are not known.
    pub(super) ports: Vec<i64>,
    exports: Vec<String>,
    /// Labels of its workloads, if it selects any.
    pub(super) selector: Option<Labels<'a>>,
    /// Labels of endpoints that it lists.
    pub(super) endpoints: Vec<Labels<'a>>,
}

impl Service<'_> {
    pub(super) fn is_visible_to(&self, namespace: &str) -> bool {
        is_exported(&self.exports, self.namespace, namespace)
    }
}

/// Whether an `exportTo` lets a namespace see what is in another.
pub(super) fn is_exported(exports: &[String], from: &str, to: &str) -> bool {
    exports.is_empty()
        || exports.iter().any(|scope| match scope.as_str() {
            "*" => true,
            "." => from == to,
            scope => scope == to,
        })
}

/// Whether some namespace sees both of two that are exported from theirs.
pub(super) fn meet((ours, from): (&[String], &str), (theirs, of): (&[String], &str)) -> bool {
    let reaches = |scopes: &[String], from: &str, exports: &[String], of: &str| {
        scopes.iter().any(|scope| match scope.as_str() {
            "*" => true,
            "." => is_exported(exports, of, from),
            scope => is_exported(exports, of, scope),
        })
    };
    ours.is_empty() || theirs.is_empty() || reaches(ours, from, theirs, of) || reaches(theirs, of, ours, from)
}

/// The full name of a host, which short names mean in their own namespace.
pub(super) fn full_host(host: &str, namespace: &str, domain: &str) -> String {
    let host = host.strip_suffix('.').unwrap_or(host);
    if host.contains('.') || host.starts_with('*') || host.is_empty() {
        host.to_owned()
    } else {
        format!("{host}.{namespace}.svc.{domain}")
    }
}

/// Whether some name could be meant by both.
pub(super) fn overlap(a: &str, b: &str) -> bool {
    match (a.strip_prefix('*'), b.strip_prefix('*')) {
        (None, None) => a == b,
        (Some(end), None) => b.ends_with(end) && b.len() > end.len() || end.is_empty(),
        (None, Some(end)) => a.ends_with(end) && a.len() > end.len() || end.is_empty(),
        (Some(a), Some(b)) => a.ends_with(b) || b.ends_with(a),
    }
}

/// All hosts.
#[derive(Debug, Default)]
pub(super) struct Hosts<'a> {
    domain: String,
    exact: BTreeMap<String, Vec<Service<'a>>>,
    wild: Vec<Service<'a>>,
}

impl<'a> Hosts<'a> {
    pub(super) fn new(subjects: &[Subject<'a>], around: &'a Surroundings, mesh: Option<&Value>) -> Self {
        let mut hosts = Self { domain: around.domain.clone(), ..Self::default() };
        let by_default = mesh.and_then(|mesh| mesh.get("defaultServiceExportTo")).map(texts);
        let by_default = by_default.unwrap_or_default();
        for subject in subjects {
            if subject.is(Kind::Service) {
                hosts.add_service(subject, &by_default);
            } else if subject.is(Kind::ServiceEntry) {
                hosts.add_entry(subject, &by_default);
            }
        }
        if !around.is_complete {
            // Every cluster has these.
            for (name, namespace) in [("kubernetes", "default"), ("istiod", around.root_namespace.as_str())] {
                let host = full_host(name, namespace, &around.domain);
                let (ports, exports, selector, endpoints) = (Vec::new(), Vec::new(), None, Vec::new());
                let service = Service { host: host.clone(), namespace, ports, exports, selector, endpoints };
                hosts.exact.entry(host).or_default().push(service);
            }
        }
        hosts
    }

    fn add_service(&mut self, subject: &Subject<'a>, by_default: &[String]) {
        let exports = subject.annotation("networking.istio.io/exportTo");
        let exports = exports.map_or_else(
            || by_default.to_vec(),
            |list| list.split(',').map(|scope| scope.trim().to_owned()).collect(),
        );
        let ports = subject.spec.at("ports").items();
        let selector = labels(&subject.spec.at("selector"));
        let host = full_host(subject.name, subject.namespace, &self.domain);
        let service = Service {
            host: host.clone(),
            namespace: subject.namespace,
            ports: ports.iter().map(|port| port.at("port").integer()).collect(),
            exports,
            selector: (!selector.is_empty()).then_some(selector),
            endpoints: Vec::new(),
        };
        let everywhere = format!("{}.{}.svc.clusterset.local", subject.name, subject.namespace);
        self.exact.entry(everywhere).or_default().push(service.clone());
        self.exact.entry(host).or_default().push(service);
    }

    fn add_entry(&mut self, subject: &Subject<'a>, by_default: &[String]) {
        let spec = &subject.spec;
        let exports = spec.at("exportTo").value().map(texts).unwrap_or_default();
        let exports = if exports.is_empty() { by_default.to_vec() } else { exports };
        let selector = spec.at("workloadSelector");
        let ports = spec.at("ports").items();
        let template = Service {
            host: String::new(),
            namespace: subject.namespace,
            ports: ports.iter().map(|port| port.at("number").integer()).collect(),
            exports,
            selector: selector.is_set().then(|| labels(&selector.at("labels"))),
            endpoints: spec.at("endpoints").items().iter().map(|one| labels(&one.at("labels"))).collect(),
        };
        for host in spec.at("hosts").items() {
            let host = full_host(host.text(), subject.namespace, &self.domain);
            let service = Service { host: host.clone(), ..template.clone() };
            if host.starts_with('*') {
                self.wild.push(service);
            } else {
                self.exact.entry(host).or_default().push(service);
            }
        }
    }

    pub(super) fn full(&self, host: &str, namespace: &str) -> String {
        full_host(host, namespace, &self.domain)
    }

    /// All that a full host, or a wildcard, means, whoever may see it.
    pub(super) fn all<'s>(&'s self, host: &'s str) -> impl Iterator<Item = &'s Service<'a>> {
        let one = self.exact.get(host).map(Vec::as_slice).unwrap_or_default();
        let is_wild = host.starts_with('*');
        let many =
            self.exact.values().flatten().filter(move |service| is_wild && overlap(&service.host, host));
        let wild = self.wild.iter().filter(move |service| overlap(&service.host, host));
        one.iter().chain(many).chain(wild)
    }

    /// What a full host means for who is in a namespace.
    pub(super) fn find<'s>(&'s self, host: &'s str, namespace: &str) -> Option<&'s Service<'a>> {
        self.all(host).find(|service| service.is_visible_to(namespace))
    }

    /// What else could have been meant.
    pub(super) fn advice(&self, host: &str, namespace: &str) -> String {
        let full = self.full(host, namespace);
        if let Some(hidden) = self.all(&full).next() {
            let of = hidden.namespace;
            return format!("it is in namespace {of}, but not exported to {namespace}: widen its exportTo");
        }
        let of_cluster = format!("{full}.svc.{}", self.domain);
        if self.exact.contains_key(&of_cluster) {
            return format!("names with a dot are taken as they are: write {of_cluster}");
        }
        let first = full.split('.').next().unwrap_or_default();
        let start = format!("{first}.");
        let elsewhere = self.exact.range(start.clone()..).next().map(|(name, _)| name);
        match elsewhere.filter(|name| name.starts_with(&start) && !name.ends_with(".clusterset.local")) {
            Some(name) => format!("correct it, perhaps to {name}, or add a Service or ServiceEntry"),
            None => "correct it, or add a Service or ServiceEntry of that name".to_owned(),
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect()
}
