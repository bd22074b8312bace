//! Workloads that selectors of ServiceEntries and Services choose: WorkloadEntries and Pods, each as an endpoint
//! that still lacks a port (spec 5.3, 5.4, section 8; rows E20 to E22, K09, K10).

use std::collections::BTreeMap;
use std::net::IpAddr;

use config::{ConfigStore, Meta, Object, k8s};
use model::{Labels, Locality, Namespace, SpiffeId};
use proto::istio::networking::WorkloadEntry;

use crate::topology::{self, with_topology};
use crate::{Endpoint, EndpointAddress, Health, MeshSettings};

const TLS_MODE: &str = "security.istio.io/tlsMode";
const WORKLOAD_NAME: &str = "service.istio.io/workload-name";
const AUTO_REGISTRATION_GROUP: &str = "istio.io/autoRegistrationGroup";
const HEALTH_CHECKS: &str = "proxy.istio.io/health-checks-enabled";
const TEMPLATE_HASHES: [&str; 2] = ["pod-template-hash", "rollouts-pod-template-hash"];
const DEPLOYMENT_CONFIG: &str = "deploymentconfig";

/// One workload that can stand behind several services.
pub(crate) struct WorkloadInstance {
    /// Everything but port name and number.
    endpoint: Endpoint,
    /// Ports that the workload names itself.
    ports: BTreeMap<String, u32>,
    /// A host name or a socket: of use to DNS services alone.
    pub(crate) dns_only: bool,
}

impl WorkloadInstance {
    /// The labels that selectors look at.
    pub(crate) fn labels(&self) -> &Labels {
        &self.endpoint.labels
    }

    /// Its address is among these.
    pub(crate) fn has_address(&self, addresses: &[IpAddr]) -> bool {
        match &self.endpoint.address {
            EndpointAddress::Ip(ip, _) => ip.parse().is_ok_and(|ip: IpAddr| addresses.contains(&ip)),
            EndpointAddress::Host(..) | EndpointAddress::Pipe(_) | EndpointAddress::Network(_) => false,
        }
    }

    /// The port that it names so.
    pub(crate) fn named_port(&self, name: &str) -> Option<u32> {
        self.ports.get(name).copied().filter(|port| *port != 0)
    }

    /// The endpoint at a port.
    pub(crate) fn at(&self, port_name: &str, service_port: u32, number: u32) -> Endpoint {
        let mut endpoint = self.endpoint.clone();
        port_name.clone_into(&mut endpoint.port_name);
        endpoint.service_port = service_port;
        match &mut endpoint.address {
            EndpointAddress::Ip(_, port)
            | EndpointAddress::Host(_, port)
            | EndpointAddress::Network(port) => *port = number,
            EndpointAddress::Pipe(_) => {}
        }
        endpoint
    }

    /// A WorkloadEntry of a store. None while its health checks have not passed.
    pub(crate) fn of_entry(
        object: &Object<WorkloadEntry>,
        store: &ConfigStore,
        settings: &MeshSettings,
    ) -> Option<Self> {
        let meta = &object.meta;
        let checked = settings.features.workload_entry_health_checks
            && meta.annotation(HEALTH_CHECKS).is_some_and(|v| v.eq_ignore_ascii_case("true"));
        if checked && !is_healthy(object) {
            return None;
        }
        let mut labels: BTreeMap<String, String> =
            object.spec.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        labels.extend(meta.labels.iter().map(|(k, v)| (k.clone(), v.clone())));
        let stated = meta.annotation(AUTO_REGISTRATION_GROUP).or_else(|| meta.label(WORKLOAD_NAME));
        let name = stated.unwrap_or(&meta.name).to_owned();
        let cluster = settings.cluster_of(store);
        Some(Self::stated(&object.spec, Labels::new(labels), name, &meta.namespace, cluster, settings))
    }

