//! What policies share: which workloads or objects they are for.

use crate::cursor::Node;
use crate::finding::{Findings, quoted};

/// `selector` with `matchLabels`, `targetRef` and `targetRefs`, of which there may be one.
pub(crate) fn attachment(findings: &mut Findings, spec: &Node<'_>) {
    let chosen = [spec.has("selector"), spec.has("targetRef"), !spec.at("targetRefs").is_empty()];
    if chosen.into_iter().filter(|chosen| *chosen).count() > 1 {
        findings.error(&spec.at("targetRefs"), "only one of targetRefs or selector can be set");
    }
    selector(findings, &spec.at("selector"), "matchLabels");
    target(findings, &spec.at("targetRef"));
    for item in spec.at("targetRefs").items() {
        target(findings, &item);
    }
}

/// Labels that choose workloads, if there is a selector; whether it is in order.
pub(crate) fn selector(findings: &mut Findings, selector: &Node<'_>, member: &str) {
    if !selector.is_set() {
        return;
    }
    let labels = selector.at(member);
    for (key, value) in labels.entries() {
        let text = value.text();
        if key.is_empty() {
            findings.error(&value, format!("an empty key is not supported in a selector: \"={text}\""));
        }
        if key.contains('*') || text.contains('*') {
            let pair = format!("{key}={text}");
            findings.error(&value, format!("a wildcard is not supported in a selector: {}", quoted(&pair)));
        }
    }
    if labels.is_empty() {
        findings.warn(&labels, "workload selector specified without labels: it selects all of the namespace");
    }
}

fn target(findings: &mut Findings, target: &Node<'_>) {
    if !target.is_set() {
        return;
    }
    if target.at("name").text().is_empty() {
        findings.error(&target.at("name"), "targetRef name must be set");
    }
    if !target.at("namespace").text().is_empty() {
        findings
            .error(&target.at("namespace"), "targetRef namespace must not be set: it cannot be another one");
    }
    let (group, kind) = (target.at("group").text(), target.at("kind").text());
    let known = matches!(
        (group, kind),
        ("" | "core", "Service")
            | ("networking.istio.io", "ServiceEntry")
            | ("gateway.networking.k8s.io", "Gateway" | "GatewayClass")
    );
    if !known {
        let message = format!(
            "targetRef must be to a Service, a ServiceEntry of networking.istio.io, or a Gateway or GatewayClass of \
             gateway.networking.k8s.io, but was {}",
            quoted(&format!("{group}/{kind}"))
        );
        findings.error(target, message);
    }
}
