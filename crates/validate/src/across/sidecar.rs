//! Sidecars: two for one workload (IST0110, IST0111), selectors without workloads and egress hosts that are not there
//! (IST0101), and egress that hides what the namespace's own VirtualServices and DestinationRules are about (TRI0101).
//!
//! Whoever sees a VirtualService sees its destinations too, so these are hidden for direct calls only (TRI0102).

use std::collections::BTreeMap;

use config::Kind;

use super::hosts::overlap;
use super::virtual_service::{destinations, exports, hosts, is_of_mesh};
use super::world::{Subject, World, as_selector, labels};
use super::{Report, listed};
use crate::cursor::Node;
use crate::finding::quoted;

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    let mut of_workload: BTreeMap<usize, Vec<&Subject<'_>>> = BTreeMap::new();
    let mut of_namespace: BTreeMap<&str, Vec<&Subject<'_>>> = BTreeMap::new();
    for subject in world.of(Kind::Sidecar) {
        let at = subject.spec.at("workloadSelector").at("labels");
        let selector = labels(&at);
        check_egress_hosts(world, report, subject);
        if selector.is_empty() {
            of_namespace.entry(subject.namespace).or_default().push(subject);
            continue;
        }
        let workloads = world.selected(&selector, Some(subject.namespace));
        if workloads.is_empty() && world.knows_workloads {
            let advice = format!("no workload in namespace {} has these labels", subject.namespace);
            report.missing(subject, &at, "selector", &as_selector(&selector), &advice);
        }
        for workload in workloads {
            of_workload.entry(workload.subject).or_default().push(subject);
        }
    }
    conflicts(world, report, &of_workload, &of_namespace);
    for (namespace, sidecars) in &of_namespace {
        if let [only] = sidecars.as_slice() {
            hidden(world, report, only, namespace);
        }
    }
}

fn conflicts(
    world: &World<'_>,
    report: &mut Report,
    of_workload: &BTreeMap<usize, Vec<&Subject<'_>>>,
    of_namespace: &BTreeMap<&str, Vec<&Subject<'_>>>,
) {
    let mut told = std::collections::BTreeSet::new();
    for (workload, sidecars) in of_workload.iter().filter(|(_, sidecars)| sidecars.len() > 1) {
        let names = listed(sidecars.iter().map(|subject| subject.name.to_owned()).collect());
        for subject in sidecars {
            // Once for each set of Sidecars: a Deployment of hundreds says the same for each.
            if told.insert((subject.index, names.clone())) {
                let pod = world.subjects[*workload].name;
                let message = format!(
                    "The Sidecars [{names}] in namespace {:?} select the same workload pod {pod:?}, which can lead to \
                     undefined behavior. Narrow their selectors, or make one of them.",
                    subject.namespace
                );
                report.error(subject, "IST0110", &subject.name_node(), message);
            }
        }
    }
    for (namespace, sidecars) in of_namespace.iter().filter(|(_, sidecars)| sidecars.len() > 1) {
        let names = listed(sidecars.iter().map(|subject| subject.name.to_owned()).collect());
        for subject in sidecars {
            let message = format!(
                "The Sidecars [{names}] in namespace {namespace:?} have no workload selector, which can lead to \
                 undefined behavior. The oldest counts: give the others a selector, or make one of them."
            );
            report.error(subject, "IST0111", &subject.name_node(), message);
        }
    }
}

/// Namespace and name of an egress host; the namespace may be `*`.
fn egress_host<'a>(at: &Node<'a>, namespace: &'a str) -> Option<(&'a str, &'a str)> {
    let (of, host) = at.text().split_once('/')?;
    Some((if of == "." { namespace } else { of }, host))
}

fn egress_hosts<'a>(subject: &Subject<'a>) -> Vec<Node<'a>> {
    subject.spec.at("egress").items().iter().flat_map(|egress| egress.at("hosts").items()).collect()
}