    /// The WorkloadEntries of a namespace that a selector chooses; an empty one chooses none.
    pub(crate) fn selected_entries<'s>(
        namespace: &'s str,
        selector: &'s BTreeMap<String, String>,
        store: &'s ConfigStore,
        settings: &'s MeshSettings,
    ) -> impl Iterator<Item = Self> + 's {
        let may_be = |object: &Object<WorkloadEntry>| {
            let own =
                |key: &str| object.meta.label(key).or_else(|| Some(object.spec.labels.get(key)?.as_str()));
            topology::may_select(selector, own)
        };
        let entries = store.workload_entries().in_namespace(namespace);
        entries
            .filter(move |object| may_be(object))
            .filter_map(|object| Self::of_entry(object, store, settings))
            .filter(|instance| instance.labels().selected_by_service(selector))
    }

    /// The Pods of a namespace that serve and that a selector chooses; an empty one chooses none.
    pub(crate) fn selected_pods<'s>(
        namespace: &'s str,
        selector: &'s BTreeMap<String, String>,
        store: &'s ConfigStore,
        settings: &'s MeshSettings,
    ) -> impl Iterator<Item = Self> + 's {
        let pods = store.pods().in_namespace(namespace);
        pods.filter(move |pod| topology::may_select(selector, |key| pod.meta.label(key)))
            .filter_map(|pod| Self::of_pod(pod, store, settings))
            .filter(|instance| instance.labels().selected_by_service(selector))
    }

    /// An endpoint written into a ServiceEntry.
    pub(crate) fn inline(entry: &WorkloadEntry, meta: &Meta, index: usize, settings: &MeshSettings) -> Self {
        let labels = entry.labels.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let name = format!("{}-{index}", meta.name);
        let cluster = &settings.features.cluster_id;
        Self::stated(entry, Labels::new(labels), name, &meta.namespace, cluster, settings)
    }

    fn stated(
        entry: &WorkloadEntry,
        labels: Labels,
        workload_name: String,
        namespace: &Namespace,
        cluster: &str,
        settings: &MeshSettings,
    ) -> Self {
        let address = entry.address.as_str();
        let locality_label = match entry.locality.as_str() {
            "" => topology::stated_locality(&labels),
            stated => stated.to_owned(),
        };
        let locality = Locality::parse(&locality_label);
        // What MeshNetworks says of addresses counts for pods alone.
        let network = entry.network.clone();
        let tls_mode = match labels.value(TLS_MODE) {
            Some(mode) => mode,
            None if entry.service_account.is_empty() => "disabled",
            None => "istio",
        };
        let service_account = match entry.service_account.as_str() {
            "" => String::new(),
            account => SpiffeId::of(settings.trust_domain(), namespace, account).to_string(),
        };
        let address = match address.strip_prefix("unix://") {
            Some(path) => EndpointAddress::Pipe(path.to_owned()),
            None if address.is_empty() => EndpointAddress::Network(0),
            None if address.parse::<IpAddr>().is_ok() => EndpointAddress::Ip(address.to_owned(), 0),
            None => EndpointAddress::Host(address.to_owned(), 0),
        };
        Self {
            dns_only: matches!(address, EndpointAddress::Pipe(_) | EndpointAddress::Host(..)),
            ports: entry.ports.iter().map(|(name, port)| (name.clone(), *port)).collect(),
            endpoint: Endpoint {
                address,
                tls_mode: tls_mode.to_owned(),
                labels: with_topology(&labels, cluster, &locality, "", &network),
                namespace: namespace.clone(),
                service_account,
                network,
                locality,
                locality_label,
                cluster: cluster.to_owned(),
                weight: entry.weight,
                health: Health::Unknown,
                workload_name,
                ..Endpoint::default()
            },
        }
    }

    /// A Pod that serves: it has an address, is ready and not on its way out.
    pub(crate) fn of_pod(
        pod: &Object<k8s::Pod>,
        store: &ConfigStore,
        settings: &MeshSettings,
    ) -> Option<Self> {
        let ip = pod.spec.pod_ips.first()?;
        if !pod.spec.ready || pod.meta.deleting || is_over(pod) {
            return None;
        }
        let mut endpoint = pod_endpoint(pod, ip, store, settings);
        endpoint.address = EndpointAddress::Ip(ip.clone(), 0);
        endpoint.health = Health::Healthy;
        let mut ports = BTreeMap::new();
        for port in pod.spec.containers.iter().flat_map(|container| &container.ports) {
            if !port.name.is_empty() && port.protocol == "TCP" {
                ports.entry(port.name.clone()).or_insert(port.container_port);
            }
        }
        Some(Self { endpoint, ports, dns_only: false })
    }
}

