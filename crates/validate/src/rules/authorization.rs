//! Rules for AuthorizationPolicies: what each action needs, and sources, operations and conditions (security
//! specification, sections 4.4 and 10).

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::policy::attachment;
use crate::values::subnet;

/// The actions, by number.
pub(super) const ACTIONS: [&str; 4] = ["ALLOW", "DENY", "AUDIT", "CUSTOM"];

const NAMES: [&str; 3] = ["principals", "namespaces", "serviceAccounts"];
const MAX_SERVICE_ACCOUNTS: usize = 16;
const MAX_SERVICE_ACCOUNT: usize = 320;

pub(super) fn check(findings: &mut Findings, spec: &Node<'_>) {
    attachment(findings, spec);
    let (action, rules) = (spec.at("action").choice(&ACTIONS), spec.at("rules"));
    let provider = spec.at("provider");
    if matches!(action, "CUSTOM" | "DENY") && !rules.is_set() {
        let message = format!(
            "{action} action without `rules` is meaningless as it will never be triggered, add an empty rule `{{}}` \
             if you want it be triggered for every request"
        );
        findings.error(&rules, message);
    } else if action == "CUSTOM" && provider.at("name").text().is_empty() {
        findings.error(&provider.at("name"), "`provider.name` must not be empty");
    }
    if provider.is_set() && action != "CUSTOM" {
        findings.error(&provider, format!("`provider` must not be with non CUSTOM action, found {action}"));
    }
    for rule in rules.items() {
        check_rule(findings, &rule, action);
    }
}

fn check_rule(findings: &mut Findings, rule: &Node<'_>, action: &str) {
    let (from, to) = (rule.at("from"), rule.at("to"));
    for (list, what) in [(&from, "from"), (&to, "to")] {
        if list.is_set() && list.is_empty() {
            findings.error(list, format!("`{what}` must not be empty"));
        }
    }
    let (mut any_source, mut tcp_source, mut any_operation, mut tcp_operation) = (false, false, false, false);
    for item in from.items() {
        let source = item.at("source");
        if !source.is_set() {
            findings.error(&source, "`from.source` must not be nil");
            continue;
        }
        any_source = true;
        let tcp = ["principals", "ipBlocks", "namespaces", "remoteIpBlocks", "serviceAccounts"];
        tcp_source |= tcp.iter().any(|name| source.has(name) || source.has(&negated(name)));
        check_source(findings, &source, action);
    }
    for item in to.items() {
        let operation = item.at("operation");
        if !operation.is_set() {
            findings.error(&operation, "`to.operation` must not be nil");
            continue;
        }
        any_operation = true;
        tcp_operation |= operation.has("ports") || operation.has("notPorts");
        check_operation(findings, &operation);
    }
    for condition in rule.at("when").items() {
        check_condition(findings, &condition, action);
    }
    let only_http = (any_source && !any_operation && !tcp_source) || (any_operation && !tcp_operation);
    if action == "DENY" && only_http {
        let message = "configured AuthorizationPolicy will deny all traffic to TCP ports under its scope due to the \
                       use of only HTTP attributes in a DENY rule; it is recommended to explicitly specify the port";
        findings.warn(rule, message);
    }
}

/// The name of the list that excludes.
fn negated(name: &str) -> String {
    let mut letters = name.chars();
    let first: String = letters.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("not{first}{}", letters.as_str())
}

/// Both lists of a field, those that exist.
fn both<'a>(parent: &Node<'a>, name: &str) -> [Node<'a>; 2] {
    [parent.at(name), parent.at(&negated(name))]
}

fn check_source(findings: &mut Findings, source: &Node<'_>, action: &str) {
    let fields =
        ["principals", "requestPrincipals", "namespaces", "serviceAccounts", "ipBlocks", "remoteIpBlocks"];
    if fields.iter().all(|name| both(source, name).iter().all(Node::is_empty)) {
        findings.error(source, "`from.source` must not be empty");
    }
    for name in fields {
        for list in both(source, name) {
            no_empty_values(findings, &list);
            for item in list.items().iter().filter(|item| !item.text().is_empty()) {
                match name {
                    "ipBlocks" | "remoteIpBlocks" => subnet(findings, item),
                    "serviceAccounts" => service_account(findings, item),
                    _ => {}
                }
            }
            let unsupported = NAMES.contains(&name) || name == "requestPrincipals";
            if action == "CUSTOM" && unsupported && !list.is_empty() {
                findings.error(&list, format!("{name} is currently not supported with CUSTOM action"));
            }
        }
    }
    let [accounts, not_accounts] = both(source, "serviceAccounts");
    for (list, negative) in [(&accounts, false), (&not_accounts, true)] {
        if list.len() > MAX_SERVICE_ACCOUNTS {
            findings.error(list, format!("serviceAccounts can have at most {MAX_SERVICE_ACCOUNTS} values"));
        }
        let others = ["principals", "namespaces"].into_iter().map(|name| both(source, name));
        if !list.is_empty() && others.into_iter().any(|[yes, no]| !if negative { no } else { yes }.is_empty())
        {
            findings.error(list, "serviceAccounts cannot be set together with principals or namespaces");
        }
    }
}

