//! DestinationRules: hosts that no service has (IST0174), subsets that select no workload (IST0173), TLS without roots
//! to verify the server by (IST0128, IST0129).

use config::Kind;

use super::Report;
use super::hosts::Service;
use super::world::{Labels, Subject, World, labels, selects};
use crate::cursor::Node;

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    for subject in world.of(Kind::DestinationRule) {
        let written = subject.spec.at("host");
        let host = world.hosts.full(written.text(), subject.namespace);
        let services: Vec<&Service<'_>> = world.hosts.all(&host).collect();
        if services.is_empty() && !host.is_empty() {
            let message = format!(
                "The host {} defined in the DestinationRule does not match any services in the mesh; {}",
                written.text(),
                world.hosts.advice(written.text(), subject.namespace)
            );
            report.warn(subject, "IST0174", &written, message);
        }
        check_subsets(world, report, subject, &services);
        check_tls(report, subject);
    }
}

/// Labels that endpoints have from where they run.
fn is_of_place(label: &str) -> bool {
    label.starts_with("topology.")
        || label.starts_with("kubernetes.io/")
        || label.starts_with("istio-locality")
}

fn check_subsets(world: &World<'_>, report: &mut Report, subject: &Subject<'_>, services: &[&Service<'_>]) {
    let subsets = subject.spec.at("subsets").items();
    if subsets.is_empty() || services.is_empty() {
        return;
    }
    let mut endpoints: Vec<Labels<'_>> = Vec::new();
    for service in services {
        if let Some(selector) = &service.selector {
            let workloads = world.selected(selector, Some(service.namespace));
            endpoints.extend(workloads.into_iter().map(|workload| workload.labels.clone()));
        } else if service.endpoints.is_empty() {
            // Where its endpoints come from is not among the objects.
            return;
        }
        endpoints.extend(service.endpoints.iter().cloned());
    }
    // A service without any workload here runs somewhere that is not among the objects.
    if endpoints.is_empty() && !world.around.is_complete {
        return;
    }
    for subset in subsets {
        let mut wanted = labels(&subset.at("labels"));
        wanted.retain(|name, _| !is_of_place(name));
        if !endpoints.iter().any(|endpoint| selects(&wanted, endpoint)) {
            let message = format!(
                "The Subset {} defined in the DestinationRule does not select any pods. Which may lead to 503 UH \
                 (NoHealthyUpstream). No workload of the host has all labels of the subset.",
                subset.at("name").text()
            );
            report.error(subject, "IST0173", &subset.at("labels"), message);
        }
    }
}

fn check_tls(report: &mut Report, subject: &Subject<'_>) {
    let policy = subject.spec.at("trafficPolicy");
    let host = subject.spec.at("host").text();
    let has_selector = subject.spec.has("workloadSelector");
    let unverified = |tls: &Node<'_>| {
        let mode = tls.at("mode").choice(&["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]).to_owned();
        let is_verified = !tls.at("caCertificates").text().is_empty()
            || tls.at("insecureSkipVerify").flag()
            || (has_selector && !tls.at("credentialName").text().is_empty());
        (matches!(mode.as_str(), "SIMPLE" | "MUTUAL") && !is_verified).then_some(mode)
    };
    let start = |mode: &str| {
        format!(
            "DestinationRule {} in namespace {} has TLS mode set to {mode} but no caCertificates are set to validate \
             server identity for host: {host}",
            subject.full_name(),
            subject.namespace
        )
    };
    let advice = "the roots of the operating system are used then: name a file if others are meant";
    let tls = policy.at("tls");
    if let Some(mode) = unverified(&tls) {
        report.warn(subject, "IST0128", &tls, format!("{}; {advice}", start(&mode)));
    }
    for settings in policy.at("portLevelSettings").items() {
        let tls = settings.at("tls");
        if let Some(mode) = unverified(&tls) {
            let port = settings.at("port").at("number").integer();
            report.warn(subject, "IST0129", &tls, format!("{} at port {port}; {advice}", start(&mode)));
        }
    }
}
