//! Injection without a cluster: every object of a file that makes pods gets the proxy in its template; the rest stays
//! as it is (platform specification, 6.4; what `istioctl kube-inject` does).

use serde_json::{Value, json};

use crate::{Decision, Injector, Owner, Request, decide, inject};

/// What became of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Injected {
    /// The file, with what changed written anew.
    pub text: String,
    /// What the user should know: objects that were left as they are, and why.
    pub notes: Vec<String>,
    /// How many objects got a proxy.
    pub n_injected: usize,
}

/// Injects all objects of a text of YAML or JSON. `namespace` is that of objects which name none. The error names the
/// object.
pub fn inject_text(text: &str, namespace: &str, injector: &Injector) -> Result<Injected, String> {
    let mut injected = Injected::default();
    for (index, document) in documents(text).into_iter().enumerate() {
        let value =
            crate::config::read(&document).map_err(|error| format!("document {}: {error}", index + 1))?;
        if value.is_null() {
            continue;
        }
        if !injected.text.is_empty() {
            injected.text.push_str("---\n");
        }
        let mut changed = value.clone();
        inject_object(&mut changed, namespace, injector, &mut injected)?;
        if changed == value {
            injected.text.push_str(document.trim_start_matches('\n'));
            if !document.ends_with('\n') {
                injected.text.push('\n');
            }
        } else {
            let text = serde_yaml::to_string(&changed).map_err(|error| error.to_string())?;
            injected.text.push_str(&text);
        }
    }
    Ok(injected)
}

/// The documents of a stream, as they are written.
fn documents(text: &str) -> Vec<String> {
    let mut documents = vec![String::new()];
    for line in text.trim_start_matches('\u{feff}').split_inclusive('\n') {
        if line.starts_with("---")
            && line.get(3..).is_some_and(|rest| rest.trim().is_empty() || rest.starts_with(" #"))
        {
            documents.push(String::new());
        } else if let Some(document) = documents.last_mut() {
            document.push_str(line);
        }
    }
    documents
}

/// Where the template of the pods of a kind is; pods are their own.
fn template_path(kind: &str) -> Option<&'static str> {
    match kind {
        "Pod" => Some(""),
        "Deployment"
        | "DaemonSet"
        | "ReplicaSet"
        | "StatefulSet"
        | "Job"
        | "ReplicationController"
        | "DeploymentConfig"
        | "Rollout" => Some("/spec/template"),
        "CronJob" => Some("/spec/jobTemplate/spec/template"),
        _ => None,
    }
}

fn inject_object(
    object: &mut Value,
    default_namespace: &str,
    injector: &Injector,
    injected: &mut Injected,
) -> Result<(), String> {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, api_version) = (text("/kind"), text("/apiVersion"));
    if kind == "List" {
        for item in object.get_mut("items").and_then(Value::as_array_mut).into_iter().flatten() {
            inject_object(item, default_namespace, injector, injected)?;
        }
        return Ok(());
    }
    let Some(path) = template_path(&kind) else { return Ok(()) };
    let name = Some(text("/metadata/name"))
        .filter(|name| !name.is_empty())
        .unwrap_or(text("/metadata/generateName"));
    let namespace = Some(text("/metadata/namespace")).filter(|name| !name.is_empty());
    let namespace = namespace.unwrap_or_else(|| default_namespace.to_owned());
    let full_name = format!("{kind} \"{namespace}/{name}\"");
    let Some(template) = object.pointer_mut(path).filter(|template| template.is_object()) else {
        return Err(format!("{full_name}: {} is required", path.trim_start_matches('/').replace('/', ".")));
    };
    let mut pod = json!({"metadata": template.get("metadata").cloned().unwrap_or_else(|| json!({}))});
    if let (Some(spec), Some(members)) = (template.get("spec"), pod.as_object_mut()) {
        members.insert("spec".to_owned(), spec.clone());
    }
    let decision = decide(&pod, &namespace, &injector.config);
    if let Some(reason) = decision.reason().filter(|_| decision != Decision::Inject) {
        injected.notes.push(format!("Skipping injection because {full_name}: {reason}"));
        return Ok(());
    }
    let request = Request {
        pod: &pod,
        namespace: &namespace,
        namespace_annotations: std::collections::BTreeMap::new(),
        owner: if path.is_empty() {
            crate::owner(&pod, &namespace)
        } else {
            Owner { api_version, kind, name, namespace: namespace.clone() }
        },
        mesh: &injector.mesh,
        proxy_configs: &injector.proxy_configs,
        config: &injector.config,
        revision: &injector.revision,
        native_sidecars: injector.native_sidecars.everywhere,
        path_variables: std::collections::BTreeMap::new(),
        openshift: false,
        compliance_policy: &injector.compliance_policy,
        environment: std::sync::Arc::clone(&injector.environment),
    };
    let injection = inject(&request).map_err(|error| format!("{full_name}: {error}"))?;
    json_patch::patch(&mut pod, &injection.patch).map_err(|error| format!("{full_name}: {error}"))?;
    injected.notes.extend(injection.warnings.into_iter().map(|warning| format!("{full_name}: {warning}")));
    injected.n_injected += 1;
    let Some(members) = template.as_object_mut() else { return Ok(()) };
    for member in ["metadata", "spec"] {
        if let Some(value) = pod.get(member) {
            members.insert(member.to_owned(), value.clone());
        }
    }
    Ok(())
}
