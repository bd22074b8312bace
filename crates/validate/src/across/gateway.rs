//! Gateways: selectors without workloads and credentials that are not there (IST0101) or hold no certificate (IST0161),
//! ports that the Service before the workloads does not have (IST0162), the same hosts on the same port twice
//! (IST0145), one certificate in several Gateways (IST0138).

use std::collections::{BTreeMap, BTreeSet};

use config::Kind;

use super::world::{Labels, Subject, Workload, World, as_selector, labels, selects};
use super::{Report, listed};
use crate::cursor::Node;

/// Of so many with one port, each is compared with no more.
const MAX_COMPARED: usize = 500;

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    for subject in world.of(Kind::Gateway) {
        let selector = labels(&subject.spec.at("selector"));
        let workloads = world.selected(&selector, None);
        if workloads.is_empty() && world.knows_workloads && !selector.is_empty() {
            // Without a cluster, what Istio's own charts install is taken as given.
            let is_default = selector.len() == 1
                && matches!(selector.get("istio"), Some(&"ingressgateway" | &"egressgateway"));
            if world.around.is_complete || !is_default {
                let (at, name) = (subject.spec.at("selector"), as_selector(&selector));
                let advice = "no workload has these labels; correct them, or run a gateway that has them";
                report.missing(subject, &at, "selector", &name, advice);
            }
        }
        check_ports(world, report, subject, &selector, &workloads);
        check_credentials(world, report, subject, &workloads);
    }
    conflicts(world, report);
    certificates(world, report);
}