/// A host without a wildcard has to be somewhere.
fn check_egress_hosts(world: &World<'_>, report: &mut Report, subject: &Subject<'_>) {
    for at in egress_hosts(subject) {
        let Some((of, host)) = egress_host(&at, subject.namespace) else { continue };
        if of == "~" || host.contains('*') {
            continue;
        }
        let is_of = |namespace: &str| of == "*" || of == namespace;
        let is_service = world.hosts.all(host).any(|service| is_of(service.namespace));
        let is_routed = world.of(Kind::VirtualService).any(|routes| {
            is_of(routes.namespace) && hosts(world, routes).iter().any(|(_, routed)| overlap(routed, host))
        });
        if !is_service && !is_routed {
            let elsewhere = world.hosts.all(host).next().map(|service| service.namespace);
            let advice = match elsewhere {
                Some(namespace) => format!("it is in namespace {namespace}: write {namespace}/{host}"),
                None => world.hosts.advice(host, subject.namespace),
            };
            report.missing(subject, &at, "host", at.text(), &advice);
        }
    }
}

/// What a Sidecar for a whole namespace hides of what the namespace has something to say about.
fn hidden(world: &World<'_>, report: &mut Report, sidecar: &Subject<'_>, namespace: &str) {
    let egress = sidecar.spec.at("egress");
    if egress.is_empty() {
        return;
    }
    let admitted = egress_hosts(sidecar);
    let admits = |from: &str, host: &str| {
        admitted
            .iter()
            .filter_map(|at| egress_host(at, namespace))
            .any(|(of, name)| (of == "*" || of == from) && overlap(name, host))
    };
    let seen = |routes: &Subject<'_>| {
        let of = routes.namespace;
        (of == namespace || super::hosts::is_exported(&exports(routes), of, namespace))
            && hosts(world, routes).iter().any(|(_, host)| admits(of, host))
    };
    let mut of_mesh = Vec::new();
    for routes in world.of(Kind::VirtualService).filter(|subject| is_of_mesh(subject)) {
        of_mesh.push((routes, seen(routes)));
    }
    // Hosts that routes which are seen lead to.
    let reached: std::collections::BTreeSet<String> = of_mesh
        .iter()
        .filter(|(_, is_seen)| *is_seen)
        .flat_map(|(routes, _)| {
            let all = destinations(routes);
            all.into_iter().map(|to| world.hosts.full(to.host(), routes.namespace)).collect::<Vec<_>>()
        })
        .collect();
    let is_hidden = |host: &str| {
        let mut services =
            world.hosts.all(host).filter(|service| service.is_visible_to(namespace)).peekable();
        services.peek().is_some() && !services.any(|service| admits(service.namespace, host))
    };
    let place = |host: &str| {
        let service = world.hosts.all(host).find(|service| service.is_visible_to(namespace));
        service.map_or(namespace, |service| service.namespace)
    };
    for (routes, is_seen) in of_mesh.iter().filter(|(routes, _)| routes.namespace == namespace) {
        if !is_seen {
            let names = listed(hosts(world, routes).into_iter().map(|(_, host)| host).collect());
            let message = format!(
                "The Sidecar hides VirtualService {}, so its routes for {names} have no effect on the workloads of \
                 namespace {namespace}; add \"./*\" or these hosts to the hosts of egress",
                routes.full_name()
            );
            report.warn(sidecar, "TRI0101", &egress, message);
            continue;
        }
        for to in destinations(routes) {
            let host = world.hosts.full(to.host(), routes.namespace);
            if is_hidden(&host) {
                let message = format!(
                    "The Sidecar hides destination {} of VirtualService {}: workloads of namespace {namespace} reach \
                     it through this VirtualService, but not by its own name; add {} to the hosts of egress if they \
                     should",
                    quoted(&host),
                    routes.full_name(),
                    quoted(&format!("{}/{host}", place(&host)))
                );
                report.info(sidecar, "TRI0102", &egress, message);
            }
        }
    }
    for rule in world.of(Kind::DestinationRule).filter(|rule| rule.namespace == namespace) {
        let host = world.hosts.full(rule.spec.at("host").text(), namespace);
        if !host.starts_with('*') && !reached.contains(&host) && is_hidden(&host) {
            let message = format!(
                "The Sidecar hides host {}, which DestinationRule {} is about: workloads of namespace {namespace} \
                 cannot reach it as a service of the mesh; add {} to the hosts of egress",
                quoted(&host),
                rule.full_name(),
                quoted(&format!("{}/{host}", place(&host)))
            );
            report.warn(sidecar, "TRI0101", &egress, message);
        }
    }
}
