//! Retry policies: HTTPRetry, the mesh's `defaultHttpRetryPolicy`, or the built-in default (spec 3.3 and 3.4 "retries",
//! rows R09, R10).

use proto::envoy;
use proto::envoy::google;
use proto::envoy::route::retry_policy::{RetryBackOff, RetryHostPredicate, RetryPriority};
use proto::envoy::route::retry_policy::{retry_host_predicate, retry_priority};
use proto::{istio, pack};

use super::timeout::duration;

const DEFAULT_RETRY_ON: &str = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes";
const STATUS_CODES: &str = "retriable-status-codes";

/// The policy of a route to somewhere else. `hashed` says that one destination is chosen by consistent hashing, whose
/// retries go to the same host. `None` when retries are switched off.
pub(super) fn policy(
    retries: Option<&istio::networking::HttpRetry>,
    hashed: bool,
) -> Option<envoy::route::RetryPolicy> {
    let mut policy = envoy::route::RetryPolicy {
        retry_on: DEFAULT_RETRY_ON.to_owned(),
        num_retries: Some(google::uint32(2)),
        host_selection_retry_max_attempts: 5,
        retry_host_predicate: if hashed { Vec::new() } else { vec![previous_hosts()] },
        ..Default::default()
    };
    let Some(retries) = retries else { return Some(policy) };
    let attempts = u32::try_from(retries.attempts).ok().filter(|attempts| *attempts > 0)?;
    policy.num_retries = Some(google::uint32(attempts));
    if !retries.retry_on.is_empty() {
        let (conditions, codes) = conditions(&retries.retry_on);
        policy.retry_on = conditions;
        policy.retriable_status_codes = codes;
    }
    policy.per_try_timeout = retries.per_try_timeout.as_ref().map(duration);
    if let Some(ignore) = &retries.retry_ignore_previous_hosts {
        policy.retry_host_predicate = if ignore.value { vec![previous_hosts()] } else { Vec::new() };
    }
    if retries.retry_remote_localities.is_some_and(|remote| remote.value) {
        policy.retry_priority = Some(previous_priorities());
    }
    policy.retry_back_off = retries
        .backoff
        .as_ref()
        .map(|backoff| RetryBackOff { base_interval: Some(duration(backoff)), ..Default::default() });
    Some(policy)
}

/// The policy of inbound routes: only what never reached the application is tried again.
pub(super) fn inbound() -> envoy::route::RetryPolicy {
    envoy::route::RetryPolicy {
        retry_on: "reset-before-request".to_owned(),
        num_retries: Some(google::uint32(2)),
        ..Default::default()
    }
}

/// `retryOn` without its HTTP statuses, and these.
fn conditions(retry_on: &str) -> (String, Vec<u32>) {
    let mut names = Vec::new();
    let mut codes = Vec::new();
    for part in retry_on.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        match part.parse::<u32>().ok().filter(|code| is_http_status(*code)) {
            Some(code) => codes.push(code),
            None => names.push(part),
        }
    }
    let mut names = names.join(",");
    if !codes.is_empty() && !names.contains(STATUS_CODES) {
        // The leading comma of a list of nothing but statuses is istiod's, too.
        names = format!("{names},{STATUS_CODES}");
    }
    (names, codes)
}

/// Statuses that the HTTP registry names.
fn is_http_status(code: u32) -> bool {
    matches!(code,
        100..=103 | 200..=208 | 226 | 300..=305 | 307 | 308 | 400..=418 | 421..=426 | 428 | 429 | 431 | 451
        | 500..=508 | 510 | 511)
}

fn previous_hosts() -> RetryHostPredicate {
    let config = envoy::previous_hosts::PreviousHostsPredicate::default();
    RetryHostPredicate {
        name: "envoy.retry_host_predicates.previous_hosts".to_owned(),
        config_type: Some(retry_host_predicate::ConfigType::TypedConfig(pack::any(&config))),
    }
}

fn previous_priorities() -> RetryPriority {
    let config = envoy::previous_priorities::PreviousPrioritiesConfig { update_frequency: 2 };
    RetryPriority {
        name: "envoy.retry_priorities.previous_priorities".to_owned(),
        config_type: Some(retry_priority::ConfigType::TypedConfig(pack::any(&config))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_no_status_stay_conditions() {
        let (names, codes) = conditions("5xx, 503,,999,gateway-error");
        assert_eq!(names, "5xx,999,gateway-error,retriable-status-codes");
        assert_eq!(codes, [503]);
    }

    #[test]
    fn retriable_status_codes_stand_once() {
        let (names, codes) = conditions("retriable-status-codes,429");
        assert_eq!((names.as_str(), codes.as_slice()), ("retriable-status-codes", &[429][..]));
    }

    #[test]
    fn no_attempts_switch_retries_off() {
        let retries = |attempts| istio::networking::HttpRetry { attempts, ..Default::default() };
        assert_eq!(policy(Some(&retries(0)), false), None);
        assert_eq!(policy(Some(&retries(-1)), false), None);
        assert!(policy(Some(&retries(1)), false).is_some());
    }
}
