//! Delegates: a VirtualService without hosts lends its HTTP routes to the routes of others that name it (spec 3.4
//! "Delegates", row R23). A delegate's route replaces the root's, narrowed by the root's matches; where the two do not
//! go together, the delegate's route is left out.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use model::{Fingerprint, Issue, Namespace};
use proto::istio::networking as api;
use proto::istio::networking::string_match::MatchType;

use crate::VirtualService;

/// VirtualServices without hosts, by namespace and name.
#[derive(Debug)]
pub(crate) struct Delegates(BTreeMap<(Namespace, String), VirtualService>);

impl Delegates {
    /// Those.
    pub(crate) fn new(all: impl Iterator<Item = VirtualService>) -> Self {
        Self(all.map(|leaf| ((leaf.namespace.clone(), leaf.name.clone()), leaf)).collect())
    }

    fn find(&self, wanted: &api::Delegate, root: &Namespace) -> Option<&VirtualService> {
        let namespace = match wanted.namespace.as_str() {
            "" => root.clone(),
            namespace => Namespace::from(namespace),
        };
        self.0.get(&(namespace, wanted.name.clone())).filter(|leaf| leaf.export_to.visible_to(root))
    }
}

/// `root` with the routes of its delegates in place of those that name them.
pub(crate) fn merged(
    mut root: VirtualService,
    delegates: &Delegates,
    issues: &mut Vec<Issue>,
) -> VirtualService {
    let delegating = root.spec.http.iter().any(|route| route.delegate.is_some());
    if !delegating || root.semantics.separates_paths() {
        return root;
    }
    let mut issue = |index: usize, message: String| {
        issues.push(Issue {
            object: format!("VirtualService {}/{}", root.namespace, root.name),
            path: format!("spec.http[{index}].delegate"),
            message,
        });
    };
    let mut routes = Vec::new();
    let mut parts = vec![root.fingerprint];
    for (index, route) in root.spec.http.drain(..).enumerate() {
        let Some(wanted) = &route.delegate else {
            routes.push(route);
            continue;
        };
        let Some(leaf) = delegates.find(wanted, &root.namespace) else {
            issue(index, format!("there is no VirtualService {} to delegate to", wanted.name));
            continue;
        };
        parts.push(leaf.fingerprint);
        for of_leaf in &leaf.spec.http {
            match route_of(&route, of_leaf) {
                Some(made) => routes.push(made),
                None => issue(index, format!("a route of {} has a match beside this one's", leaf.name)),
            }
        }
    }
    root.spec.http = routes;
    root.fingerprint = Fingerprint::of_hash(&parts);
    root
}

