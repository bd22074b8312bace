//! `mirror` and `mirrors`: request mirror policies; an explicit share of nothing mirrors nothing (row R20).

use proto::envoy;
use proto::envoy::google;
use proto::envoy::route::route_action::RequestMirrorPolicy;
use proto::envoy::types::FractionalPercent;
use proto::istio::networking as api;

use super::percent;

/// The destinations that a route mirrors to, in order, each with its share.
pub(super) fn destinations(route: &api::HttpRoute) -> Vec<(&api::Destination, FractionalPercent)> {
    let single = route.mirror.as_ref().and_then(|destination| {
        let share = match (&route.mirror_percentage, &route.mirror_percent) {
            (Some(given), _) => Some(percent::of(given)).filter(|_| given.value > 0.0),
            (None, Some(given)) => Some(percent::whole(given.value)).filter(|_| given.value > 0),
            (None, None) => Some(percent::whole(100)),
        };
        Some((destination, share?))
    });
    let several = route.mirrors.iter().filter_map(|mirror| {
        let share = match &mirror.percentage {
            Some(given) => Some(percent::of(given)).filter(|_| given.value > 0.0),
            None => Some(percent::whole(100)),
        };
        Some((mirror.destination.as_ref()?, share?))
    });
    single.into_iter().chain(several).collect()
}

/// The policy that sends a share of the requests to a cluster as well.
pub(super) fn policy(cluster: &str, share: FractionalPercent, plain_host: bool) -> RequestMirrorPolicy {
    RequestMirrorPolicy {
        cluster: cluster.to_owned(),
        runtime_fraction: Some(envoy::core::RuntimeFractionalPercent {
            default_value: Some(share),
            ..Default::default()
        }),
        trace_sampled: Some(google::boolean(false)),
        disable_shadow_host_suffix_append: plain_host,
        ..Default::default()
    }
}
