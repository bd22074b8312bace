//! Rules for WasmPlugins and TrafficExtensions: where the code is, and what it gets.

use std::collections::BTreeSet;

use crate::cursor::Node;
use crate::finding::{Findings, quoted};
use crate::policy::attachment;
use crate::values::port;

/// Longest Lua program, in bytes.
const MAX_LUA: usize = 65536;

pub(super) fn check_wasm_plugin(findings: &mut Findings, spec: &Node<'_>) {
    attachment(findings, spec);
    check_wasm(findings, spec);
    check_match(findings, spec);
}

pub(super) fn check_traffic_extension(findings: &mut Findings, spec: &Node<'_>) {
    attachment(findings, spec);
    let (wasm, lua) = (spec.at("wasm"), spec.at("lua"));
    match (wasm.is_set(), lua.is_set()) {
        (true, false) => check_wasm(findings, &wasm),
        (false, true) => {
            let code = lua.at("inlineCode");
            if !(1..=MAX_LUA).contains(&code.text().len()) {
                findings.error(&code, format!("lua needs inlineCode of 1 to {MAX_LUA} bytes"));
            }
        }
        _ => findings.error(spec, "exactly one of wasm and lua must be set"),
    }
    check_match(findings, spec);
}

fn check_match(findings: &mut Findings, spec: &Node<'_>) {
    for condition in spec.at("match").items() {
        for item in condition.at("ports").items() {
            port(findings, &item.at("number"));
        }
    }
}

fn check_wasm(findings: &mut Findings, plugin: &Node<'_>) {
    let url = plugin.at("url");
    findings.require(&url, check_url(url.text()));
    let sum = plugin.at("sha256");
    if !sum.text().is_empty() {
        if sum.text().len() != 64 {
            findings.error(&sum, "sha256 field must be 64 characters long");
        } else if !sum.text().bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            findings.error(&sum, "sha256 field must match [a-f0-9]{64}");
        }
    }
    for (name, longest) in [("imagePullSecret", 253), ("pluginName", 256)] {
        let field = plugin.at(name);
        if field.text().len() > longest {
            findings.error(&field, format!("{name} field must be at most {longest} characters long"));
        }
    }
    let mut names = BTreeSet::new();
    for variable in plugin.at("vmConfig").at("env").items() {
        let (name, value) = (variable.at("name"), variable.at("value"));
        if name.text().is_empty() {
            findings.error(&name, "a variable in env needs a name");
        } else if name.text().len() > 256 {
            findings.error(&name, "the name of a variable in env must be at most 256 characters long");
        }
        if !names.insert(name.text()) {
            findings.error(&name, format!("duplicate env: {}", quoted(name.text())));
        }
        let source = variable.at("valueFrom").choice(&["INLINE", "HOST"]);
        if source != "INLINE" && !value.text().is_empty() {
            findings.error(&value, "value for env may only be set when valueFrom is INLINE");
        }
    }
}

fn check_url(url: &str) -> Result<(), String> {
    if url.is_empty() {
        return Err("url field needs to be set".to_owned());
    }
    if url.chars().any(|c| c.is_control() || c == ' ') {
        return Err(format!("failed to parse url: {} holds a character that URLs may not have", quoted(url)));
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(()) };
    if !matches!(scheme, "" | "file" | "http" | "https" | "oci") {
        return Err(format!("url contains unsupported scheme: {scheme}; use oci, http, https or file"));
    }
    let authority = rest.split('/').next().unwrap_or_default();
    if scheme != "file" && authority.is_empty() {
        return Err(format!("failed to parse url: {} has no host", quoted(url)));
    }
    Ok(())
}
