//! A span of time: text as Go's `time.ParseDuration` takes it, so a sign, then numbers with units down to `ns`. It is
//! written the way protobuf does, as seconds.

use core::fmt;
use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const SECOND: i64 = 1_000_000_000;

/// A span of time with a sign.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Whole seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// The rest, of the same sign.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

impl Duration {
    /// A span of whole seconds.
    pub const fn from_seconds(seconds: i64) -> Self {
        Self { seconds, nanos: 0 }
    }

    /// A span of nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { seconds: nanos / SECOND, nanos: (nanos % SECOND) as i32 }
    }

    /// The span in nanoseconds, at the bounds if it is longer than about 292 years.
    pub const fn as_nanos(self) -> i64 {
        self.seconds.saturating_mul(SECOND).saturating_add(self.nanos as i64)
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.seconds == 0 && self.nanos == 0
    }

    /// Reads Go's text form; `None` for what Go refuses.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, mut rest) = match text.as_bytes().first()? {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Some(Self::default());
        }
        if rest.is_empty() {
            return None;
        }
        let mut total: u64 = 0;
        while !rest.is_empty() {
            let (whole, after) = digits(rest);
            let (fraction, after) = after.strip_prefix('.').map_or(("", after), digits);
            if whole.is_empty() && fraction.is_empty() {
                return None;
            }
            let end = after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len());
            let (unit, next) = after.split_at(end);
            total = total.checked_add(nanos_of(whole, fraction, unit_of(unit)?)?)?;
            rest = next;
        }
        // The most negative span has no positive counterpart.
        let signed = if negative { -i128::from(total) } else { i128::from(total) };
        i64::try_from(signed).ok().map(Self::from_nanos)
    }
}

/// Splits off leading digits.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Nanoseconds in a unit.
fn unit_of(name: &str) -> Option<u64> {
    Some(match name {
        "ns" => 1,
        // The micro sign, and the Greek letter that looks like it.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => SECOND as u64,
        "m" => 60 * SECOND as u64,
        "h" => 3600 * SECOND as u64,
        _ => return None,
    })
}

/// A decimal number of units in nanoseconds; what is smaller than one is cut off.
fn nanos_of(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok()? };
    // Eighteen digits are finer than the largest unit needs.
    let fraction = &fraction[..fraction.len().min(18)];
    let (part, scale) =
        fraction.bytes().fold((0_u128, 1_u128), |(n, s), d| (n * 10 + u128::from(d - b'0'), s * 10));
    let part = u64::try_from(part * u128::from(unit) / scale).ok()?;
    whole.checked_mul(unit)?.checked_add(part)
}

impl fmt::Display for Duration {
    /// Seconds with as many triples of decimals as needed: `1.500s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.seconds < 0 || self.nanos < 0 { "-" } else { "" };
        let (seconds, nanos) = (self.seconds.unsigned_abs(), self.nanos.unsigned_abs());
        match nanos {
            0 => write!(f, "{sign}{seconds}s"),
            n if n % 1_000_000 == 0 => write!(f, "{sign}{seconds}.{:03}s", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, "{sign}{seconds}.{:06}s", n / 1_000),
            n => write!(f, "{sign}{seconds}.{n:09}s"),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Duration;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration such as \"1m30s\"")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                Duration::parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

impl From<Duration> for crate::envoy::google::Duration {
    fn from(duration: Duration) -> Self {
        // Envoy refuses what it cannot count in nanoseconds; nobody waits 292 years.
        let seconds = duration.seconds.min(9_223_372_035);
        Self { seconds, nanos: if seconds == duration.seconds { duration.nanos } else { 0 } }
    }
}
