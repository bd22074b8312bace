//! Services and ServiceEntries: names of ports that tell no protocol (IST0118, IST0150), one port with two protocols
//! for one workload or host (IST0116, IST0177), one target port under several ports (IST0137).

use std::collections::{BTreeMap, BTreeSet};

use config::Kind;
use serde_json::Value;

use super::hosts::meet;
use super::virtual_service::exports;
use super::world::{Subject, World, labels};
use super::{Report, listed};
use crate::cursor::Node;
use crate::values::Protocol;

/// Ports of applications in which the server speaks first, which Istio knows by their numbers.
const WELL_KNOWN: [i64; 4] = [25, 53, 3306, 27017];
/// Port of a gateway's own health.
const HEALTH: i64 = 15021;

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    for subject in world.of(Kind::Service) {
        check_names(world, report, subject);
    }
    check_workloads(world, report);
    check_entries(world, report);
}

/// Whether a name's start tells the protocol.
fn tells(name: &str) -> bool {
    let start = name.split('-').next().unwrap_or_default();
    let is_web = name.starts_with("grpc-web");
    is_web || Protocol::parse(start) != Protocol::Unknown
}

fn check_names(world: &World<'_>, report: &mut Report, subject: &Subject<'_>) {
    let is_own = subject.namespace == world.around.root_namespace
        && (subject.label("istio").is_some() || subject.label("app") == Some("istiod"));
    let managed = subject.label("gateway.istio.io/managed").is_some();
    if is_own || managed {
        return;
    }
    let is_external = subject.spec.at("type").text() == "ExternalName";
    for port in subject.spec.at("ports").items() {
        let name = port.at("name").text();
        let number = port.at("port").integer();
        let is_told = tells(name)
            || !port.at("appProtocol").text().is_empty()
            || port.at("protocol").text() == "UDP"
            || WELL_KNOWN.contains(&number)
            || number == HEALTH;
        if is_external && name == "tcp" {
            let message = "Port name for ExternalName service is invalid. Proxy may prevent tcp named ports and \
                           unmatched traffic for ports serving TCP protocol from being forwarded correctly";
            report.warn(subject, "IST0150", &port.at("name"), message.to_owned());
        } else if !is_told {
            let target = port.at("targetPort");
            let target =
                target.value().map_or_else(|| number.to_string(), |value| value.to_string().replace('"', ""));
            let example = if name.is_empty() { "http".to_owned() } else { format!("http-{name}") };
            let message = format!(
                "Port name {name} (port: {number}, targetPort: {target}) doesn't follow the naming convention of Istio \
                 port. Begin it with the protocol, as in {example}, or set appProtocol: without, it is detected."
            );
            report.info(subject, "IST0118", &port.at("name"), message);
        }
    }
}

/// The protocol of transport, and what the name tells of the one above.
fn protocol(port: &Node<'_>) -> String {
    let text = port.at("protocol").text();
    if text.is_empty() { "TCP".to_owned() } else { text.to_owned() }
}

/// Whether this is a Deployment whose Pods get a proxy, as far as it is known.
fn is_in_mesh(world: &World<'_>, subject: &Subject<'_>) -> bool {
    let labels = labels(&subject.spec.at("template").at("metadata").at("labels"));
    subject.kind == "Deployment"
        && match (labels.get("sidecar.istio.io/inject"), world.get(Kind::Namespace, "", subject.namespace)) {
            (Some(said), _) => *said == "true",
            (None, None) => true,
            (None, Some(namespace)) => {
                namespace.label("istio-injection") == Some("enabled")
                    || namespace.label("istio.io/rev").is_some()
            }
        }
}

/// Deployments that several Services lead to.
fn check_workloads(world: &World<'_>, report: &mut Report) {
    let mut of_workload: BTreeMap<usize, Vec<&Subject<'_>>> = BTreeMap::new();
    for service in world.of(Kind::Service) {
        let selector = labels(&service.spec.at("selector"));
        if !selector.is_empty() {
            for workload in world.selected(&selector, Some(service.namespace)) {
                if is_in_mesh(world, &world.subjects[workload.subject]) {
                    of_workload.entry(workload.subject).or_default().push(service);
                }
            }
        }
    }
    for (workload, services) in of_workload.iter().filter(|(_, services)| services.len() > 1) {
        let subject = &world.subjects[*workload];
        let mut protocols: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
        let mut targets: BTreeMap<String, (BTreeSet<i64>, BTreeSet<String>)> = BTreeMap::new();
        for service in services {
            for port in service.spec.at("ports").items() {
                let number = port.at("port").integer();
                protocols.entry(number).or_default().insert(protocol(&port));
                let target = port.at("targetPort");
                let target = target.value().map_or_else(|| number.to_string(), Value::to_string);
                let entry = targets.entry(target.replace('"', "")).or_default();
                entry.0.insert(number);
                entry.1.insert(service.name.to_owned());
            }
        }
        for (port, protocols) in protocols.iter().filter(|(_, protocols)| protocols.len() > 1) {
            let message = format!(
                "This deployment {} is associated with multiple services using port {port} but different protocols: [{}]",
                subject.full_name(),
                listed(protocols.iter().cloned().collect())
            );
            report.warn(subject, "IST0116", &subject.name_node(), message);
        }
        for (target, (ports, names)) in
            targets.iter().filter(|(_, (ports, names))| ports.len() > 1 && names.len() > 1)
        {
            let message = format!(
                "This deployment {} is associated with multiple services [{}] using targetPort {target:?} but different \
                 ports: [{}].",
                subject.full_name(),
                listed(names.iter().cloned().collect()),
                listed(ports.iter().map(i64::to_string).collect())
            );
            report.warn(subject, "IST0137", &subject.name_node(), message);
        }
    }
}

/// A ServiceEntry with the protocol of one of its ports.
type Entry<'s, 'a> = (&'s Subject<'a>, String, Node<'a>);

/// ServiceEntries that say different things of one host and port.
fn check_entries(world: &World<'_>, report: &mut Report) {
    let mut by_port: BTreeMap<(&str, i64), Vec<Entry<'_, '_>>> = BTreeMap::new();
    for subject in world.of(Kind::ServiceEntry) {
        for host in subject.spec.at("hosts").items() {
            for port in subject.spec.at("ports").items() {
                let protocol = port.at("protocol").text().to_ascii_uppercase();
                let key = (host.text(), port.at("number").integer());
                by_port.entry(key).or_default().push((subject, protocol, port));
            }
        }
    }
    for ((host, number), all) in &by_port {
        for (subject, protocol, at) in all {
            let own = exports(subject);
            let others: Vec<_> = all
                .iter()
                .take(100)
                .filter(|(other, theirs, _)| {
                    other.index != subject.index
                        && theirs != protocol
                        && meet(
                            (own.as_slice(), subject.namespace),
                            (exports(other).as_slice(), other.namespace),
                        )
                })
                .collect();
            if others.is_empty() {
                continue;
            }
            let names =
                others.iter().map(|(other, _, _)| other.full_name()).chain([subject.full_name()]).collect();
            let protocols =
                others.iter().map(|(_, theirs, _)| theirs.clone()).chain([protocol.clone()]).collect();
            let message = format!(
                "Multiple ServiceEntries ({}) define the same host {host:?} and port {number} with conflicting protocols \
                 ({}).",
                listed(names),
                listed(protocols)
            );
            report.warn(subject, "IST0177", &at.at("protocol"), message);
        }
    }
}
