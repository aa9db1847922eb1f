//! Sessions as the registry knows them, and what follows from them about presence.

use schemas::ids::{DeviceId, UserId};
use schemas::position::Timestamp;

use super::NodeName;

/// One session at a gateway. User, gateway and number name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SessionRecord {
    /// Whose.
    pub user: UserId,
    /// Where.
    pub gateway: NodeName,
    /// The gateway's own number for it.
    pub session: u64,
    /// The gateway's life: larger each time it starts under its name, so that a number used again is
    /// not mixed up with the one before.
    pub epoch: u64,
    /// On which device.
    pub device: DeviceId,
    /// Since when, by the gateway's clock.
    pub since: Timestamp,
}

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// At least one live session.
    Online,
    /// No session; the last one was seen then, by the registry's clock.
    LastSeen(Timestamp),
    /// Nobody can say.
    Unknown,
}

/// What follows for a user from what the registry holds: whether a session is live, when one was seen
/// last, and whether the registry was renewed without a break for a time to live.
#[must_use]
pub fn presence_of(is_live: bool, seen: Option<Timestamp>, settled: bool) -> Presence {
    match (is_live, seen) {
        (true, _) => Presence::Online,
        (false, Some(seen)) if settled => Presence::LastSeen(seen),
        (false, _) => Presence::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_said_to_be_gone_on_the_word_of_a_registry_that_is_not_settled() {
        let seen = Some(Timestamp(7));
        assert_eq!(presence_of(true, seen, false), Presence::Online);
        assert_eq!(presence_of(false, seen, false), Presence::Unknown);
        assert_eq!(presence_of(false, None, true), Presence::Unknown);
        let last = Presence::LastSeen(Timestamp(7));
        assert_eq!(presence_of(false, seen, true), last);
    }
}
