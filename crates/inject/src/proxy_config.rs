//! The ProxyConfig of one pod: the mesh's default, over it the ProxyConfig objects of the root namespace and of the
//! pod's, the pod's annotation, and last the object that selects the pod (platform specification, 6.3). And its JSON
//! for the agent, without what the agent assumes anyway.

use std::collections::BTreeMap;
use std::sync::Arc;

use ::config::Object;
use ::config::mesh_config::{apply_proxy_config, default_mesh};
use prost_reflect::DynamicMessage;
use proto::istio::mesh::{MeshConfig, ProxyConfig};
use proto::istio::networking_beta::ProxyConfig as ProxyConfigObject;
use serde_json::{Value, json};

/// The annotation with a pod's own settings.
pub(crate) const ANNOTATION: &str = "proxy.istio.io/config";

/// The settings of a proxy before anyone has a say.
pub(crate) fn defaults() -> ProxyConfig {
    default_mesh().default_config.unwrap_or_default()
}

/// The settings of a pod. Objects must come in the order of their creation: of several that fit, the first holds.
pub(crate) fn effective(
    mesh: &MeshConfig,
    objects: &[Arc<Object<ProxyConfigObject>>],
    namespace: &str,
    labels: &BTreeMap<String, String>,
    annotation: Option<&str>,
) -> ProxyConfig {
    let whole_namespace = |wanted: &str| {
        objects.iter().find(|object| *object.meta.namespace == *wanted && labels_of(object).is_none())
    };
    let root = mesh.root_namespace.as_str();
    let of_namespace = if namespace == root { None } else { whole_namespace(namespace) };
    let of_pod = objects.iter().find(|object| {
        *object.meta.namespace == *namespace
            && labels_of(object).is_some_and(|wanted| {
                !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
            })
    });
    let document =
        |object: Option<&Arc<Object<ProxyConfigObject>>>| object.map(|object| document(&object.spec));
    let mut settings = mesh.default_config.clone().unwrap_or_else(defaults);
    for layer in [
        document(whole_namespace(root)),
        document(of_namespace),
        annotation.map(str::to_owned),
        document(of_pod),
    ]
    .into_iter()
    .flatten()
    {
        // The annotation was checked before; an object that cannot be laid over changes nothing.
        if let Ok(laid) = apply_proxy_config(&settings, &layer) {
            settings = laid;
        }
    }
    settings
}

fn labels_of(object: &Object<ProxyConfigObject>) -> Option<&BTreeMap<String, String>> {
    object.spec.selector.as_ref().map(|selector| &selector.match_labels)
}

/// A ProxyConfig object as the document it stands for.
fn document(object: &ProxyConfigObject) -> String {
    let mut document = json!({});
    if let Some(concurrency) = object.concurrency {
        document["concurrency"] = json!(concurrency);
    }
    if !object.environment_variables.is_empty() {
        document["proxyMetadata"] = json!(object.environment_variables);
    }
    if let Some(image) = &object.image {
        document["image"] = json!({"imageType": image.image_type});
    }
    document.to_string()
}

/// A message with its descriptor.
pub(crate) fn dynamic<M: prost::Message + prost::Name>(message: &M) -> Option<DynamicMessage> {
    let descriptor = proto::descriptors::message(&M::full_name())?;
    DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice()).ok()
}

/// The JSON of settings without the members that are as by default.
pub(crate) fn json_for_agent(settings: &ProxyConfig) -> Value {
    let json = |settings: &ProxyConfig| {
        dynamic(settings).map(|message| proto::json::dynamic_to_json(&message)).unwrap_or_default()
    };
    let (mut all, defaults) = (json(settings), json(&defaults()));
    if let Some(members) = all.as_object_mut() {
        members.retain(|name, value| defaults.get(name) != Some(value));
    }
    write_whole(&mut all);
    all
}

/// Whole numbers of floating members without a fraction, as Go writes them.
fn write_whole(value: &mut Value) {
    match value {
        Value::Number(number) if number.is_f64() => {
            if let Some(whole) = number.as_f64().filter(|number| number.fract() == 0.0 && number.abs() < 9e15)
            {
                *value = json!(whole as i64);
            }
        }
        Value::Object(members) => members.values_mut().for_each(write_whole),
        Value::Array(items) => items.iter_mut().for_each(write_whole),
        _ => {}
    }
}
