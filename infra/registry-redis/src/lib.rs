//! The session registry on Redis.
//!
//! Every request names exactly one key and is one round trip, most of them a Lua script that reads
//! Redis's own clock: so a Redis Cluster takes each of them, whatever its slots. Users are asked for
//! one by one over one multiplexed connection, many at a time.
//!
//! ```text
//! <prefix>user:<user>    hash: "<gateway>/<session>" → "<ends> <epoch> <since> <device>", ".seen"
//! <prefix>renewed        "<since> <ttl>": gateways have renewed without a break; lapses after ttl / 2
//! <prefix>lease:<group>  hash: "<name>" → "<ends> <fence> <detail>", ".last", ".since", ".ttl"
//! <prefix>rate:<key>     the microsecond at which the allowance is full again
//! ```
//!
//! Every call ends within twice [`Config::answer_within`]: once for a connection, once for the answer.
//! A connection that fails or does not answer is given up and made anew by whoever asks next, with a
//! pause between attempts in which calls fail at once. Nothing needs to be kept durable: what a Redis
//! that comes back empty lacks is there again after the next renewals.
#![allow(
    clippy::disallowed_methods,
    reason = "an adapter: requests are bounded by tokio's clock"
)]

mod config;
mod leases;
mod line;
mod registry;
mod scripts;
mod sessions;
mod tls;

pub use config::{Config, ConfigError};
pub use registry::RedisRegistry;
