//! What users should know of their configuration: issues, which are told once, and counts by the names of istiod's
//! push status (platform specification, section 3). A count is of different things: hosts, clusters, listeners.

use std::collections::BTreeSet;

use crate::Issue;

/// A gauge of istiod's push status: its name, and what it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gauge {
    /// As dashboards and alerts read it.
    pub name: &'static str,
    /// For people.
    pub help: &'static str,
}

/// Sidecars without a service.
pub const NO_IP: Gauge =
    Gauge { name: "pilot_no_ip", help: "Pods not found in the endpoint table, possibly invalid." };
/// Endpoints that say they are not ready.
pub const ENDPOINT_NOT_READY: Gauge =
    Gauge { name: "pilot_endpoint_not_ready", help: "Endpoint found in unready state." };
/// Clusters of known services, by name, whose load assignment is empty.
pub const NO_INSTANCES: Gauge =
    Gauge { name: "pilot_eds_no_instances", help: "Number of clusters without instances." };
/// Clusters, by name, that would resolve nothing and are left out.
pub const DNS_WITHOUT_ENDPOINTS: Gauge = Gauge {
    name: "pilot_dns_cluster_without_endpoints",
    help: "DNS clusters without endpoints: none is declared, or a subset selects none.",
};
/// Clusters of a name that another one has.
pub const DUPLICATE_CLUSTERS: Gauge = Gauge {
    name: "pilot_duplicate_envoy_clusters",
    help: "Duplicate envoy clusters caused by service entries with same hostname",
};
/// Virtual hosts, by name, that do not get all their domains.
pub const DUPLICATE_DOMAINS: Gauge =
    Gauge { name: "pilot_vservice_dup_domain", help: "Virtual services with dup domains." };
/// Hosts whose DestinationRules declare a subset twice.
pub const DUPLICATE_SUBSETS: Gauge = Gauge {
    name: "pilot_destrule_subsets",
    help: "Duplicate subsets across destination rules for same host",
};
/// Ports of workloads that services of different protocols share.
pub const CONFLICTING_INBOUND: Gauge =
    Gauge { name: "pilot_conflict_inbound_listener", help: "Number of conflicting inbound listeners." };
/// Outbound listeners where connections of one service cannot be told from those of another.
pub const CONFLICTING_OUTBOUND: Gauge = Gauge {
    name: "pilot_conflict_outbound_listener_tcp_over_current_tcp",
    help: "Number of conflicting tcp listeners with current tcp listener.",
};

/// All of them.
pub const GAUGES: &[Gauge] = &[
    NO_IP,
    ENDPOINT_NOT_READY,
    NO_INSTANCES,
    DNS_WITHOUT_ENDPOINTS,
    DUPLICATE_CLUSTERS,
    DUPLICATE_DOMAINS,
    DUPLICATE_SUBSETS,
    CONFLICTING_INBOUND,
    CONFLICTING_OUTBOUND,
];

/// What came up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// What is told to users.
    pub issues: BTreeSet<Issue>,
    /// What is counted, and for what.
    pub counted: BTreeSet<(Gauge, String)>,
}

impl Findings {
    /// Tells the owner of an object, given as `Kind namespace/name`, of a field.
    pub fn tell(&mut self, object: String, path: impl Into<String>, message: impl Into<String>) {
        self.issues.insert(Issue { object, path: path.into(), message: message.into() });
    }

    /// Takes in what came up elsewhere.
    pub fn add(&mut self, other: &Self) {
        self.issues.extend(other.issues.iter().cloned());
        self.counted.extend(other.counted.iter().cloned());
    }

    /// Counts something.
    pub fn count(&mut self, gauge: Gauge, what: impl Into<String>) {
        self.counted.insert((gauge, what.into()));
    }
}
