//! Policies: selectors that select nothing (IST0127; IST0101 for Telemetries), targets, namespaces and providers that
//! are not there (IST0101), several where one counts (IST0159, IST0160, TRI0103), selectors that gateways of the Gateway
//! API pass over (IST0166), access logs without a provider (IST0157).

use std::collections::{BTreeMap, BTreeSet};

use config::Kind;
use serde_json::Value;

use super::world::{GATEWAY_NAME, Subject, World, as_selector, labels};
use super::{Report, listed};
use crate::cursor::Node;

/// Kinds with `selector`, by the member that holds its labels.
const KINDS: [(Kind, &str, &str); 8] = [
    (Kind::AuthorizationPolicy, "selector", "matchLabels"),
    (Kind::RequestAuthentication, "selector", "matchLabels"),
    (Kind::PeerAuthentication, "selector", "matchLabels"),
    (Kind::Telemetry, "selector", "matchLabels"),
    (Kind::WasmPlugin, "selector", "matchLabels"),
    (Kind::TrafficExtension, "selector", "matchLabels"),
    (Kind::ProxyConfig, "selector", "matchLabels"),
    (Kind::EnvoyFilter, "workloadSelector", "labels"),
];

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    for (kind, selector, member) in KINDS {
        for subject in world.of(kind) {
            check_selector(world, report, subject, &subject.spec.at(selector).at(member));
            check_targets(world, report, subject);
        }
    }
    for subject in world.of(Kind::AuthorizationPolicy) {
        check_namespaces(world, report, subject);
        check_provider(world, report, subject, &subject.spec.at("provider").at("name"));
    }
    for subject in world.of(Kind::Telemetry) {
        check_telemetry(world, report, subject);
    }
    several(world, report, Kind::Telemetry);
    several(world, report, Kind::PeerAuthentication);
}

fn check_selector(world: &World<'_>, report: &mut Report, subject: &Subject<'_>, at: &Node<'_>) {
    let selector = labels(at);
    if !world.knows_workloads {
        return;
    }
    if selector.is_empty() {
        check_namespace(world, report, subject);
        return;
    }
    let namespace = world.reach(subject.namespace);
    let workloads = world.selected(&selector, namespace);
    if workloads.is_empty() {
        let selector = as_selector(&selector);
        let place = namespace.map_or_else(|| "the mesh".to_owned(), |name| format!("namespace {name}"));
        if subject.is(Kind::Telemetry) {
            let advice = format!("no workload in {place} has these labels");
            report.missing(subject, at, "selector", &selector, &advice);
        } else {
            let message = format!(
                "No matching workloads for this resource with the following labels: {selector}. Correct them: it has \
                 no effect on any workload in {place}."
            );
            report.warn(subject, "IST0127", at, message);
        }
    }
    let heeds_targets = matches!(
        subject.kind,
        "AuthorizationPolicy" | "RequestAuthentication" | "Telemetry" | "WasmPlugin" | "TrafficExtension"
    );
    let gateway = workloads.iter().find_map(|workload| workload.labels.get(GATEWAY_NAME));
    if let Some(gateway) = gateway.filter(|_| heeds_targets) {
        let message =
            format!("Ineffective selector on Kubernetes Gateway {gateway}. Use the TargetRef field instead.");
        report.warn(subject, "IST0166", at, message);
    }
}

/// An AuthorizationPolicy for all of a namespace in which nothing runs.
fn check_namespace(world: &World<'_>, report: &mut Report, subject: &Subject<'_>) {
    let has_target = subject.spec.has("targetRef") || !subject.spec.at("targetRefs").is_empty();
    if has_target || !subject.is(Kind::AuthorizationPolicy) || world.reach(subject.namespace).is_none() {
        return;
    }
    let is_known = world.get(Kind::Namespace, "", subject.namespace).is_some();
    let is_empty = !world.workloads.iter().any(|workload| workload.namespace == subject.namespace);
    let has_services = world.of(Kind::Service).any(|service| service.namespace == subject.namespace);
    if is_known && is_empty && (!has_services || world.around.is_complete) {
        let message = format!(
            "No matching workloads for this resource with the following labels: none. Nothing runs in namespace {}.",
            subject.namespace
        );
        report.warn(subject, "IST0127", &subject.name_node(), message);
    }
}

fn check_targets(world: &World<'_>, report: &mut Report, subject: &Subject<'_>) {
    let single = subject.spec.at("targetRef").set();
    for target in single.into_iter().chain(subject.spec.at("targetRefs").items()) {
        let (group, kind) = (target.at("group").text(), target.at("kind").text());
        let name = target.at("name").text();
        let group = if group == "core" { "" } else { group };
        let found = match kind {
            "GatewayClass" => world.named(group, kind).any(|class| class.name == name) || is_well_known(name),
            _ => world.named(group, kind).any(|one| one.name == name && one.namespace == subject.namespace),
        };
        if !found && !name.is_empty() {
            let advice = format!("no {kind} of that name is in namespace {}", subject.namespace);
            report.missing(subject, &target.at("name"), "targetRef", &format!("{kind} {name}"), &advice);
        }
    }
}

/// Classes that the control plane makes itself.
fn is_well_known(class: &str) -> bool {
    matches!(class, "istio" | "istio-remote" | "istio-waypoint" | "istio-east-west")
}

