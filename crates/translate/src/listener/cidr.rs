//! Address ranges of filter chain matches: an address alone is a range of one.

use std::net::IpAddr;

use proto::envoy;
use proto::envoy::google;

/// An address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cidr {
    address: IpAddr,
    bits: u8,
}

impl Cidr {
    /// Reads `10.0.0.0/8` or `10.0.0.1`; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse::<IpAddr>().ok()?, bits.parse::<u8>().ok()?),
            None => {
                let address = text.parse::<IpAddr>().ok()?;
                (address, width(address))
            }
        };
        (bits <= width(address)).then_some(Self { address, bits })
    }

    /// Whether the address is the unspecified one of IPv4, which matches do not name.
    pub fn is_unspecified_v4(self) -> bool {
        self.address.is_ipv4() && self.address.is_unspecified()
    }

    /// The same range with the bits that do not count cleared, so that equal ranges compare equal.
    #[must_use]
    pub fn masked(self) -> Self {
        let address = match self.address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V4((u32::from(v4) & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.bits)).unwrap_or(0);
                IpAddr::V6((u128::from(v6) & mask).into())
            }
        };
        Self { address, bits: self.bits }
    }

    /// As Envoy takes it.
    pub fn range(self) -> envoy::core::CidrRange {
        envoy::core::CidrRange {
            address_prefix: self.address.to_string(),
            prefix_len: Some(google::uint32(u32::from(self.bits))),
        }
    }
}

fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use super::Cidr;

    fn masked(text: &str) -> Option<Cidr> {
        Cidr::parse(text).map(Cidr::masked)
    }

    #[test]
    fn ranges_that_cover_the_same_addresses_are_equal_once_masked() {
        assert_eq!(masked("10.1.2.3/8"), masked("10.9.9.9/8"));
        assert_ne!(masked("10.1.2.3/8"), masked("10.1.2.3/16"));
        assert_eq!(masked("2001:db8::1/32"), masked("2001:db8:ffff::/32"));
        assert_eq!(masked("1.2.3.4/0"), masked("0.0.0.0/0"));
        assert_eq!(masked("::1/0"), masked("::/0"));
    }

    #[test]
    fn an_address_is_a_range_of_one() {
        assert_eq!(Cidr::parse("10.0.0.1"), Cidr::parse("10.0.0.1/32"));
        assert_eq!(Cidr::parse("fd00::1"), Cidr::parse("fd00::1/128"));
    }

    #[test]
    fn what_is_no_range_is_none() {
        for text in ["", "*", "example.com", "10.0.0.0/33", "fd00::/129", "10.0.0.0/-1", "10.0.0.0/8/8"] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
    }
}
