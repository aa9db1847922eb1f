//! How often: allowances by device and by address, in bounded memory.
//!
//! Pure: time comes in as an argument. Decides nothing about what a command is or who sends it.
//! `bucket` is the arithmetic of one allowance, `table` the many of them.

mod bucket;
mod network;
mod table;

pub use self::network::Network;

use std::net::IpAddr;
use std::time::Duration;

use schemas::errors::{Code, Refusal};
use schemas::ids::{DeviceId, Identity, UserId};

use self::bucket::Allowance;
use self::table::{Key, Table};
use crate::config::Config;

/// Every limit on rates.
pub(crate) struct Limits {
    commands: Table<Device>,
    marks: Table<Device>,
    reads: Table<Device>,
    addresses: Table<Network>,
}

impl Limits {
    /// The limits of a configuration, with nothing used up.
    pub(crate) fn new(config: &Config) -> Self {
        let remembered = usize::try_from(config.remembered.get()).unwrap_or(usize::MAX);
        Self {
            commands: Table::new(Allowance::of(config.commands), remembered),
            marks: Table::new(Allowance::of(config.marks), remembered),
            reads: Table::new(Allowance::of(config.reads), remembered),
            addresses: Table::new(Allowance::of(config.addresses), remembered),
        }
    }

    /// Takes `cost` commands from the device's allowance, or says when there is enough.
    pub(crate) fn command(&self, who: &Identity, cost: u32, now: Duration) -> Result<(), Refusal> {
        let taken = self.commands.take(Device::of(who), cost, now);
        taken.map_err(|wait| refusal("commands", wait))
    }

    /// Takes one mark from the device's allowance, or says when there is one.
    pub(crate) fn mark(&self, who: &Identity, now: Duration) -> Result<(), Refusal> {
        let taken = self.marks.take(Device::of(who), 1, now);
        taken.map_err(|wait| refusal("marks", wait))
    }

    /// Takes one read from the device's allowance, or says when there is one.
    pub(crate) fn read(&self, who: &Identity, now: Duration) -> Result<(), Refusal> {
        let taken = self.reads.take(Device::of(who), 1, now);
        taken.map_err(|wait| refusal("reads", wait))
    }

    /// Takes one request from the address's allowance, or says when there is one.
    pub(crate) fn address(&self, address: IpAddr, now: Duration) -> Result<(), Refusal> {
        let taken = self.addresses.take(Network::of(address), 1, now);
        taken.map_err(|wait| refusal("requests from this address", wait))
    }
}

fn refusal(what: &str, wait: Duration) -> Refusal {
    let wait_ms = u64::try_from(wait.as_micros().div_ceil(1_000))
        .unwrap_or(u64::MAX)
        .max(1);
    Refusal::new(Code::RateLimited, format!("too many {what}")).retry_after_ms(wait_ms)
}

/// One device of one user.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Device(UserId, DeviceId);

impl Device {
    fn of(who: &Identity) -> Self {
        Self(who.user.clone(), who.device.clone())
    }
}

impl Key for Device {
    fn bytes(&self) -> &[u8] {
        // All devices of a user in one shard: there are far more users than shards.
        self.0.as_str().as_bytes()
    }
}

impl Key for Network {
    fn bytes(&self) -> &[u8] {
        self.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use schemas::position::Timestamp;

    use super::*;
    use crate::config::Rate;

    fn ada(device: &str) -> Identity {
        Identity {
            user: UserId::new("ada").unwrap(),
            device: DeviceId::new(device).unwrap(),
            expires_at: Timestamp(i64::MAX),
        }
    }

    fn limits() -> Limits {
        let two = Rate::new(10, 2);
        Limits::new(&Config {
            commands: two,
            marks: two,
            reads: two,
            addresses: two,
            ..Config::default()
        })
    }

    #[test]
    fn refusal_says_when_to_come_back_and_then_it_works() {
        let (limits, ada) = (limits(), ada("phone"));
        assert_eq!(limits.command(&ada, 2, Duration::ZERO), Ok(()));
        let refusal = limits.command(&ada, 1, Duration::ZERO).unwrap_err();
        assert_eq!(
            (refusal.code, refusal.retry_after_ms),
            (Code::RateLimited, Some(100))
        );
        assert!(limits.command(&ada, 1, Duration::from_millis(99)).is_err());
        assert_eq!(limits.command(&ada, 1, Duration::from_millis(100)), Ok(()));
    }

    #[test]
    fn devices_marks_reads_and_addresses_have_allowances_of_their_own() {
        let limits = limits();
        assert_eq!(limits.command(&ada("phone"), 2, Duration::ZERO), Ok(()));
        assert_eq!(limits.command(&ada("tablet"), 2, Duration::ZERO), Ok(()));
        for _ in 0..2 {
            assert_eq!(limits.mark(&ada("phone"), Duration::ZERO), Ok(()));
            assert_eq!(limits.read(&ada("phone"), Duration::ZERO), Ok(()));
            assert_eq!(
                limits.address("10.0.0.1".parse().unwrap(), Duration::ZERO),
                Ok(())
            );
        }
        assert!(limits.mark(&ada("phone"), Duration::ZERO).is_err());
        assert!(limits.read(&ada("phone"), Duration::ZERO).is_err());
        assert_eq!(limits.read(&ada("tablet"), Duration::ZERO), Ok(()));
        assert!(
            limits
                .address("::ffff:10.0.0.1".parse().unwrap(), Duration::ZERO)
                .is_err()
        );
        assert_eq!(
            limits.address("10.0.0.2".parse().unwrap(), Duration::ZERO),
            Ok(())
        );
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_an_allowance() {
        let limits = limits();
        for address in ["2001:db8:1:2::1", "2001:db8:1:2:ffff::9"] {
            assert_eq!(
                limits.address(address.parse().unwrap(), Duration::ZERO),
                Ok(())
            );
        }
        assert!(
            limits
                .address("2001:db8:1:2::3".parse().unwrap(), Duration::ZERO)
                .is_err()
        );
        assert_eq!(
            limits.address("2001:db8:1:3::1".parse().unwrap(), Duration::ZERO),
            Ok(())
        );
    }
}
