//! From the answers to the cluster: type, then connection pool, outliers, load balancing, TLS, metadata (spec 1.2, 1.5 to
//! 1.7; rows C01, C02, C24, C26, C27).

use envoy::cluster::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use istio::networking::TrafficPolicy;
use mesh::Resolution;
use model::Protocol;
use proto::constraints::Violation;
use proto::envoy::google;
use proto::{envoy, istio};
use scope::Dialect;

use super::{OutboundClusterInput, Purpose, is_dynamic, passes_through, sni_name};
use crate::cluster::http_protocol::ProtocolOptions;
use crate::cluster::policy::EffectivePolicy;
use crate::cluster::stat_name::{self, Subject};
use crate::cluster::transport::{self, Transport};
use crate::cluster::{
    base, connection_pool, discovery_type, dns, dynamic_forward_proxy, load_balancer, mend, metadata,
    outlier_detection, port_override, soundness, upstream_protocol,
};
use crate::endpoint::LocalitiesInput;
use crate::{Input, Reference, Rendered, declared_by};

impl OutboundClusterInput {
    pub(super) fn name(&self) -> String {
        self.purpose.name(self.port.number, self.subset_name(), &self.service.host)
    }

    fn subset_name(&self) -> &str {
        self.subset.as_deref().unwrap_or_default()
    }

    fn subset_policy(&self) -> Option<&TrafficPolicy> {
        let subset = self.subset.as_deref()?;
        self.rule.as_ref()?.spec.subsets.iter().find(|s| s.name == subset)?.traffic_policy.as_ref()
    }

    fn discovery_type(&self) -> DiscoveryType {
        if passes_through(self.subset_policy()) {
            return DiscoveryType::OriginalDst;
        }
        let service = &self.service;
        match service.resolution {
            Resolution::Dns if dns::races(service) => DiscoveryType::LogicalDns,
            Resolution::Dns => DiscoveryType::StrictDns,
            Resolution::DnsRoundRobin => DiscoveryType::LogicalDns,
            Resolution::Passthrough
                if self.client.router
                    || (service.is_kubernetes() && self.settings.features.eds_for_headless) =>
            {
                DiscoveryType::Eds
            }
            Resolution::Passthrough => DiscoveryType::OriginalDst,
            Resolution::ClientSideLb | Resolution::DynamicDns | Resolution::Alias => DiscoveryType::Eds,
        }
    }

    /// The cluster before any policy.
    fn bare(&self) -> (envoy::cluster::Cluster, ProtocolOptions) {
        let mut cluster = base(&self.name());
        let mut protocol = ProtocolOptions::default();
        upstream_protocol(&mut protocol, &self.client, self.port.protocol);
        if is_dynamic(&self.service) {
            cluster.common_lb_config = None;
            dynamic_forward_proxy::make(&mut cluster, &self.service);
            return (cluster, protocol);
        }
        let kind = self.discovery_type();
        cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(kind as i32));
        match kind {
            DiscoveryType::StrictDns | DiscoveryType::LogicalDns => {
                dns::apply(&mut cluster, self.client.families, &self.settings, &self.service);
                cluster.load_assignment = Some(envoy::endpoint::ClusterLoadAssignment {
                    cluster_name: cluster.name.clone(),
                    endpoints: self.endpoints.as_ref().map(LocalitiesInput::render).unwrap_or_default(),
                    ..Default::default()
                });
            }
            DiscoveryType::OriginalDst => cluster.lb_config = port_override(&self.service, self.port.number),
            DiscoveryType::Static | DiscoveryType::Eds => {}
        }
        if self.settings.features.telemetry_label {
            metadata::set_services(&mut cluster, [&*self.service]);
        }
        let pattern = &self.settings.config.outbound_cluster_stat_name;
        if !pattern.is_empty() {
            let subject = Subject {
                service: &self.service,
                port: self.port.number,
                port_name: &self.port.name,
                target_port: 0,
                subset: self.subset_name(),
            };
            cluster.alt_stat_name = stat_name::filled(pattern, &subject);
        }
        (cluster, protocol)
    }
}

impl Input for OutboundClusterInput {
    type Output = envoy::cluster::Cluster;
    const TAG: &'static str = "OutboundClusterInput";

