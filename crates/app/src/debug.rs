//! Debug pages about configuration, as JSON in the shapes that istiod's clients read (platform specification 4.2).

use config::{AnyObject, Rejection};
use mesh::{Endpoint, EndpointAddress, Mesh, Reader, Service};
use model::Issue;
use serde_json::{Value, json};

/// `/debug/registryz`.
pub(crate) fn services(mesh: &Mesh) -> Value {
    mesh.all_services().iter().map(|service| one_service(service)).collect()
}

fn one_service(service: &Service) -> Value {
    let ports: Vec<Value> = service
        .ports
        .iter()
        .map(|port| json!({"name": port.name, "port": port.number, "protocol": format!("{:?}", port.protocol)}))
        .collect();
    let mut addresses = service.addresses_elsewhere.clone();
    addresses.insert(service.cluster.clone(), service.addresses.clone());
    json!({
        "Attributes": {
            "ServiceRegistry": format!("{:?}", service.registry),
            "Name": service.name,
            "Namespace": service.namespace.as_str(),
            "Labels": *service.labels,
            "LabelSelectors": service.selector,
        },
        "ports": ports,
        "hostname": service.host.as_str(),
        "clusterVIPs": {"Addresses": addresses},
        "defaultAddress": service.default_address(),
        "autoAllocatedAddresses": service.auto_addresses,
        "resolution": format!("{:?}", service.resolution),
        "MeshExternal": service.external,
    })
}

/// `/debug/endpointz`.
pub(crate) fn endpoints(mesh: &Mesh) -> Value {
    let reader = Reader::new(mesh);
    mesh.all_services()
        .iter()
        .map(|service| {
            let set = reader.endpoints(&service.host, &service.namespace);
            let list: Vec<Value> = set.endpoints.iter().map(one_endpoint).collect();
            json!({"svc": service.host.as_str(), "namespace": service.namespace.as_str(), "ep": list})
        })
        .collect()
}

fn one_endpoint(endpoint: &Endpoint) -> Value {
    let address = match &endpoint.address {
        EndpointAddress::Ip(address, port) | EndpointAddress::Host(address, port) => {
            format!("{address}:{port}")
        }
        EndpointAddress::Pipe(path) => path.clone(),
        EndpointAddress::Network(port) => format!(":{port}"),
    };
    json!({
        "address": address,
        "servicePort": endpoint.port_name,
        "labels": *endpoint.labels,
        "serviceAccount": endpoint.service_account,
        "network": endpoint.network,
        "cluster": endpoint.cluster,
        "locality": endpoint.locality.to_string(),
        "tlsMode": endpoint.tls_mode,
        "health": format!("{:?}", endpoint.health),
        "workload": endpoint.workload_name,
    })
}

/// The objects of Istio's own kinds, for `/debug/configz`. Secrets and ConfigMaps are never shown.
pub(crate) fn objects(mesh: &Mesh) -> Vec<Value> {
    mesh.store().iter().filter_map(|object| Some(one_object(&object, spec(&object)?))).collect()
}

fn one_object(object: &AnyObject, spec: Value) -> Value {
    let (kind, meta) = (object.kind(), object.meta());
    let version = kind.versions().first().copied().unwrap_or_default();
    json!({
        "apiVersion": format!("{}/{version}", kind.group()),
        "kind": kind.name(),
        "metadata": {
            "name": &*meta.name,
            "namespace": meta.namespace.as_str(),
            "labels": *meta.labels,
            "annotations": *meta.annotations,
        },
        "spec": spec,
    })
}

fn spec(object: &AnyObject) -> Option<Value> {
    let value = match object {
        AnyObject::VirtualService(o) => serde_json::to_value(&o.spec),
        AnyObject::DestinationRule(o) => serde_json::to_value(&o.spec),
        AnyObject::Gateway(o) => serde_json::to_value(&o.spec),
        AnyObject::ServiceEntry(o) => serde_json::to_value(&o.spec),
        AnyObject::Sidecar(o) => serde_json::to_value(&o.spec),
        AnyObject::WorkloadEntry(o) => serde_json::to_value(&o.spec),
        AnyObject::WorkloadGroup(o) => serde_json::to_value(&o.spec),
        AnyObject::EnvoyFilter(o) => serde_json::to_value(&o.spec),
        AnyObject::ProxyConfig(o) => serde_json::to_value(&o.spec),
        AnyObject::PeerAuthentication(o) => serde_json::to_value(&o.spec),
        AnyObject::RequestAuthentication(o) => serde_json::to_value(&o.spec),
        AnyObject::AuthorizationPolicy(o) => serde_json::to_value(&o.spec),
        AnyObject::Telemetry(o) => serde_json::to_value(&o.spec),
        AnyObject::WasmPlugin(o) => serde_json::to_value(&o.spec),
        AnyObject::TrafficExtension(o) => serde_json::to_value(&o.spec),
        _ => return None,
    };
    value.ok()
}

/// What was rejected, as an entry of `/debug/configz`.
pub(crate) fn rejection(rejection: &Rejection) -> Value {
    json!({
        "kind": rejection.key.as_ref().map(|key| key.kind.name()),
        "metadata": {
            "name": rejection.key.as_ref().map(|key| key.name.to_string()),
            "namespace": rejection.key.as_ref().map(|key| key.namespace.to_string()),
        },
        "rejected": {"source": &*rejection.source, "path": rejection.path, "reason": rejection.reason},
    })
}

/// What is amiss with an object that is used, as an entry of `/debug/configz`.
pub(crate) fn issue(issue: &Issue) -> Value {
    json!({"issue": {"object": issue.object, "path": issue.path, "message": issue.message}})
}

/// `/debug/mesh`.
pub(crate) fn settings(mesh: &Mesh) -> Value {
    let reader = Reader::new(mesh);
    serde_json::to_value(&reader.settings().config).unwrap_or_default()
}
