//! Percentages: Istio's `Percent` counts in millionths, its older whole numbers in hundredths.

use proto::envoy;
use proto::envoy::types::{FractionalPercent, fractional_percent::DenominatorType};
use proto::istio;

/// A percentage with four decimals.
pub(super) fn of(percent: &istio::networking::Percent) -> FractionalPercent {
    // Float to integer casts saturate, so no value can overflow.
    let numerator = (percent.value * 10_000.0) as u32;
    FractionalPercent { numerator, denominator: DenominatorType::Million as i32 }
}

/// A whole percentage.
pub(super) fn whole(percent: u32) -> FractionalPercent {
    FractionalPercent { numerator: percent, denominator: DenominatorType::Hundred as i32 }
}

/// As a fraction that the runtime may override; no key is given, so it stays.
pub(super) fn runtime(percent: FractionalPercent) -> envoy::core::RuntimeFractionalPercent {
    envoy::core::RuntimeFractionalPercent { default_value: Some(percent), ..Default::default() }
}
