//! What counts as one address wherever something is limited by address.

use std::net::IpAddr;

/// An IPv4 address, or the /64 of an IPv6 one, which is what one customer is given: whoever has a
/// /64 has 2^64 addresses to come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Network([u8; 8]);

impl Network {
    /// The one that an address is counted as. IPv4 written as IPv6 is IPv4.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                // 0000::/64 is no customer's, so the two families do not meet.
                Self([0, 0, 0, 0, a, b, c, d])
            }
            IpAddr::V6(v6) => {
                let [a, b, c, d, e, f, g, h, ..] = v6.octets();
                Self([a, b, c, d, e, f, g, h])
            }
        }
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
