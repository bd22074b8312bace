//! The way from a pod to the pod with its proxy (platform specification, 6.4): templates are rendered and laid over it,
//! the user's own containers over these, then what no template can do is done, and the difference is the patch.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ::config::Object;
use json_patch::Patch;
use proto::istio::mesh::{MeshConfig, ProxyConfig, proxy_config};
use proto::istio::networking_beta::ProxyConfig as ProxyConfigObject;
use serde::Serialize;
use serde_json::{Value, json};

use crate::functions::Context;
use crate::owner::Owner;
use crate::pod::{self, CORE_DUMP, INIT, PROXY, VALIDATION};
use crate::{
    Config, Environment, annotations, config as injector, data, merge, overrides, probes,
    proxy_config as settings, scraping, shape,
};

const CLUSTER: &str = "ISTIO_META_CLUSTER_ID";
const NETWORK: &str = "ISTIO_META_NETWORK";
const NATIVE: &str = "sidecar.istio.io/nativeSidecar";
const NETWORK_LABEL: &str = "topology.istio.io/network";

/// What is known of a pod that is to get a proxy.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The pod, as JSON.
    pub pod: &'a Value,
    /// Its namespace, which the pod itself may not say.
    pub namespace: &'a str,
    /// Annotations of the namespace.
    pub namespace_annotations: BTreeMap<String, String>,
    /// What it belongs to.
    pub owner: Owner,
    /// The mesh's configuration.
    pub mesh: &'a MeshConfig,
    /// All ProxyConfig objects, oldest first.
    pub proxy_configs: &'a [Arc<Object<ProxyConfigObject>>],
    /// The injector's configuration.
    pub config: &'a Config,
    /// The control plane's revision; empty for the default one.
    pub revision: &'a str,
    /// Whether proxies are init containers that keep running, where the pod says nothing.
    pub native_sidecars: bool,
    /// Variables that the path of the webhook has for the proxy.
    pub path_variables: BTreeMap<String, String>,
    /// Whether the cluster is OpenShift, which gives each namespace its own range of users.
    pub openshift: bool,
    /// The policy of ciphers that proxies follow, as `fips-140-2`; empty for none.
    pub compliance_policy: &'a str,
    /// What templates see of the environment.
    pub environment: Arc<dyn Environment>,
}

/// A pod with its proxy.
#[derive(Clone, Debug, PartialEq)]
pub struct Injection {
    /// The pod.
    pub pod: Value,
    /// The way there from the pod of the request.
    pub patch: Patch,
    /// What the user should know.
    pub warnings: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Status<'a> {
    init_containers: Option<Vec<&'a str>>,
    containers: Option<Vec<&'a str>>,
    volumes: Option<Vec<&'a str>>,
    image_pull_secrets: Option<Vec<&'a str>>,
    revision: &'a str,
}

/// Puts the proxy into a pod. The error says what in the pod or in a template is wrong.
pub fn inject(request: &Request<'_>) -> Result<Injection, String> {
    if pod::is_too_deep(request.pod) {
        return Err("the pod nests too deeply".to_owned());
    }
    shape::check(request.pod).map_err(|error| format!("the pod is malformed: {error}"))?;
    let mut original = request.pod.clone();
    if let Some(meta) = original.get_mut("metadata").and_then(Value::as_object_mut) {
        // Long, and of no interest to anyone here.
        meta.remove("managedFields");
        meta.entry("namespace").or_insert_with(|| json!(request.namespace));
    }
    shape::drop_zeros(&mut original);
    let (mut merged, template) = run_templates(request, &original)
        .map_err(|error| format!("failed to run injection template: {error}"))?;
    let always_root = is_tproxy(request, &original);
    overrides::reapply(&mut merged, &original, &template, always_root)
        .map_err(|error| format!("failed to re apply container: {error}"))?;
    finish(request, &mut merged, &original, &template)?;
    add_resources(&mut merged, &original);
    shape::drop_zeros(&mut merged);
    shape::check(&merged).map_err(|error| {
        format!(
            "failed parsing generated injected YAML (check Istio sidecar injector configuration): {error}"
        )
    })?;
    let patch = json_patch::diff(&original, &merged);
    Ok(Injection { patch, warnings: warnings(&original), pod: merged })
}

