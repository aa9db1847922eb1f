//! How many connections each address has: nobody may take all places of the door alone.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use parking_lot::Mutex;

/// Addresses with at least one connection. A clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct Addresses {
    limit: u32,
    /// Looked up only.
    open: Arc<Mutex<HashMap<IpAddr, u32>>>,
}

impl Addresses {
    /// Nobody is here yet; at most so many connections an address.
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            limit,
            open: Arc::default(),
        }
    }

    /// Takes a place for one connection; none when its address has as many as it may.
    pub(crate) fn enter(&self, address: IpAddr) -> Option<Place> {
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
        Some(Place {
            address,
            of: self.clone(),
        })
    }
}

/// The place of one connection; dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Place {
    address: IpAddr,
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
}
