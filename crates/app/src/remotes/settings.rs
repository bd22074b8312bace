//! What is said about remote clusters, by flags and by variables with the names that istiod gives them.

use std::collections::BTreeSet;
use std::time::Duration;

use config::Kind;

use crate::features::{Source, parse_flag};

/// Where Secrets are, and what kubeconfigs may do.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// `--clusterRegistriesNamespace`: the namespace of the Secrets.
    pub(crate) namespace: String,
    /// `--clusterID`: of that cluster no Secret tells anything new.
    pub(crate) own_cluster: String,
    /// `PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS`: what kubeconfigs may do besides.
    pub(crate) allowed: BTreeSet<String>,
    /// `PILOT_REMOTE_CLUSTER_TIMEOUT`: how long a cluster is waited for; zero is for ever.
    pub(crate) timeout: Duration,
    /// The kinds that are read: workloads and their services, and with `PILOT_ENABLE_CROSS_CLUSTER_WORKLOAD_ENTRY`
    /// those that WorkloadEntries stand for.
    pub(crate) kinds: Vec<Kind>,
}

impl Settings {
    /// Reads the variables. Returns what could not be read, too.
    pub(crate) fn read(
        variable: &dyn Fn(&str) -> Option<String>,
        namespace: &str,
        own_cluster: &str,
    ) -> (Self, Vec<String>) {
        let mut source = Source { variable, problems: Vec::new() };
        let mut timeout = Duration::from_secs(30);
        source.duration("PILOT_REMOTE_CLUSTER_TIMEOUT", &mut timeout);
        let mut allowed = String::new();
        source.text("PILOT_INSECURE_MULTICLUSTER_KUBECONFIG_OPTIONS", &mut allowed);
        let mut problems = source.problems;
        let entries = parse_flag(variable, "PILOT_ENABLE_CROSS_CLUSTER_WORKLOAD_ENTRY", true, &mut problems);
        let mut kinds = vec![Kind::Service, Kind::EndpointSlice, Kind::Pod, Kind::Node, Kind::Namespace];
        kinds.extend(entries.then_some(Kind::WorkloadEntry));
        let settings = Self {
            namespace: namespace.to_owned(),
            own_cluster: own_cluster.to_owned(),
            allowed: allowed.split(',').filter(|option| !option.is_empty()).map(str::to_owned).collect(),
            timeout,
            kinds,
        };
        (settings, problems)
    }

    /// How messages name a key of a Secret.
    pub(crate) fn place(&self, secret: &str, key: &str) -> String {
        format!("Secret {}/{secret}: the key {key}", self.namespace)
    }
}
