//! Kubernetes Services to services of the mesh (spec section 8, rows K01 to K07).

use std::collections::{BTreeMap, BTreeSet};

use config::{ConfigStore, Object, k8s};
use model::{Host, Protocol};

use crate::{
    ExportTo, KubernetesAttributes, MeshSettings, Registry, Resolution, Service, ServicePort, TargetPort,
    TrafficDistribution, UNSPECIFIED_V4,
};

const EXPORT_TO: &str = "networking.istio.io/exportTo";
const TRAFFIC_DISTRIBUTION: &str = "networking.istio.io/traffic-distribution";
const KUBERNETES_SERVICE_ACCOUNTS: &str = "alpha.istio.io/kubernetes-serviceaccounts";
const CANONICAL_SERVICE_ACCOUNTS: &str = "alpha.istio.io/canonical-serviceaccounts";

/// The fully qualified host of a Kubernetes Service.
pub(crate) fn host(name: &str, namespace: &str, domain: &str) -> Host {
    Host::from(format!("{name}.{namespace}.svc.{domain}"))
}

/// One Service of the cluster whose store it is.
pub(crate) fn service(
    object: &Object<k8s::Service>,
    store: &ConfigStore,
    settings: &MeshSettings,
) -> Service {
    let (meta, spec) = (&object.meta, &object.spec);
    let external_name = match spec.service_type {
        k8s::ServiceType::ExternalName => spec.external_name.as_deref().map(Host::from),
        _ => None,
    };
    let resolution = if external_name.is_some() {
        Resolution::Alias
    } else if spec.is_headless() {
        Resolution::Passthrough
    } else {
        Resolution::ClientSideLb
    };
    let mut addresses: Vec<String> =
        spec.cluster_ips.iter().filter(|ip| !ip.is_empty() && *ip != "None").cloned().collect();
    if addresses.is_empty() {
        addresses.push(UNSPECIFIED_V4.to_owned());
    }
    let ports = spec
        .ports
        .iter()
        .map(|port| ServicePort {
            name: port.name.clone(),
            number: port.port,
            protocol: Protocol::of_service_port(
                port.port,
                &port.name,
                &port.protocol,
                port.app_protocol.as_deref(),
            ),
            target: match &port.target_port {
                k8s::IntOrString::Int(number) => TargetPort::Number(*number),
                k8s::IntOrString::String(name) => TargetPort::Name(name.clone()),
            },
            target_stated: true,
            node_port: (port.node_port != 0).then_some(port.node_port),
        })
        .collect();
    let export_to = meta.annotation(EXPORT_TO).unwrap_or_default();
    let is_balanced = spec.service_type == k8s::ServiceType::LoadBalancer;
    let ingress = spec.load_balancer_ingress.iter().filter(|_| is_balanced);
    let ingress = ingress.filter_map(|i| i.ip.as_ref().or(i.hostname.as_ref()));
    Service {
        host: host(&meta.name, &meta.namespace, &settings.domain),
        namespace: meta.namespace.clone(),
        name: meta.name.to_string(),
        object_name: meta.name.to_string(),
        registry: Registry::Kubernetes,
        cluster: settings.cluster_of(store).to_owned(),
        creation: meta.creation,
        ports,
        resolution,
        external: external_name.is_some(),
        addresses,
        addresses_elsewhere: BTreeMap::new(),
        auto_addresses: Vec::new(),
        export_to: ExportTo::of(
            export_to.split(',').map(str::trim).filter(|n| !n.is_empty()),
            &meta.namespace,
            &settings.config.default_service_export_to,
            true,
        ),
        labels: meta.labels.clone(),
        annotations: meta.annotations.iter().map(|(k, v)| (k.clone(), v.clone())).collect(),
        selector: spec.selector.clone(),
        subject_alt_names: declared_accounts(object, settings),
        traffic_distribution: traffic_distribution(
            object.spec.traffic_distribution.as_deref(),
            &object.meta,
            store,
        ),
        kubernetes: KubernetesAttributes {
            headless: spec.is_headless(),
            external_name,
            node_local: spec.internal_traffic_local,
            publish_not_ready: spec.publish_not_ready_addresses,
            service_type: format!("{:?}", spec.service_type),
            external_addresses: ingress.chain(&spec.external_ips).cloned().collect(),
        },
        fingerprint: Default::default(),
    }
    .sealed()
}

/// Row K06: one annotation names service accounts of the namespace, the other whole identities.
fn declared_accounts(object: &Object<k8s::Service>, settings: &MeshSettings) -> Vec<String> {
    let list = |key: &str| {
        let text = object.meta.annotation(key).unwrap_or_default();
        text.split(',').map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned).collect::<Vec<_>>()
    };
    let accounts = list(KUBERNETES_SERVICE_ACCOUNTS).into_iter().map(|account| {
        model::SpiffeId::of(settings.trust_domain(), &object.meta.namespace, &account).to_string()
    });
    let all: BTreeSet<String> = list(CANONICAL_SERVICE_ACCOUNTS).into_iter().chain(accounts).collect();
    all.into_iter().collect()
}

/// `spec.trafficDistribution` (of Services), else the object's annotation, else the namespace's.
pub(crate) fn traffic_distribution(
    field: Option<&str>,
    meta: &config::Meta,
    store: &ConfigStore,
) -> TrafficDistribution {
    let namespace = store.namespaces().get("", &meta.namespace);
    let stated = field
        .or_else(|| meta.annotation(TRAFFIC_DISTRIBUTION))
        .or_else(|| namespace.and_then(|ns| ns.meta.annotation(TRAFFIC_DISTRIBUTION)));
    match stated {
        Some(v) if v.eq_ignore_ascii_case("PreferClose") || v.eq_ignore_ascii_case("PreferSameZone") => {
            TrafficDistribution::PreferSameZone
        }
        Some(v) if v.eq_ignore_ascii_case("PreferSameNode") => TrafficDistribution::PreferSameNode,
        _ => TrafficDistribution::Any,
    }
}