fn service_account(findings: &mut Findings, at: &Node<'_>) {
    let text = at.text();
    let parts: Vec<&str> = text.split('/').collect();
    if text.contains('*') {
        findings.error(at, format!("serviceAccounts cannot have wildcards: {}", quoted(text)));
    } else if text.len() > MAX_SERVICE_ACCOUNT {
        findings
            .error(at, format!("a value of serviceAccounts has at most {MAX_SERVICE_ACCOUNT} characters"));
    } else if parts.len() > 2 || parts.iter().any(|part| part.is_empty()) {
        let text = quoted(text);
        findings.error(
            at,
            format!("serviceAccounts are of the form serviceAccount or namespace/serviceAccount, not {text}"),
        );
    }
}

fn check_operation(findings: &mut Findings, operation: &Node<'_>) {
    let fields = ["ports", "methods", "paths", "hosts"];
    if fields.iter().all(|name| both(operation, name).iter().all(Node::is_empty)) {
        findings.error(operation, "`to.operation` must not be empty");
    }
    for name in fields {
        for list in both(operation, name) {
            no_empty_values(findings, &list);
            for item in list.items().iter().filter(|item| !item.text().is_empty()) {
                match name {
                    "ports" => check_port(findings, item),
                    "paths" => findings.require(item, path_template(item.text())),
                    _ => {}
                }
            }
        }
    }
}

fn no_empty_values(findings: &mut Findings, list: &Node<'_>) {
    for item in list.items().into_iter().filter(|item| item.text().is_empty()) {
        let name = list.path().rsplit('.').next().unwrap_or_default();
        findings.error(&item, format!("empty value not allowed, found in {name}"));
    }
}

fn check_port(findings: &mut Findings, at: &Node<'_>) {
    if at.text().parse::<u16>().is_err() {
        findings.error(at, format!("bad port ({}): it must be a number in the range 0..65535", at.text()));
    }
}

/// A path with templates: `{*}` stands for one part of it, `{**}` for all that are left but the last text.
fn path_template(path: &str) -> Result<(), String> {
    if !path.contains("{*}") && !path.contains("{**}") {
        return Ok(());
    }
    let wrong = |reason: &str| Err(format!("invalid or unsupported path {}: {reason}", quoted(path)));
    let mut ended = false;
    for part in path.split('/') {
        let is_template = part == "{*}" || part == "{**}";
        if ended && (part.contains('{') || part.contains('}')) {
            return wrong("`{**}` must be the last of its operators");
        }
        if !is_template && part.contains(['{', '}']) {
            return wrong("`{*}` and `{**}` must be whole parts between slashes");
        }
        if part.contains('*') && !is_template {
            return wrong("`*` cannot stand beside `{*}` and `{**}`");
        }
        ended |= part == "{**}";
    }
    Ok(())
}

fn check_condition(findings: &mut Findings, condition: &Node<'_>, action: &str) {
    let at = condition.at("key");
    let key = at.text();
    if key.is_empty() {
        findings.error(&at, "`key` must not be empty");
        return;
    }
    if action == "CUSTOM"
        && (matches!(key, "source.namespace" | "source.principal" | "source.serviceAccount")
            || key.starts_with("request.auth."))
    {
        findings.error(&at, format!("{key} is currently not supported with CUSTOM action"));
    }
    let lists = [condition.at("values"), condition.at("notValues")];
    if lists.iter().all(Node::is_empty) {
        findings
            .error(condition, format!("at least one of `values` or `notValues` must be set for key {key}"));
        return;
    }
    if let Err(message) = attribute(key) {
        findings.error(&at, message);
        return;
    }
    for item in lists.iter().flat_map(Node::items) {
        let before = findings.list.len();
        match key {
            "source.ip" | "destination.ip" | "remote.ip" => subnet(findings, &item),
            "destination.port" => check_port(findings, &item),
            "source.serviceAccount" => service_account(findings, &item),
            _ if item.text().is_empty() => findings.error(&item, "empty value not allowed"),
            _ => {}
        }
        if let Some(finding) = findings.list.get_mut(before) {
            finding.message = format!("invalid value for key {key}: {}", finding.message);
        }
    }
}

/// Whether there is such an attribute.
fn attribute(key: &str) -> Result<(), String> {
    let in_brackets = |prefix: &str| {
        key.strip_prefix(prefix)
            .is_some_and(|rest| rest.starts_with('[') && rest.ends_with(']') && rest.len() > 2)
    };
    let known = matches!(
        key,
        "source.ip"
            | "remote.ip"
            | "source.namespace"
            | "source.principal"
            | "source.serviceAccount"
            | "request.auth.principal"
            | "request.auth.audiences"
            | "request.auth.presenter"
            | "destination.ip"
            | "destination.port"
            | "connection.sni"
    ) || in_brackets("request.headers")
        || in_brackets("request.auth.claims")
        || key.starts_with("experimental.envoy.filters.");
    if known {
        return Ok(());
    }
    if matches!(key, "destination.namespace" | "destination.name" | "destination.user")
        || key.starts_with("destination.labels")
    {
        return Err(format!("attribute {key} is not supported any more: use the selector of the policy"));
    }
    Err(format!("invalid key: unknown attribute: {key}"))
}
