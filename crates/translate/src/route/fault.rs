//! `fault`: delays and aborts as the fault filter's per-route configuration (row R21).

use proto::envoy;
use proto::envoy::fault::fault_abort;
use proto::envoy::fault_common::fault_delay;
use proto::istio::networking as api;
use proto::istio::networking::http_fault_injection as istio;
use proto::istio::networking::http_fault_injection::{abort, delay};

use super::percent;
use super::timeout::duration;

/// The name of the filter.
pub(super) const FILTER: &str = "envoy.filters.http.fault";

/// The filter's configuration; faults of unsupported kinds are left out.
pub(super) fn http_fault(fault: &api::HttpFaultInjection) -> envoy::fault::HttpFault {
    envoy::fault::HttpFault {
        delay: fault.delay.as_ref().and_then(fault_delay),
        abort: fault.abort.as_ref().and_then(fault_abort),
        ..Default::default()
    }
}

fn fault_delay(delay: &istio::Delay) -> Option<envoy::fault_common::FaultDelay> {
    let Some(delay::HttpDelayType::FixedDelay(span)) = &delay.http_delay_type else { return None };
    // Envoy refuses a delay of no time.
    if span.as_nanos() <= 0 {
        return None;
    }
    let percentage = match &delay.percentage {
        Some(given) => percent::of(given),
        None => percent::whole(u32::try_from(delay.percent).unwrap_or_default()),
    };
    Some(envoy::fault_common::FaultDelay {
        percentage: Some(percentage),
        fault_delay_secifier: Some(fault_delay::FaultDelaySecifier::FixedDelay(duration(span))),
    })
}

fn fault_abort(abort: &istio::Abort) -> Option<envoy::fault::FaultAbort> {
    let error = match abort.error_type.as_ref()? {
        abort::ErrorType::HttpStatus(status) => {
            // Envoy refuses what is no status.
            let status = u32::try_from(*status).ok().filter(|status| (200..600).contains(status))?;
            fault_abort::ErrorType::HttpStatus(status)
        }
        abort::ErrorType::GrpcStatus(name) => fault_abort::ErrorType::GrpcStatus(grpc_status(name)),
        abort::ErrorType::Http2Error(_) => return None,
    };
    Some(envoy::fault::FaultAbort {
        percentage: abort.percentage.as_ref().map(percent::of),
        error_type: Some(error),
        ..Default::default()
    })
}

/// The code of a gRPC status; 0 for a name that is none.
fn grpc_status(name: &str) -> u32 {
    const NAMES: [&str; 17] = [
        "OK",
        "CANCELLED",
        "UNKNOWN",
        "INVALID_ARGUMENT",
        "DEADLINE_EXCEEDED",
        "NOT_FOUND",
        "ALREADY_EXISTS",
        "PERMISSION_DENIED",
        "RESOURCE_EXHAUSTED",
        "FAILED_PRECONDITION",
        "ABORTED",
        "OUT_OF_RANGE",
        "UNIMPLEMENTED",
        "INTERNAL",
        "UNAVAILABLE",
        "DATA_LOSS",
        "UNAUTHENTICATED",
    ];
    (0u32..).zip(NAMES).find(|(_, known)| *known == name).map_or(0, |(code, _)| code)
}
