//! The scripts that Redis runs: each is given one key, reads Redis's own clock and is atomic.

use redis::Script;

/// What all begin with: the clock, in milliseconds, and how whole numbers are written.
const PRELUDE: &str = include_str!("scripts/prelude.lua");
/// What those begin with that put a lease.
const PUT: &str = concat!(
    include_str!("scripts/prelude.lua"),
    include_str!("scripts/put.lua")
);

macro_rules! scripts {
    ($($(#[$doc:meta])+ $name:ident: $before:ident, $file:literal;)+) => {
        /// All scripts, made once.
        pub(crate) struct Scripts {
            $($(#[$doc])+ pub(crate) $name: Script,)+
        }

        impl Scripts {
            pub(crate) fn new() -> Self {
                Self {
                    $($name: Script::new(&[$before, include_str!($file)].concat()),)+
                }
            }
        }
    };
}

scripts! {
    /// Registers or renews sessions of one user.
    renew: PRELUDE, "scripts/renew.lua";
    /// Removes sessions of one user.
    remove: PRELUDE, "scripts/remove.lua";
    /// The live sessions of a user, and when one was seen last.
    look: PRELUDE, "scripts/look.lua";
    /// Notes that a gateway renews.
    renewed: PRELUDE, "scripts/renewed.lua";
    /// Whether gateways have renewed for a time to live.
    settled: PRELUDE, "scripts/settled.lua";
    /// Takes a lease.
    take: PUT, "scripts/take.lua";
    /// Renews a lease.
    keep: PUT, "scripts/keep.lua";
    /// Gives a lease up.
    release: PRELUDE, "scripts/release.lua";
    /// The live leases of a group.
    leases: PRELUDE, "scripts/leases.lua";
    /// Spends of an allowance.
    spend: PRELUDE, "scripts/spend.lua";
}
