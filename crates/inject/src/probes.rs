//! Probes of the application go through the agent, as the kubelet has no certificate of the mesh: HTTP, TCP and gRPC
//! probes and hooks become HTTP calls to the agent, which finds the original in its environment (platform
//! specification, 6.4, step 5).

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::pod::{self, CONTAINERS, PROXY};

const PROBERS: &str = "ISTIO_KUBE_APP_PROBERS";
const PORT: &str = "status.sidecar.istio.io/port";
const REWRITE: &str = "sidecar.istio.io/rewriteAppHTTPProbers";

/// Where a probe or hook stands in a container, and its path at the agent.
const PROBES: [(&str, &str); 3] =
    [("readinessProbe", "readyz"), ("livenessProbe", "livez"), ("startupProbe", "startupz")];
const HOOKS: [(&str, &str); 2] = [("preStop", "prestopz"), ("postStart", "poststartz")];

/// Rewrites the probes of a pod that has a proxy.
pub(crate) fn rewrite(pod: &mut Value, by_default: bool, agent_port: u32) {
    let wanted = pod::annotation(pod, REWRITE).and_then(crate::annotations::parse_flag).unwrap_or(by_default);
    if !wanted || pod::proxy(pod).is_none() {
        return;
    }
    let port = pod::annotation(pod, PORT).and_then(|port| port.trim().parse().ok()).unwrap_or(agent_port);
    let mut originals = BTreeMap::new();
    for list in CONTAINERS {
        for container in
            pod::list_mut(pod, list).into_iter().flatten().filter(|one| pod::name_of(one) != PROXY)
        {
            rewrite_container(container, port, agent_port, &mut originals);
        }
    }
    if originals.is_empty() {
        return;
    }
    let injected_before = crate::overrides::was_injected(pod);
    let Some(proxy) = pod::proxy_mut(pod) else { return };
    if injected_before && let Some(known) = known_probers(proxy) {
        let mut all: BTreeMap<String, Value> =
            known.as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        for (path, probe) in originals {
            all.entry(path).or_insert(probe);
        }
        *known = Value::String(json!(all).to_string());
    } else {
        pod::add_variable(proxy, PROBERS, &json!(originals).to_string());
    }
}

fn known_probers(proxy: &mut Value) -> Option<&mut Value> {
    let env = proxy.get_mut("env")?.as_array_mut()?;
    env.iter_mut().find(|variable| pod::name_of(variable) == PROBERS)?.get_mut("value")
}

fn rewrite_container(
    container: &mut Value,
    port: u32,
    agent_port: u32,
    originals: &mut BTreeMap<String, Value>,
) {
    let name = pod::name_of(container).to_owned();
    let ports = named_ports(container);
    for (member, path) in PROBES {
        if let Some(probe) = container.get_mut(member) {
            let path = format!("/app-health/{name}/{path}");
            let timeout = probe.get("timeoutSeconds").filter(|timeout| **timeout != 0).cloned();
            rewrite_handler(
                probe,
                &["httpGet", "tcpSocket", "grpc"],
                path,
                timeout,
                port,
                agent_port,
                &ports,
                originals,
            );
        }
    }
    for (member, path) in HOOKS {
        if let Some(hook) = container.get_mut("lifecycle").and_then(|lifecycle| lifecycle.get_mut(member)) {
            let path = format!("/app-lifecycle/{name}/{path}");
            rewrite_handler(hook, &["httpGet", "tcpSocket"], path, None, port, agent_port, &ports, originals);
        }
    }
}

fn named_ports(container: &Value) -> BTreeMap<String, Value> {
    let ports = container.get("ports").and_then(Value::as_array).into_iter().flatten();
    let named =
        |port: &Value| Some((port.get("name")?.as_str()?.to_owned(), port.get("containerPort")?.clone()));
    ports.filter_map(named).filter(|(name, _)| !name.is_empty()).collect()
}

fn rewrite_handler(
    handler: &mut Value,
    kinds: &[&str],
    path: String,
    timeout: Option<Value>,
    port: u32,
    agent_port: u32,
    ports: &BTreeMap<String, Value>,
    originals: &mut BTreeMap<String, Value>,
) {
    let Some(handler) = handler.as_object_mut() else { return };
    let present = |kind: &&&str| handler.get(**kind).is_some_and(|action| !action.is_null());
    let Some(kind) = kinds.iter().find(present).copied() else { return };
    let Some(mut action) = handler.get(kind).cloned() else { return };
    if let Some(known) = resolved(&mut action, kind, ports, agent_port) {
        let mut original = Map::new();
        original.insert(kind.to_owned(), known);
        if let Some(timeout) = timeout {
            original.insert("timeoutSeconds".to_owned(), timeout);
        }
        originals.insert(path.clone(), Value::Object(original));
    }
    if kind == "httpGet" {
        let action = pod::object(&mut action);
        // From the kubelet to the agent it is plain; the agent speaks TLS to the application.
        if action.get("scheme").is_some_and(|scheme| scheme == "HTTPS") {
            action.insert("scheme".to_owned(), json!("HTTP"));
        }
    } else {
        handler.remove(kind);
        action = json!({});
    }
    let rewritten = pod::object(&mut action);
    rewritten.insert("path".to_owned(), json!(path));
    rewritten.insert("port".to_owned(), json!(port));
    handler.insert("httpGet".to_owned(), action);
}

/// The action with a number for its port. Nothing if the port has no such name, or is the agent's own: then it was
/// rewritten before.
fn resolved(
    action: &mut Value,
    kind: &str,
    ports: &BTreeMap<String, Value>,
    agent_port: u32,
) -> Option<Value> {
    let mut known = action.clone();
    if kind != "grpc" {
        match known.get("port") {
            Some(Value::String(name)) => {
                let port = ports.get(name)?.clone();
                pod::object(&mut known).insert("port".to_owned(), port);
            }
            Some(Value::Number(port)) if port.as_u64() == Some(u64::from(agent_port)) => return None,
            _ => {}
        }
    }
    Some(known)
}