fn check_namespaces(world: &World<'_>, report: &mut Report, subject: &Subject<'_>) {
    // Without Namespaces among the objects nothing is known of them.
    if !world.around.is_complete && world.of(Kind::Namespace).next().is_none() {
        return;
    }
    let is_there = |pattern: &str| {
        world.namespaces.iter().any(|name| match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => name.ends_with(end),
            (_, Some(start)) => name.starts_with(start),
            _ => *name == pattern,
        })
    };
    for rule in subject.spec.at("rules").items() {
        for from in rule.at("from").items() {
            for at in
                ["namespaces", "notNamespaces"].iter().flat_map(|name| from.at("source").at(name).items())
            {
                if !at.text().is_empty() && !is_there(at.text()) {
                    let advice = "no namespace matches it: nothing comes from there";
                    report.missing(subject, &at, "namespace", at.text(), advice);
                }
            }
        }
    }
}

/// Names of providers that the mesh configuration declares, if it is among the objects.
fn providers(mesh: &Value) -> BTreeSet<&str> {
    let declared = mesh.get("extensionProviders").and_then(Value::as_array);
    let names = declared.into_iter().flatten().filter_map(|one| one.get("name")?.as_str());
    names.chain(["envoy", "prometheus", "stackdriver"]).collect()
}

fn check_provider(world: &World<'_>, report: &mut Report, subject: &Subject<'_>, at: &Node<'_>) {
    let Some(mesh) = &world.mesh else { return };
    let providers = providers(mesh);
    if !at.text().is_empty() && !providers.contains(at.text()) {
        let declared = listed(providers.into_iter().map(str::to_owned).collect());
        let advice =
            format!("declare it below extensionProviders of the mesh configuration; there are {declared}");
        report.missing(subject, at, "extension provider", at.text(), &advice);
    }
}

fn check_telemetry(world: &World<'_>, report: &mut Report, subject: &Subject<'_>) {
    for part in ["tracing", "metrics", "accessLogging"] {
        for entry in subject.spec.at(part).items() {
            for provider in entry.at("providers").items() {
                check_provider(world, report, subject, &provider.at("name"));
            }
        }
    }
    let Some(mesh) = &world.mesh else { return };
    let defaults = mesh.pointer("/defaultProviders/accessLogging").and_then(Value::as_array);
    let has_defaults = defaults.is_some_and(|names| !names.is_empty());
    let has_file = mesh.get("accessLogFile").and_then(Value::as_str).is_some_and(|file| !file.is_empty());
    if has_defaults || has_file {
        return;
    }
    let names_any = |subject: &Subject<'_>| {
        subject.spec.at("accessLogging").items().iter().any(|entry| !entry.at("providers").is_empty())
    };
    // Providers may come from a Telemetry for more.
    let is_inherited = world.of(Kind::Telemetry).any(|other| {
        (other.namespace == subject.namespace || other.namespace == world.around.root_namespace)
            && names_any(other)
    });
    for entry in subject.spec.at("accessLogging").items() {
        if !entry.at("disabled").flag() && entry.at("providers").is_empty() && !is_inherited {
            let message = format!(
                "The Telemetry {} in namespace {:?} with empty providers will be ignored. Name a provider here or in \
                 defaultProviders of the mesh configuration.",
                subject.name, subject.namespace
            );
            report.warn(subject, "IST0157", &entry, message);
        }
    }
}

/// Several of a kind, one of which counts: for a whole namespace, or for one workload.
fn several(world: &World<'_>, report: &mut Report, kind: Kind) {
    let is_telemetry = kind == Kind::Telemetry;
    let mut whole: BTreeMap<&str, Vec<&Subject<'_>>> = BTreeMap::new();
    let mut of_workload: BTreeMap<usize, Vec<&Subject<'_>>> = BTreeMap::new();
    for subject in world.of(kind) {
        if subject.spec.has("targetRef") || !subject.spec.at("targetRefs").is_empty() {
            continue;
        }
        let selector = labels(&subject.spec.at("selector").at("matchLabels"));
        if selector.is_empty() {
            whole.entry(subject.namespace).or_default().push(subject);
        } else if is_telemetry {
            for workload in world.selected(&selector, Some(subject.namespace)) {
                of_workload.entry(workload.subject).or_default().push(subject);
            }
        }
    }
    let kinds = if is_telemetry { "Telemetries" } else { "PeerAuthentications" };
    for (namespace, all) in whole.iter().filter(|(_, all)| all.len() > 1) {
        let names = listed(all.iter().map(|subject| subject.name.to_owned()).collect());
        for subject in all {
            let start = format!("The {kinds} [{names}] in namespace {namespace:?} have no workload selector");
            if is_telemetry {
                let message = format!("{start}, which can lead to undefined behavior. Make one of them.");
                report.error(subject, "IST0160", &subject.name_node(), message);
            } else {
                let message = format!("{start}, so only the oldest counts. Make one of them.");
                report.warn(subject, "TRI0103", &subject.name_node(), message);
            }
        }
    }
    let mut told = BTreeSet::new();
    for (workload, all) in of_workload.iter().filter(|(_, all)| all.len() > 1) {
        let names = listed(all.iter().map(|subject| subject.name.to_owned()).collect());
        for subject in all {
            if told.insert((subject.index, names.clone())) {
                let message = format!(
                    "The Telemetries [{names}] in namespace {:?} select the same workload pod {:?}, which can lead to \
                     undefined behavior.",
                    subject.namespace, world.subjects[*workload].name
                );
                report.error(subject, "IST0159", &subject.name_node(), message);
            }
        }
    }
}