fn warnings(pod: &Value) -> Vec<String> {
    let policy = pod.pointer("/spec/dnsPolicy").and_then(Value::as_str).unwrap_or("ClusterFirst");
    if matches!(policy, "" | "ClusterFirst") {
        return Vec::new();
    }
    vec![format!("its dnsPolicy is {policy}, not ClusterFirst: the proxy may not find the control plane")]
}

/// The pod with all templates laid over it, and what the templates alone make.
fn run_templates(request: &Request<'_>, original: &Value) -> Result<(Value, Value), String> {
    annotations::check(original)?;
    let undone = overrides::undone(original, agent_port(request.mesh))?;
    let proxy_config = settings::effective(
        request.mesh,
        request.proxy_configs,
        request.namespace,
        &pod::strings(original, "labels"),
        pod::annotation(original, settings::ANNOTATION),
    );
    one_line(request, original, &proxy_config)?;
    let (data, origins) = data::data(request, &undone, &proxy_config);
    let context = Arc::new(Context::new(origins, Arc::clone(&request.environment)));
    let mut merged = original.clone();
    let mut alone = json!({});
    for name in request.config.chosen(pod::annotation(original, "inject.istio.io/templates")) {
        let Some(template) = request.config.templates.get(name) else {
            let known: Vec<&str> = request.config.templates.keys().map(String::as_str).collect();
            return Err(format!("requested template {name:?} not found; have {}", known.join(", ")));
        };
        let text = template.render(&data, &context).map_err(|error| format!("template {name}: {error}"))?;
        let part =
            injector::read(&text).map_err(|error| format!("template {name} makes no YAML: {error}"))?;
        merge::merge(&mut alone, part.clone())
            .map_err(|error| format!("failed applying injection overlay: {error}"))?;
        shape::check(&alone).map_err(|error| format!("failed applying injection overlay: {error}"))?;
        let native = match pod::annotation(&merged, NATIVE) {
            Some("true") => true,
            Some("false") => false,
            _ => request.native_sidecars,
        };
        if native {
            overrides::move_to_init(&mut merged, &alone);
        }
        merge::merge(&mut merged, part)
            .map_err(|error| format!("failed applying injection overlay: {error}"))?;
    }
    Ok((merged, alone))
}

/// Names that templates write without quotes: a line break in one would be YAML that no template said.
fn one_line(request: &Request<'_>, pod: &Value, settings: &ProxyConfig) -> Result<(), String> {
    let owner = &request.owner;
    let account = pod.pointer("/spec/serviceAccountName").and_then(Value::as_str).unwrap_or_default();
    let names = [&owner.api_version, &owner.kind, &owner.name, &owner.namespace, request.namespace, account];
    let of_metadata = settings.proxy_metadata.iter().find(|(name, value)| {
        name.contains(char::is_control) || value.contains(char::is_control) && value.contains('"')
    });
    if let Some((name, _)) = of_metadata {
        return Err(format!(
            "proxyMetadata {name:?} of the proxy's configuration contains control characters"
        ));
    }
    match names.iter().find(|name| name.contains(char::is_control)) {
        Some(name) => Err(format!("the name {name:?} contains control characters")),
        None => Ok(()),
    }
}

fn agent_port(mesh: &MeshConfig) -> u32 {
    let port = mesh.default_config.as_ref().map_or(0, |config| config.status_port);
    u32::try_from(port).unwrap_or_default()
}

fn is_tproxy(request: &Request<'_>, pod: &Value) -> bool {
    let mode = pod::annotation(pod, "sidecar.istio.io/interceptionMode");
    let config = settings::effective(
        request.mesh,
        request.proxy_configs,
        request.namespace,
        &pod::strings(pod, "labels"),
        pod::annotation(pod, settings::ANNOTATION),
    );
    mode == Some("TPROXY") || config.interception_mode == proxy_config::InboundInterceptionMode::Tproxy as i32
}