/// The leaf's route under the root's; what the leaf leaves open the root fills.
fn route_of(root: &api::HttpRoute, leaf: &api::HttpRoute) -> Option<api::HttpRoute> {
    let matches = matches_of(&root.r#match, &leaf.r#match)?;
    Some(api::HttpRoute {
        r#match: matches,
        name: joined(&root.name, &leaf.name),
        rewrite: leaf.rewrite.clone().or_else(|| root.rewrite.clone()),
        direct_response: leaf.direct_response.clone().or_else(|| root.direct_response.clone()),
        timeout: leaf.timeout.or(root.timeout),
        retries: leaf.retries.clone().or_else(|| root.retries.clone()),
        fault: leaf.fault.clone().or_else(|| root.fault.clone()),
        mirror: leaf.mirror.clone().or_else(|| root.mirror.clone()),
        mirror_percent: leaf.mirror_percent.or(root.mirror_percent),
        mirror_percentage: leaf.mirror_percentage.or(root.mirror_percentage),
        cors_policy: leaf.cors_policy.clone().or_else(|| root.cors_policy.clone()),
        mirrors: if leaf.mirrors.is_empty() { root.mirrors.clone() } else { leaf.mirrors.clone() },
        headers: leaf.headers.clone().or_else(|| root.headers.clone()),
        ..leaf.clone()
    })
}

/// Every match of the leaf within every match of the root that it fits. `None` when one fits nowhere.
fn matches_of(
    root: &[api::HttpMatchRequest],
    leaf: &[api::HttpMatchRequest],
) -> Option<Vec<api::HttpMatchRequest>> {
    if root.is_empty() {
        return Some(leaf.to_vec());
    }
    if leaf.is_empty() {
        return Some(root.to_vec());
    }
    let mut all = Vec::new();
    for inner in leaf {
        let before = all.len();
        all.extend(root.iter().filter(|outer| fits(outer, inner)).map(|outer| match_of(outer, inner)));
        if all.len() == before {
            return None;
        }
    }
    Some(all)
}

fn match_of(outer: &api::HttpMatchRequest, inner: &api::HttpMatchRequest) -> api::HttpMatchRequest {
    let first = |inner: &str, outer: &str| if inner.is_empty() { outer.to_owned() } else { inner.to_owned() };
    api::HttpMatchRequest {
        name: joined(&outer.name, &inner.name),
        uri: inner.uri.clone().or_else(|| outer.uri.clone()),
        scheme: inner.scheme.clone().or_else(|| outer.scheme.clone()),
        method: inner.method.clone().or_else(|| outer.method.clone()),
        authority: inner.authority.clone().or_else(|| outer.authority.clone()),
        headers: united(&outer.headers, &inner.headers),
        without_headers: united(&outer.without_headers, &inner.without_headers),
        query_params: united(&outer.query_params, &inner.query_params),
        port: if inner.port == 0 { outer.port } else { inner.port },
        source_labels: united(&outer.source_labels, &inner.source_labels),
        source_namespace: first(&inner.source_namespace, &outer.source_namespace),
        gateways: if inner.gateways.is_empty() { outer.gateways.clone() } else { inner.gateways.clone() },
        stat_prefix: first(&inner.stat_prefix, &outer.stat_prefix),
        ..inner.clone()
    }
}

/// `root-leaf`, or the one that is there.
fn joined(root: &str, leaf: &str) -> String {
    match (root, leaf) {
        ("", leaf) => leaf.to_owned(),
        (root, "") => root.to_owned(),
        (root, leaf) => format!("{root}-{leaf}"),
    }
}

/// Both maps; the leaf's values win.
fn united<V: Clone>(outer: &BTreeMap<String, V>, inner: &BTreeMap<String, V>) -> BTreeMap<String, V> {
    let mut all = outer.clone();
    all.extend(inner.iter().map(|(key, value)| (key.clone(), value.clone())));
    all
}

/// Whether the leaf's match only narrows the root's.
fn fits(outer: &api::HttpMatchRequest, inner: &api::HttpMatchRequest) -> bool {
    let texts = [
        (&outer.uri, &inner.uri),
        (&outer.scheme, &inner.scheme),
        (&outer.method, &inner.method),
        (&outer.authority, &inner.authority),
    ];
    let maps = [
        (&outer.headers, &inner.headers),
        (&outer.without_headers, &inner.without_headers),
        (&outer.query_params, &inner.query_params),
    ];
    let same_labels = inner
        .source_labels
        .iter()
        .all(|(key, value)| outer.source_labels.get(key).is_none_or(|known| known == value));
    let gateways = outer.gateways.is_empty()
        || (inner.gateways.len() <= outer.gateways.len()
            && inner.gateways.iter().all(|gateway| outer.gateways.contains(gateway)));
    texts.into_iter().all(|(outer, inner)| text_fits(outer.as_ref(), inner.as_ref()))
        && maps
            .into_iter()
            .all(|(outer, inner)| inner.iter().all(|(key, value)| text_fits(outer.get(key), Some(value))))
        && outer.ignore_uri_case == inner.ignore_uri_case
        && (outer.port == 0 || inner.port == 0 || outer.port == inner.port)
        && (outer.source_namespace.is_empty() || outer.source_namespace == inner.source_namespace)
        && same_labels
        && gateways
}

/// Whether every text that `inner` takes is one that `outer` takes, as far as can be told: nothing is said about
/// regular expressions, so they fit only where the other side is open.
fn text_fits(outer: Option<&api::StringMatch>, inner: Option<&api::StringMatch>) -> bool {
    let (Some(outer), Some(inner)) = (outer, inner) else { return true };
    match (&outer.match_type, &inner.match_type) {
        (Some(MatchType::Exact(outer)), Some(MatchType::Exact(inner))) => outer == inner,
        (Some(MatchType::Prefix(outer)), Some(MatchType::Prefix(inner) | MatchType::Exact(inner))) => {
            inner.starts_with(outer.as_str())
        }
        _ => false,
    }
}
