//! The sum of a state: whether the rows that were read of it are of one moment.
//!
//! A store with several replicas shows a partition page by page. Of a batch that one replica has (who
//! wrote it died before the others had it) each page is shown with or without its part, by chance. So
//! the head, which is one row, says what everything beside it adds up to: hashes of all members who
//! are in and of all verdicts that are remembered, summed modulo 2^64 and so kept a change at a time.
//!
//! It follows from the state alone, so it is the same in every build of the tables. What goes into it,
//! and how, is part of the rows' format: XXH3, the same on every machine.

use std::collections::BTreeMap;

use schemas::ids::{DeviceId, UserId};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::dedupe::{Settled, Verdict};
use super::memory::role_word;
use super::state::Stay;

/// What a hash is of.
const MEMBER: u64 = 1;
const VERDICT: u64 = 2;

/// What those who are in add up to.
pub(super) fn of_members(members: &BTreeMap<UserId, Stay>) -> u64 {
    let one = |(user, stay): (&UserId, &Stay)| {
        let fields = [
            xxh3_64(user.as_str().as_bytes()),
            stay.since.0,
            stay.since_ordinal.0,
            stay.joined_at.0.cast_unsigned(),
            xxh3_64(role_word(stay.role).as_bytes()),
        ];
        hash(MEMBER, fields)
    };
    members.iter().map(one).fold(0, u64::wrapping_add)
}

/// What stands for a device in the hashes of its verdicts.
pub(super) fn of_owner(user: &UserId, device: &DeviceId) -> u64 {
    let user = xxh3_64(user.as_str().as_bytes());
    xxh3_64_with_seed(device.as_str().as_bytes(), user)
}

/// What the `nth` verdict of a device adds.
pub(super) fn of_verdict(owner: u64, nth: u64, settled: &Settled) -> u64 {
    let client = xxh3_64(settled.client.as_str().as_bytes());
    let (seq, code) = match settled.verdict {
        Verdict::Accepted(seq) => (seq.0, 0),
        Verdict::Refused(code) => (0, xxh3_64(code.as_str().as_bytes())),
    };
    hash(VERDICT, [owner, nth, client, seq, code])
}

fn hash(what: u64, fields: [u64; 5]) -> u64 {
    let mut bytes = [0; 40];
    for (to, field) in bytes.chunks_exact_mut(8).zip(fields) {
        to.copy_from_slice(&field.to_le_bytes());
    }
    xxh3_64_with_seed(&bytes, what)
}
