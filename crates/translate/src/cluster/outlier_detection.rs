//! `outlierDetection` (spec 1.5, row C18). Success rates never eject; a count of zero switches its kind off; the
//! panic threshold is zero unless stated, since few endpoints per service would panic too soon.

use istio::networking::OutlierDetection;
use proto::envoy::google;
use proto::{envoy, istio};

/// Applies the settings. `sends_unhealthy` says that the load assignment lists unhealthy endpoints, which panic
/// would choose.
pub(super) fn apply(
    cluster: &mut envoy::cluster::Cluster,
    settings: Option<&OutlierDetection>,
    sends_unhealthy: bool,
) {
    let Some(settings) = settings else { return };
    let enforced = |count: u32| google::uint32(if count > 0 { 100 } else { 0 });
    let mut detection = envoy::cluster::OutlierDetection {
        enforcing_success_rate: Some(google::uint32(0)),
        interval: settings.interval.map(Into::into),
        base_ejection_time: settings.base_ejection_time.map(Into::into),
        max_ejection_percent: u32::try_from(settings.max_ejection_percent)
            .ok()
            .filter(|percent| *percent > 0)
            .map(google::uint32),
        ..Default::default()
    };
    if let Some(errors) = &settings.consecutive_5xx_errors {
        detection.consecutive_5xx = Some(google::uint32(errors.value));
        detection.enforcing_consecutive_5xx = Some(enforced(errors.value));
    }
    if let Some(errors) = &settings.consecutive_gateway_errors {
        detection.consecutive_gateway_failure = Some(google::uint32(errors.value));
        detection.enforcing_consecutive_gateway_failure = Some(enforced(errors.value));
    }
    if settings.split_external_local_origin_errors {
        detection.split_external_local_origin_errors = true;
        detection.enforcing_local_origin_success_rate = Some(google::uint32(0));
        let failures = settings.consecutive_local_origin_failures.as_ref().map_or(0, |count| count.value);
        if failures > 0 {
            detection.consecutive_local_origin_failure = Some(google::uint32(failures));
            detection.enforcing_consecutive_local_origin_failure = Some(google::uint32(100));
        }
    }
    cluster.outlier_detection = Some(detection);
    if settings.min_health_percent >= 0 {
        let percent = if sends_unhealthy { 0 } else { settings.min_health_percent };
        cluster.common_lb_config.get_or_insert_default().healthy_panic_threshold =
            Some(envoy::types::Percent { value: f64::from(percent) });
    }
}
