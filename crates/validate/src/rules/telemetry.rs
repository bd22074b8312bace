//! Rules for Telemetries: metrics, tracing, access logs.

use proto::cel;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::policy::attachment;

pub(super) fn check(findings: &mut Findings, spec: &Node<'_>) {
    attachment(findings, spec);
    for metrics in spec.at("metrics").items() {
        providers(findings, &metrics);
        for item in metrics.at("overrides").items() {
            check_override(findings, &item);
        }
    }
    let tracing = spec.at("tracing");
    if tracing.len() > 1 {
        findings.warn(&tracing, "multiple tracing is not currently supported");
    }
    for item in tracing.items() {
        if item.at("providers").len() > 1 {
            findings.warn(&item.at("providers"), "multiple providers is not currently supported");
        }
        providers(findings, &item);
        let share = item.at("randomSamplingPercentage");
        if !(0.0..=100.0).contains(&share.number().unwrap_or_default()) {
            findings.error(&share, "randomSamplingPercentage must be in range [0.0, 100.0]");
        }
        for (name, tag) in item.at("customTags").entries() {
            check_tag(findings, name, &tag);
        }
    }
    for logging in spec.at("accessLogging").items() {
        providers(findings, &logging);
        let expression = logging.at("filter").at("expression");
        if expression.text().is_empty() {
            continue;
        }
        if let Err(error) = cel::check(expression.text()) {
            let text = quoted(expression.text());
            findings.error(&expression, format!("must be a valid CEL expression: {error} in {text}"));
        }
    }
}

fn providers(findings: &mut Findings, parent: &Node<'_>) {
    for provider in parent.at("providers").items() {
        if provider.at("name").text().is_empty() {
            findings.error(&provider.at("name"), "providers.name may not be empty");
        }
    }
}

fn check_override(findings: &mut Findings, item: &Node<'_>) {
    for (name, tag) in item.at("tagOverrides").entries() {
        if name.is_empty() {
            findings.warn(&tag, "tagOverrides.name may not be empty");
        }
        let value = tag.at("value");
        let upserts = tag.at("operation").choice(&["UPSERT", "REMOVE"]) == "UPSERT";
        if upserts && value.text().is_empty() {
            findings.error(&value, "tagOverrides.value must be set when operation is UPSERT");
        } else if !upserts && !value.text().is_empty() {
            findings.error(&value, "tagOverrides.value may only be set when operation is UPSERT");
        }
    }
    let custom = item.at("match").at("customMetric");
    if custom.is_set() && custom.text().is_empty() {
        findings.error(&custom, "customMetric may not be empty");
    }
}

fn check_tag(findings: &mut Findings, name: &str, tag: &Node<'_>) {
    if name.is_empty() {
        findings.error(tag, "tag name may not be empty");
    }
    for (kind, field) in
        [("literal", "value"), ("header", "name"), ("environment", "name"), ("formatter", "value")]
    {
        let source = tag.at(kind);
        if source.is_set() && source.at(field).text().is_empty() {
            findings.error(&source.at(field), format!("{kind} tag {field} may not be empty"));
        }
    }
}