    fn render(&self) -> Rendered<Self::Output> {
        let (mut cluster, mut protocol) = self.bare();
        let mut references = Vec::new();
        let rule_policy = self.rule.as_ref().and_then(|rule| rule.spec.traffic_policy.as_ref());
        let policy = EffectivePolicy::of_subset(rule_policy, self.subset_policy(), self.port.number);
        if self.subset.is_none()
            && self.purpose == Purpose::Calls
            && self.service.has_persistent_session(&self.settings.features)
        {
            keep_draining(&mut cluster);
        }
        if connection_pool::upgrades_to_http2(
            &self.settings,
            self.port.protocol.is_http(),
            policy.connection_pool,
        ) {
            protocol.choose_http2();
        }
        connection_pool::apply(
            &mut cluster,
            &mut protocol,
            &self.settings,
            policy.connection_pool,
            policy.retry_budget,
        );
        let sends_unhealthy = self.service.sends_unhealthy_endpoints(&self.settings.features);
        outlier_detection::apply(&mut cluster, policy.outlier_detection, sends_unhealthy);
        let redis = self.port.protocol == Protocol::Redis;
        load_balancer::apply(
            &mut cluster,
            &self.settings,
            &self.service,
            policy.load_balancer,
            redis,
            sends_unhealthy,
        );
        if self.purpose == Purpose::Calls {
            let sni = if is_dynamic(&self.service) {
                String::new()
            } else {
                sni_name(self.port.number, self.subset_name(), &self.service.host)
            };
            let transport = Transport {
                client: &self.client,
                settings: &self.settings,
                service: &self.service,
                mode: self.mode,
                names: &self.names,
                sni: &sni,
                selective_rule: self.rule.as_ref().is_some_and(|rule| rule.spec.workload_selector.is_some()),
                http_port: self.port.protocol.is_http(),
            };
            transport.apply(&mut cluster, &mut protocol, policy.tls, &mut references);
            transport::wrap_in_proxy_protocol(&mut cluster, policy.proxy_protocol);
        }
        match discovery_type(&cluster) {
            Some(DiscoveryType::OriginalDst) => cluster.set_lb_policy(LbPolicy::ClusterProvided),
            Some(DiscoveryType::Eds) => {
                references.push(Reference::Endpoints(cluster.name.clone()));
                cluster.eds_cluster_config = Some(eds(&cluster.name));
            }
            _ => {}
        }
        if self.client.dialect == Dialect::Istio && self.settings.features.metadata_exchange {
            cluster.filters.push(metadata::exchange_filter());
        }
        if self.subset.is_none() && self.purpose == Purpose::Calls && self.tunnelled {
            metadata::set(&mut cluster, "disable_mx", google::bool_value(true));
        } else if self.subset.is_none() && self.service.external {
            metadata::set(&mut cluster, "external", google::bool_value(true));
        }
        if let Some(rule) = &self.rule {
            metadata::set_rule(&mut cluster, rule);
            if let Some(subset) = &self.subset {
                metadata::set(&mut cluster, "subset", google::string_value(subset.as_str()));
            }
            use istio::networking::client_tls_settings::TlSmode;
            if policy.tls.is_some_and(|tls| matches!(tls.mode(), TlSmode::Simple | TlSmode::Mutual)) {
                metadata::set(&mut cluster, "alpn_override", google::string_value("false"));
            }
        }
        protocol.finish(&mut cluster);
        if is_dynamic(&self.service) {
            dynamic_forward_proxy::settle(&mut cluster);
        }
        Rendered { message: cluster, references, issues: Vec::new() }
    }

    fn mend(&self, message: &mut Self::Output, broken: &Violation) -> bool {
        mend::mend(message, broken)
    }

    fn refusal(&self, message: &Self::Output) -> Option<Violation> {
        soundness::refusal(message)
    }

    fn owner(&self, _message: &Self::Output, broken: &Violation) -> Option<(String, String)> {
        let Some(rule) = self.rule.as_ref().filter(|_| !broken.path.starts_with("load_assignment")) else {
            return Some((declared_by(&self.service), "spec".to_owned()));
        };
        Some((format!("DestinationRule {}/{}", rule.namespace, rule.name), "spec".to_owned()))
    }
}

fn eds(name: &str) -> envoy::cluster::cluster::EdsClusterConfig {
    envoy::cluster::cluster::EdsClusterConfig {
        service_name: name.to_owned(),
        eds_config: Some(envoy::core::ConfigSource {
            initial_fetch_timeout: Some(google::seconds(0)),
            resource_api_version: envoy::core::ApiVersion::V3 as i32,
            config_source_specifier: Some(envoy::core::config_source::ConfigSourceSpecifier::Ads(
                envoy::core::AggregatedConfigSource {},
            )),
            ..Default::default()
        }),
    }
}

/// Endpoints that drain stay reachable for the sessions they hold.
fn keep_draining(cluster: &mut envoy::cluster::Cluster) {
    use envoy::core::HealthStatus;
    let statuses =
        [HealthStatus::Healthy, HealthStatus::Draining, HealthStatus::Unknown, HealthStatus::Degraded];
    cluster.common_lb_config.get_or_insert_default().override_host_status =
        Some(envoy::core::HealthStatusSet { statuses: statuses.map(|status| status as i32).into() });
}