/// Whether a pod has ended; its address may belong to another one by now.
pub(crate) fn is_over(pod: &Object<k8s::Pod>) -> bool {
    matches!(pod.spec.phase, k8s::PodPhase::Succeeded | k8s::PodPhase::Failed)
}

/// An endpoint with everything that comes from its pod; address, port and health are still to be filled in.
pub(crate) fn pod_endpoint(
    pod: &Object<k8s::Pod>,
    address: &str,
    store: &ConfigStore,
    settings: &MeshSettings,
) -> Endpoint {
    let locality_label = topology::pod_locality(pod, store);
    let locality = Locality::parse(&locality_label);
    let network = topology::network(address, &pod.meta.labels, store, settings);
    let cluster = settings.cluster_of(store);
    let account = &pod.spec.service_account_name;
    Endpoint {
        labels: with_topology(&pod.meta.labels, cluster, &locality, &pod.spec.node_name, &network),
        namespace: pod.meta.namespace.clone(),
        service_account: SpiffeId::of(settings.trust_domain(), &pod.meta.namespace, account).to_string(),
        network,
        locality,
        locality_label,
        cluster: cluster.to_owned(),
        tls_mode: pod.meta.label(TLS_MODE).unwrap_or("disabled").to_owned(),
        workload_name: workload_name(pod),
        node_name: pod.spec.node_name.clone(),
        hostname: pod.spec.hostname.clone().unwrap_or_else(|| pod.meta.name.to_string()),
        subdomain: pod.spec.subdomain.clone().unwrap_or_default(),
        ..Endpoint::default()
    }
}

/// Row K10: the label, else what the controller was made from (a Deployment, a Rollout, a DeploymentConfig, a CronJob),
/// else the controller, else the pod's own name. A name that nobody generated is the pod's own.
pub(crate) fn workload_name(pod: &Object<k8s::Pod>) -> String {
    let meta = &pod.meta;
    if let Some(stated) = meta.label(WORKLOAD_NAME) {
        return stated.to_owned();
    }
    let Some(owner) = meta.controller().filter(|_| !meta.generate_name.is_empty()) else {
        return meta.name.to_string();
    };
    let owner_name = owner.name.as_str();
    let label = |key: &str| meta.label(key).filter(|value| !value.is_empty());
    let made_from = match owner.kind.as_str() {
        "ReplicaSet" => TEMPLATE_HASHES
            .iter()
            .find_map(|key| owner_name.strip_suffix(label(key)?))
            .map(|name| name.strip_suffix('-').unwrap_or(name)),
        "ReplicationController" => label(DEPLOYMENT_CONFIG),
        "Job" => owner_name.rsplit_once('-').filter(|(_, time)| is_timestamp(time)).map(|(name, _)| name),
        _ => None,
    };
    made_from.unwrap_or(owner_name).to_owned()
}

/// What CronJobs put behind the names of their Jobs.
fn is_timestamp(text: &str) -> bool {
    (8..=10).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_healthy(object: &Object<WorkloadEntry>) -> bool {
    let conditions =
        object.status.as_ref().and_then(|status| status.get("conditions")).and_then(|list| list.as_array());
    conditions.into_iter().flatten().any(|condition| {
        let is = |key: &str, value: &str| condition.get(key).and_then(|v| v.as_str()) == Some(value);
        is("type", "Healthy") && is("status", "True")
    })
}
