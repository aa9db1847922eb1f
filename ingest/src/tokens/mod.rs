//! Who is asking: JWTs (RFC 7519) bound to a user and a device, checked with keys by id.
//!
//! `keys` holds the keys, each with its one algorithm; `claims` what a token says and whether it says
//! it now. Pure but for the keys' own bytes: time comes in as an argument, files are read by the
//! node. A token's text never reaches a trace or an answer.

mod claims;
mod keys;

pub use keys::{KeyError, Keys, development_key};

/// Who tokens of this platform are for: the `aud` claim.
pub const AUDIENCE: &str = "cursus";
/// The longest token, in bytes; a longer one is not looked at.
pub const MAX_TOKEN_BYTES: usize = 4 * 1024;
/// Key ids that start so are development keys: the node made them itself.
pub const DEVELOPMENT_PREFIX: &str = "dev-";

#[cfg(test)]
mod tests;