/// What templates cannot do.
fn finish(
    request: &Request<'_>,
    merged: &mut Value,
    original: &Value,
    template: &Value,
) -> Result<(), String> {
    let variables = path_variables(request, original);
    if let Some(env) =
        pod::proxy_mut(merged).map(|proxy| pod::object(proxy).entry("env").or_insert_with(|| json!([])))
        && let Some(env) = env.as_array_mut()
    {
        env.retain(|variable| !variables.contains_key(pod::name_of(variable)));
        env.extend(variables.iter().map(|(name, value)| json!({"name": name, "value": value})));
    }
    let agent = agent_port(request.mesh);
    scraping::merge(merged, request.mesh, agent);
    probes::rewrite(merged, request.config.values.flag("/sidecarInjectorWebhook/rewriteAppHTTPProbe"), agent);
    if let Some(network) = variables.get(NETWORK) {
        pod::strings_mut(merged, "labels").insert(NETWORK_LABEL.to_owned(), json!(network));
    }
    pod::annotate(merged, overrides::STATUS, status(template, request.revision));
    for (name, value) in &request.config.annotations {
        pod::annotate(merged, name, value.as_str());
    }
    reorder(merged, holds(request, original)?);
    Ok(())
}

/// Variables of the path, and cluster and network by whoever knows best: the pod's label, the path, the values.
fn path_variables(request: &Request<'_>, pod: &Value) -> BTreeMap<String, String> {
    let mut variables = request.path_variables.clone();
    let mut prefer = |name: &str, value: String| {
        let known = variables.get(name).is_some_and(|known| !known.is_empty());
        if !known && !value.is_empty() {
            variables.insert(name.to_owned(), value);
        }
    };
    prefer(CLUSTER, request.config.values.text("/global/multiCluster/clusterName"));
    prefer(NETWORK, request.config.values.text("/global/network"));
    if let Some(network) = pod::label(pod, NETWORK_LABEL).filter(|network| !network.is_empty()) {
        variables.insert(NETWORK.to_owned(), network.to_owned());
    }
    variables
}

/// The names of what the templates brought.
fn status(template: &Value, revision: &str) -> String {
    let names = |list: &str| {
        let names: Vec<&str> = pod::list(template, list).iter().map(pod::name_of).collect();
        Some(names).filter(|names| !names.is_empty())
    };
    let status = Status {
        init_containers: names("initContainers"),
        containers: names("containers"),
        volumes: names("volumes"),
        image_pull_secrets: names("imagePullSecrets"),
        revision: if revision.is_empty() { "default" } else { revision },
    };
    serde_json::to_string(&status).unwrap_or_default()
}

/// Whether the application waits for the proxy: by mesh, annotation or values.
fn holds(request: &Request<'_>, pod: &Value) -> Result<bool, String> {
    let mut config = request.mesh.default_config.clone().unwrap_or_default();
    if let Some(document) = pod::annotation(pod, settings::ANNOTATION) {
        config = ::config::mesh_config::apply_proxy_config(&config, document)
            .map_err(|rejection| format!("failed to process pod: {rejection}"))?;
    }
    let by_config = config.hold_application_until_proxy_starts.is_some_and(|flag| flag.value);
    Ok(by_config || request.config.values.flag("/global/proxy/holdApplicationUntilProxyStarts"))
}

/// Puts containers in the order they must start in.
fn reorder(pod: &mut Value, hold: bool) {
    let native = pod::container(pod, "initContainers", PROXY).is_some();
    if let Some(containers) = pod::list_mut(pod, "containers") {
        // Tools take the first container for the application's.
        move_to(containers, PROXY, hold);
    }
    let Some(containers) = pod::list_mut(pod, "initContainers") else { return };
    if native {
        for name in [CORE_DUMP, PROXY, VALIDATION, INIT] {
            move_to(containers, name, true);
        }
    } else {
        // Until the network is prepared, init containers reach what they want.
        move_to(containers, VALIDATION, true);
        move_to(containers, INIT, false);
        move_to(containers, CORE_DUMP, false);
    }
}

fn move_to(containers: &mut Vec<Value>, name: &str, front: bool) {
    let Some(index) = containers.iter().position(|container| pod::name_of(container) == name) else { return };
    let container = containers.remove(index);
    containers.insert(if front { 0 } else { containers.len() }, container);
}

/// Containers that templates brought have resources as the API server writes them, if only none.
fn add_resources(pod: &mut Value, original: &Value) {
    for list in pod::CONTAINERS {
        let users: BTreeSet<&str> = pod::list(original, list).iter().map(pod::name_of).collect();
        for container in pod::list_mut(pod, list).into_iter().flatten() {
            if !users.contains(pod::name_of(container)) {
                let resources = pod::object(container).entry("resources").or_insert_with(|| json!({}));
                if resources.is_null() {
                    *resources = json!({});
                }
            }
        }
    }
}
