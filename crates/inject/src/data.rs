//! What templates see of a pod and its mesh: `.ObjectMeta`, `.Spec`, `.ProxyConfig`, `.Values` and the rest (platform
//! specification, 6.3).

use std::sync::Arc;

use gotmpl::Value;
use proto::istio::mesh::ProxyConfig;
use proto::istio::mesh::mesh_config::inbound_traffic_policy::Mode;
use serde_json::Value as Json;

use crate::value::{Members, Origins, map, strings, text};
use crate::{Request, image, openshift, proxy_config};

/// The data of a pod, and where its parts came from.
pub(crate) fn data(request: &Request<'_>, pod: &Json, settings: &ProxyConfig) -> (Value, Origins) {
    let mut origins = Origins::default();
    let nothing = Json::Null;
    let part = |name: &str| pod.get(name).unwrap_or(&nothing);
    let message = |message: Option<prost_reflect::DynamicMessage>, origins: &mut Origins| {
        message.map_or(Value::Nil, |message| origins.message(&message))
    };
    let proxy = message(proxy_config::dynamic(settings), &mut origins);
    let proxy = origins.note(proxy, proxy_config::json_for_agent(settings));
    let mesh = message(proxy_config::dynamic(request.mesh), &mut origins);
    let values = &request.config.values;
    let wanted_type = settings.image.as_ref().map(|image| image.image_type.as_str()).unwrap_or_default();
    let annotated_type = image::annotated_type(pod);
    let ids = openshift::ids(request.openshift.then_some(&request.namespace_annotations));
    let localhost = request
        .mesh
        .inbound_traffic_policy
        .as_ref()
        .is_some_and(|policy| policy.mode == Mode::Localhost as i32);
    let members: [(&str, Value); 15] = [
        (
            "TypeMeta",
            strings([("APIVersion", request.owner.api_version.as_str()), ("Kind", &request.owner.kind)]),
        ),
        (
            "DeploymentMeta",
            strings([("Name", request.owner.name.as_str()), ("Namespace", &request.owner.namespace)]),
        ),
        ("ObjectMeta", origins.meta(part("metadata"))),
        ("Spec", origins.pod_spec(part("spec"))),
        ("ProxyConfig", proxy),
        ("MeshConfig", mesh),
        ("Values", values.data.0.clone()),
        ("Revision", text(request.revision)),
        ("NativeSidecars", Value::Bool(request.native_sidecars)),
        ("ProxyImage", text(image::image(values, "/global/proxy/image", wanted_type, annotated_type))),
        ("ProxyInitImage", text(image::image(values, "/global/proxy_init/image", "", annotated_type))),
        ("ProxyUID", Value::Int(ids.user)),
        ("ProxyGID", Value::Int(ids.group)),
        ("InboundTrafficPolicyMode", text(if localhost { "localhost" } else { "passthrough" })),
        ("CompliancePolicy", text(request.compliance_policy)),
    ];
    let members: Members = members.into_iter().map(|(name, value)| (Arc::from(name), value)).collect();
    (map(members), origins)
}