fn check_ports(
    world: &World<'_>,
    report: &mut Report,
    subject: &Subject<'_>,
    selector: &Labels<'_>,
    workloads: &[&Workload<'_>],
) {
    let namespaces: BTreeSet<&str> = workloads.iter().map(|workload| workload.namespace).collect();
    let mut ports = BTreeSet::new();
    let services = world.of(Kind::Service).filter(|service| namespaces.contains(service.namespace));
    for service in services {
        let of_service = labels(&service.spec.at("selector"));
        let is_before = workloads.iter().any(|workload| {
            workload.namespace == service.namespace && selects(&of_service, &workload.labels)
        });
        if is_before && !of_service.is_empty() {
            for port in service.spec.at("ports").items() {
                ports.extend([port.at("port").integer(), port.at("targetPort").integer()]);
            }
        }
    }
    if ports.is_empty() {
        return;
    }
    for server in subject.spec.at("servers").items() {
        let number = server.at("port").at("number");
        let is_socket = server.at("bind").text().starts_with("unix://");
        if !is_socket && number.is_set() && !ports.contains(&number.integer()) {
            let message = format!(
                "The gateway is listening on a target port (port {}) that is not defined in the Service associated \
                 with its workload instances (Pod selector {}). If you need to access the gateway port through the \
                 gateway Service, it will not be available.",
                number.integer(),
                as_selector(selector)
            );
            report.warn(subject, "IST0162", &number, message);
        }
    }
}

fn check_credentials(
    world: &World<'_>,
    report: &mut Report,
    subject: &Subject<'_>,
    workloads: &[&Workload<'_>],
) {
    let namespaces: BTreeSet<&str> = workloads.iter().map(|workload| workload.namespace).collect();
    for server in subject.spec.at("servers").items() {
        let tls = server.at("tls");
        let mode = tls.at("mode").choice(&["PASSTHROUGH", "SIMPLE", "MUTUAL"]);
        if matches!(mode, "PASSTHROUGH" | "AUTO_PASSTHROUGH" | "ISTIO_MUTUAL") {
            continue;
        }
        for at in tls.at("credentialName").set().into_iter().chain(tls.at("credentialNames").items()) {
            let name = at.text().strip_prefix("kubernetes://").unwrap_or(at.text());
            if name.is_empty() || name.contains("://") {
                continue;
            }
            // A namespace may stand before the name; else it is that of the gateway's workloads.
            let (within, name) = match name.split_once('/') {
                Some((within, name)) => (BTreeSet::from([within]), name),
                None => (namespaces.clone(), name),
            };
            let mut secrets = world.of(Kind::Secret).filter(|secret| secret.name == name);
            match secrets.find(|secret| within.is_empty() || within.contains(secret.namespace)) {
                None => {
                    let place = if within.is_empty() {
                        "the namespace of the gateway's workloads".to_owned()
                    } else {
                        format!("namespace {}", listed(within.into_iter().map(str::to_owned).collect()))
                    };
                    let advice = format!("add a Secret of that name to {place}");
                    report.missing(subject, &at, "credentialName", at.text(), &advice);
                }
                Some(secret) if !has_certificate(secret) => {
                    let message = format!(
                        "The credential referenced by the Gateway {} in namespace {} is invalid, which can cause the \
                         traffic not to work as expected. A Secret for a gateway has tls.crt and tls.key, or cert and \
                         key.",
                        subject.name, secret.namespace
                    );
                    report.error(subject, "IST0161", &at, message);
                }
                Some(_) => {}
            }
        }
    }
}

/// Whether there is a certificate and a key, whatever they hold.
fn has_certificate(secret: &Subject<'_>) -> bool {
    let has = |key: &str| {
        ["data", "stringData"].iter().any(|member| {
            let value = secret.object.at(member).value().and_then(|data| data.get(key));
            value.and_then(serde_json::Value::as_str).is_some_and(|text| !text.is_empty())
        })
    };
    (has("tls.crt") && has("tls.key")) || (has("cert") && has("key"))
}

/// A server's host: the namespaces whose routes it takes, and the name.
fn host_of<'a>(at: &Node<'a>, namespace: &'a str) -> (&'a str, &'a str) {
    match at.text().split_once('/') {
        Some((".", host)) => (namespace, host),
        Some((of, host)) => (of, host),
        None => ("*", at.text()),
    }
}

/// A server with the Gateway it is of, that Gateway's selector, and the server's hosts.
struct Server<'s, 'a> {
    subject: &'s Subject<'a>,
    selector: Labels<'a>,
    at: Node<'a>,
    hosts: Vec<(&'a str, &'a str)>,
}

impl Server<'_, '_> {
    fn is_tls(&self) -> bool {
        matches!(self.at.at("port").at("protocol").text().to_ascii_uppercase().as_str(), "HTTPS" | "TLS")
    }

    /// Of TLS only one server counts for a host. Plain servers are merged, so only the very same is told.
    fn conflicts_with(&self, other: &Self) -> bool {
        let is_strict = self.is_tls() || other.is_tls();
        let is_same = |(of, host): &(&str, &str)| {
            let mut namesakes = other.hosts.iter().filter(|(_, name)| name == host);
            namesakes.any(|(theirs, _)| of == theirs || (is_strict && (*of == "*" || *theirs == "*")))
        };
        self.subject.index != other.subject.index
            && self.at.at("bind").text() == other.at.at("bind").text()
            && self.hosts.iter().any(is_same)
    }
}

fn conflicts(world: &World<'_>, report: &mut Report) {
    let mut by_port: BTreeMap<i64, Vec<Server<'_, '_>>> = BTreeMap::new();
    for subject in world.of(Kind::Gateway) {
        let selector = labels(&subject.spec.at("selector"));
        for at in subject.spec.at("servers").items() {
            let hosts = at.at("hosts").items();
            let hosts = hosts.iter().map(|host| host_of(host, subject.namespace)).collect();
            let port = at.at("port").at("number").integer();
            by_port.entry(port).or_default().push(Server { subject, selector: selector.clone(), at, hosts });
        }
    }
    for (port, servers) in &by_port {
        for server in servers {
            let others = servers.iter().take(MAX_COMPARED).filter(|other| {
                server.conflicts_with(other) && shares_workload(world, &server.selector, &other.selector)
            });
            let names: Vec<String> = others.map(|other| other.subject.full_name()).collect();
            if !names.is_empty() {
                let at = server.at.at("hosts");
                let message = format!(
                    "Conflict with gateways {} (workload selector {}, port {port}, hosts {}). Keep a host on a port in \
                     one Gateway.",
                    listed(names),
                    as_selector(&server.selector),
                    listed(at.items().iter().map(|host| host.text().to_owned()).collect())
                );
                report.error(server.subject, "IST0145", &at, message);
            }
        }
    }
}

/// Whether two selectors are for one workload: surely if they are equal, else if there is such a workload.
fn shares_workload(world: &World<'_>, one: &Labels<'_>, other: &Labels<'_>) -> bool {
    one == other || world.selected(one, None).iter().any(|workload| selects(other, &workload.labels))
}

fn certificates(world: &World<'_>, report: &mut Report) {
    let mut by_name: BTreeMap<String, Vec<(&Subject<'_>, Labels<'_>)>> = BTreeMap::new();
    for subject in world.of(Kind::Gateway) {
        let mut of_this = BTreeSet::new();
        for server in subject.spec.at("servers").items() {
            let tls = server.at("tls");
            let (name, file) = (tls.at("credentialName").text(), tls.at("serverCertificate").text());
            if !name.is_empty() {
                of_this.insert(format!("credential {name}"));
            } else if !file.is_empty() {
                of_this.insert(format!("file {file} {}", tls.at("privateKey").text()));
            }
        }
        for certificate in of_this {
            by_name.entry(certificate).or_default().push((subject, labels(&subject.spec.at("selector"))));
        }
    }
    for all in by_name.values() {
        for (subject, selector) in all {
            let others = all.iter().take(MAX_COMPARED);
            let others =
                others.filter(|(other, theirs)| other.index != subject.index && selects(selector, theirs));
            let mut names: Vec<String> = others.map(|(other, _)| other.full_name()).collect();
            if !names.is_empty() {
                names.push(subject.full_name());
                let message = format!(
                    "Duplicate certificate in multiple gateways [{}] may cause 404s if clients re-use HTTP2 \
                     connections. Put the hosts of one certificate into one Gateway.",
                    listed(names)
                );
                report.warn(subject, "IST0138", &subject.name_node(), message);
            }
        }
    }
}
