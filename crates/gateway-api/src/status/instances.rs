//! Where a Gateway can be reached, as far as its Services and the endpoints behind them show. Every instance counts,
//! whether it is ready or not: this is what users meant, not what is up at the moment.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of a Service in front of a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceInstances {
    /// Its ports, each with the ports of the endpoints behind it.
    pub ports: BTreeMap<u32, BTreeSet<u32>>,
    /// Its addresses in the cluster.
    pub addresses: Vec<String>,
    /// Its addresses outside.
    pub external: Vec<String>,
    /// Whether a load balancer is to give it some.
    pub is_load_balancer: bool,
    /// Whether the control plane made it.
    pub is_managed: bool,
}

/// Answers where Services lead.
pub trait Instances {
    /// The Service of that host in that namespace.
    fn service(&self, host: &str, namespace: &str) -> Option<ServiceInstances>;

    /// The namespaces that declare that host, sorted.
    fn namespaces(&self, host: &str) -> Vec<String>;
}

/// What was found for a Gateway.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// `host:port`.
    pub(super) internal: BTreeSet<String>,
    pub(super) internal_ips: BTreeSet<String>,
    pub(super) external: BTreeSet<String>,
    /// Hosts that wait for an address.
    pub(super) pending: BTreeSet<String>,
    pub(super) warnings: Vec<String>,
    /// Whether some port or host can never work as written.
    pub(super) is_unusable: bool,
}

/// Looks for the instances behind Services at some ports.
pub(super) fn find(instances: &dyn Instances, namespace: &str, hosts: &[String], ports: &[u32]) -> Found {
    let mut found = Found::default();
    let ports: BTreeSet<u32> = ports.iter().copied().collect();
    for host in hosts {
        let Some(service) = instances.service(host, namespace) else {
            let others: Vec<String> =
                instances.namespaces(host).into_iter().map(|name| format!("\"{name}\"")).collect();
            found.warnings.push(if others.is_empty() {
                format!("hostname \"{host}\" not found")
            } else {
                format!(
                    "hostname \"{host}\" not found in namespace \"{namespace}\", but it was found in namespace(s) {}",
                    others.join(", ")
                )
            });
            found.is_unusable = true;
            continue;
        };
        for port in &ports {
            at_port(&mut found, &service, host, *port);
        }
    }
    found.warnings.sort();
    found
}

fn at_port(found: &mut Found, service: &ServiceInstances, host: &str, port: u32) {
    if service.ports.get(&port).is_some_and(|endpoints| !endpoints.is_empty()) {
        found.internal.insert(format!("{host}:{port}"));
        found.internal_ips.extend(service.addresses.iter().cloned());
        found.external.extend(service.external.iter().cloned());
        if service.external.is_empty() && service.is_load_balancer && found.pending.insert(host.to_owned()) {
            found.warnings.push(format!("address pending for hostname \"{host}\""));
        }
        return;
    }
    if service.ports.values().all(BTreeSet::is_empty) {
        found.warnings.push(format!("no instances found for hostname \"{host}\""));
        return;
    }
    let meant: Vec<String> = service
        .ports
        .iter()
        .filter(|(_, endpoints)| endpoints.contains(&port))
        .map(|(of_service, _)| of_service.to_string())
        .collect();
    if !meant.is_empty() {
        found.warnings.push(format!(
            "port {port} not found for hostname \"{host}\" (hint: the service port should be specified, not the \
             workload port. Did you mean one of these ports: [{}]?)",
            meant.join(" ")
        ));
        found.is_unusable = true;
        // A Service that the control plane made has every port; its endpoints are on their way.
    } else if !service.is_managed || !service.ports.contains_key(&port) {
        found.warnings.push(format!("port {port} not found for hostname \"{host}\""));
        found.is_unusable = true;
    }
}
