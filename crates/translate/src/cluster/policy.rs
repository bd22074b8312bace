//! Which settings of a DestinationRule hold for one port of one subset (spec 1.4, rows C06, C07). A port's entry
//! replaces the whole policy and knows four settings only; a subset's policy replaces setting by setting.

use proto::istio::networking::{
    ClientTlsSettings, ConnectionPoolSettings, LoadBalancerSettings, OutlierDetection, TrafficPolicy,
    traffic_policy::{ProxyProtocol, RetryBudget, TunnelSettings},
};

/// The settings that hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct EffectivePolicy<'a> {
    /// Connections and requests at a time.
    pub connection_pool: Option<&'a ConnectionPoolSettings>,
    /// When an endpoint is left out.
    pub outlier_detection: Option<&'a OutlierDetection>,
    /// How an endpoint is chosen.
    pub load_balancer: Option<&'a LoadBalancerSettings>,
    /// TLS towards the server.
    pub tls: Option<&'a ClientTlsSettings>,
    /// Tunnelling over CONNECT or POST.
    pub tunnel: Option<&'a TunnelSettings>,
    /// PROXY header towards the server.
    pub proxy_protocol: Option<&'a ProxyProtocol>,
    /// Retries at a time.
    pub retry_budget: Option<&'a RetryBudget>,
}

impl<'a> EffectivePolicy<'a> {
    /// The settings of `policy` for a service port, and whether an entry for that port replaced it.
    pub fn of_port(policy: Option<&'a TrafficPolicy>, port: u32) -> (Self, bool) {
        let Some(policy) = policy else { return (Self::default(), false) };
        let entry = policy
            .port_level_settings
            .iter()
            .find(|entry| entry.port.as_ref().is_some_and(|selector| selector.number == port));
        if let Some(entry) = entry {
            let settings = Self {
                connection_pool: entry.connection_pool.as_ref(),
                outlier_detection: entry.outlier_detection.as_ref(),
                load_balancer: entry.load_balancer.as_ref(),
                tls: entry.tls.as_ref(),
                ..Self::default()
            };
            return (settings, true);
        }
        let settings = Self {
            connection_pool: policy.connection_pool.as_ref(),
            outlier_detection: policy.outlier_detection.as_ref(),
            load_balancer: policy.load_balancer.as_ref(),
            tls: policy.tls.as_ref(),
            tunnel: policy.tunnel.as_ref(),
            proxy_protocol: policy.proxy_protocol.as_ref(),
            retry_budget: policy.retry_budget.as_ref(),
        };
        (settings, false)
    }

    /// The settings for a port of a subset: those of the rule, overlaid with those of the subset.
    pub fn of_subset(rule: Option<&'a TrafficPolicy>, subset: Option<&'a TrafficPolicy>, port: u32) -> Self {
        let (below, _) = Self::of_port(rule, port);
        if subset.is_none() {
            return below;
        }
        let (above, replaces) = Self::of_port(subset, port);
        let below_four = if replaces { Self::default() } else { below };
        Self {
            connection_pool: above.connection_pool.or(below_four.connection_pool),
            outlier_detection: above.outlier_detection.or(below_four.outlier_detection),
            load_balancer: above.load_balancer.or(below_four.load_balancer),
            tls: above.tls.or(below_four.tls),
            tunnel: above.tunnel.or(below.tunnel),
            proxy_protocol: above.proxy_protocol.or(below.proxy_protocol),
            retry_budget: above.retry_budget.or(below.retry_budget),
        }
    }
}

#[cfg(test)]
mod tests {
    use proto::istio::networking::{
        ClientTlsSettings, ConnectionPoolSettings, OutlierDetection, PortSelector, TrafficPolicy,
        traffic_policy::{PortTrafficPolicy, RetryBudget},
    };

    use super::EffectivePolicy;

    fn rule() -> TrafficPolicy {
        TrafficPolicy {
            connection_pool: Some(ConnectionPoolSettings::default()),
            outlier_detection: Some(OutlierDetection::default()),
            retry_budget: Some(RetryBudget::default()),
            ..Default::default()
        }
    }

    fn for_port(number: u32) -> PortTrafficPolicy {
        let tls = Some(ClientTlsSettings::default());
        PortTrafficPolicy { port: Some(PortSelector { number }), tls, ..Default::default() }
    }

    #[test]
    fn an_entry_for_the_port_inherits_nothing() {
        let policy = TrafficPolicy { port_level_settings: vec![for_port(80)], ..rule() };
        let (of_80, _) = EffectivePolicy::of_port(Some(&policy), 80);
        assert!(of_80.tls.is_some() && of_80.connection_pool.is_none() && of_80.retry_budget.is_none());
        let (of_81, _) = EffectivePolicy::of_port(Some(&policy), 81);
        assert!(of_81.tls.is_none() && of_81.connection_pool.is_some());
    }

    #[test]
    fn a_subset_replaces_what_it_states() {
        let subset = TrafficPolicy { tls: Some(ClientTlsSettings::default()), ..Default::default() };
        let rule = rule();
        let policy = EffectivePolicy::of_subset(Some(&rule), Some(&subset), 80);
        assert!(policy.tls.is_some() && policy.connection_pool.is_some() && policy.retry_budget.is_some());
    }

    #[test]
    fn a_port_of_a_subset_replaces_the_four_settings_of_ports() {
        let subset = TrafficPolicy { port_level_settings: vec![for_port(80)], ..Default::default() };
        let rule = rule();
        let policy = EffectivePolicy::of_subset(Some(&rule), Some(&subset), 80);
        assert!(policy.tls.is_some() && policy.connection_pool.is_none() && policy.retry_budget.is_some());
    }
}
