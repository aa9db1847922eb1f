//! How many places each address has: nobody may take all places of the door alone. A place is held by
//! a connection while it serves HTTP, and by a socket until it has said who it is.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use ingest::Network;
use parking_lot::Mutex;

/// Addresses with at least one place. A clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    limit: u32,
    /// Looked up only.
    open: Arc<Mutex<HashMap<Network, u32>>>,
}

impl Addresses {
    /// Nobody is here yet; at most so many places an address.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            open: Arc::default(),
        }
    }

    /// Takes a place for one connection; none when its address has as many as it may.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Arc<Place>> {
        let address = Network::of(address);
        let mut open = self.open.lock();
        let count = open.entry(address).or_default();
        if *count >= self.limit {
            // It is not there only for having knocked, should the limit be 0.
            if *count == 0 {
                open.remove(&address);
            }
            return None;
        }
        *count += 1;
        Some(Arc::new(Place {
            address,
            of: self.clone(),
        }))
    }
}

/// A place; given back when the last one who holds it drops it.
#[derive(Debug)]
pub(crate) struct Place {
    address: Network,
    of: Addresses,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock();
        if let Some(count) = open.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_as_many_places_as_it_may_and_gets_them_back() {
        let addresses = Addresses::new(2);
        let (one, other) = (IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2]));
        let first = addresses.enter(one).unwrap();
        let second = addresses.enter(one).unwrap();
        assert!(addresses.enter(one).is_none());
        assert!(
            addresses.enter(other).is_some(),
            "another one is not concerned"
        );
        drop(first);
        assert!(addresses.enter(one).is_some());
        drop(second);
        assert!(
            addresses.open.lock().is_empty(),
            "nobody is remembered who left"
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_their_places() {
        let addresses = Addresses::new(1);
        let enter = |address: &str| addresses.enter(address.parse().unwrap());
        let first = enter("2001:db8:1:2::1").unwrap();
        assert!(enter("2001:db8:1:2:ffff::9").is_none(), "the same /64");
        assert!(enter("2001:db8:1:3::1").is_some(), "another one");
        drop(first);
        let old = enter("::ffff:10.0.0.1").unwrap();
        assert!(enter("10.0.0.1").is_none(), "the same address");
        drop(old);
    }
}
