//! The fold's state in the store: one partition of `chat_states` a chat, written in one batch.
//!
//! ```text
//!  kind       id                       state
//!  head       ""                       position, rules, head, ordinal, time, details, sum
//!  member     <user>                   stay (kept after leaving, with `until`: nothing is deleted)
//!  verdict    <user>/<device>/<place>  count, client id, verdict; 256 places, used in turn
//! ```
//!
//! Each row's version is the record that changed it last, so its content follows from its version
//! and an instance that lags can write again what it likes. The head says what the others add up to
//! (see `sum`), so that a state which is read in pages is of one moment or is not taken.

use bytes::Bytes;
use compact_str::{CompactString, ToCompactString, format_compact};
use schemas::errors::Code;
use schemas::events::Role;
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp, Version};
use schemas::tables::ChatStateRow;

use super::blob::{BlobError, Reader, Writer};
use super::dedupe::{RING, Settled, Verdict};
use super::state::{ChatState, Details, Stay, Unwritten};
use crate::engine::projection::StateBatch;

/// The kind of the row that says how far the state is.
pub(super) const HEAD: CompactString = CompactString::const_new("head");
const MEMBER: CompactString = CompactString::const_new("member");
const VERDICT: CompactString = CompactString::const_new("verdict");

/// Writes what changed since the last time, the head always.
pub(super) fn write(
    chat: &ChatId,
    state: &mut ChatState,
    unwritten: &Unwritten,
    batch: &mut StateBatch<'_>,
) {
    let sum = state.sum();
    let mut put = |kind: CompactString, id: CompactString, state: Vec<u8>, version: Version| {
        let row = ChatStateRow {
            chat: chat.clone(),
            kind,
            id,
            state: Bytes::from(state),
        };
        batch.put(&row, version);
    };
    for (user, stay) in &unwritten.members {
        put(
            MEMBER,
            user.to_compact_string(),
            stay_bytes(stay),
            stay.version,
        );
    }
    for (user, device, nth) in &unwritten.verdicts {
        let settled = state.ring_at(user, device).and_then(|ring| ring.nth(*nth));
        // What was pushed out again since needs no row: its place is taken.
        if let Some(settled) = settled {
            let id = format_compact!("{user}/{device}/{:03}", nth % RING as u64);
            put(VERDICT, id, settled_bytes(*nth, settled), settled.version);
        }
    }
    put(
        HEAD,
        CompactString::default(),
        head_bytes(state, sum),
        state.position,
    );
}

/// The state from the rows of a partition, and the new state of a chat where there are none. Rows
/// that are not of one moment are refused as torn. `is_one_page`: a replica has shown all of them at once.
pub(super) fn read(
    chat: &ChatId,
    rows: &[(ChatStateRow, Version)],
    is_one_page: bool,
) -> Result<ChatState, BlobError> {
    let mut state = ChatState::new(chat);
    let mut verdicts: Vec<(&str, u64, Settled)> = Vec::new();
    let mut said = None;
    for (row, version) in rows {
        if row.kind == HEAD {
            said = Some(read_head(&mut state, &row.state)?);
        } else if row.kind == MEMBER {
            read_member(&mut state, row, *version)?;
        } else if row.kind == VERDICT {
            let (nth, settled) = read_settled(&row.state, *version)?;
            let owner = row.id.rsplit_once('/').map_or("", |(owner, _)| owner);
            verdicts.push((owner, nth, settled));
        } else {
            return Err(BlobError::Damaged("kind"));
        }
    }
    verdicts.sort_unstable_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    let mut has_gaps = false;
    for (owner, nth, settled) in verdicts {
        let (user, device) = owner.split_once('/').ok_or(BlobError::Damaged("owner"))?;
        let user = UserId::new(user).map_err(|_| BlobError::Damaged("owner"))?;
        let device = DeviceId::new(device).map_err(|_| BlobError::Damaged("owner"))?;
        let ring = state.ring(&user, &device);
        has_gaps |= ring.len() > 0 && ring.count() != nth;
        ring.restore(nth, settled);
    }
    let rings = || state.rings.values().flatten().map(|(_, ring)| ring);
    has_gaps |= rings().any(|ring| ring.len() as u64 != ring.count().min(RING as u64));
    match said {
        None if rows.is_empty() => {}
        // A head is written with everything.
        None => return Err(BlobError::Torn),
        // What is missing at an end shows nowhere: a sum of what is here could fit no replica, ever.
        Some(None) if has_gaps || !is_one_page => {
            tracing::info!(%chat, "its state says no sum, and is given none: make the tables anew");
            state.is_unsure = true;
        }
        Some(None) => {}
        Some(sum) if state.sum() != sum => return Err(BlobError::Torn),
        Some(_) => {}
    }
    Ok(state)
}

fn head_bytes(state: &ChatState, sum: Option<u64>) -> Vec<u8> {
    let head = Writer::new()
        .number(state.position.0)
        .number(u64::from(state.rules))
        .number(state.head.0)
        .number(state.ordinal.0)
        .signed(state.at.0);
    let head = match &state.details {
        None => head.number(0),
        Some(details) => head
            .number(1)
            .text(&details.title)
            .text(&details.description)
            .signed(details.created_at.0)
            .number(u64::from(details.max_members)),
    };
    match sum {
        None => head.finish(),
        Some(sum) => head.number(sum).finish(),
    }
}

/// Reads the head, and what it says of the other rows.
fn read_head(state: &mut ChatState, bytes: &[u8]) -> Result<Option<u64>, BlobError> {
    let mut from = Reader::new(bytes)?;
    state.position = Version(from.number("position")?);
    state.rules = from.small("rules")?;
    state.head = Seq(from.number("head")?);
    state.ordinal = Ordinal(from.number("ordinal")?);
    state.at = Timestamp(from.signed("at")?);
    state.details = match from.number("details")? {
        0 => None,
        _ => Some(Details {
            title: from.text("title")?.to_owned(),
            description: from.text("description")?.to_owned(),
            created_at: Timestamp(from.signed("created_at")?),
            max_members: from.small("max_members")?,
        }),
    };
    from.last_number("sum")
}

fn read_member(
    state: &mut ChatState,
    row: &ChatStateRow,
    version: Version,
) -> Result<(), BlobError> {
    let user = UserId::new(&row.id).map_err(|_| BlobError::Damaged("user"))?;
    let stay = read_stay(&row.state, version)?;
    if stay.until == Seq(0) {
        state.members.insert(user, stay);
    } else {
        state.members.remove(&user);
    }
    Ok(())
}

fn stay_bytes(stay: &Stay) -> Vec<u8> {
    Writer::new()
        .number(stay.since.0)
        .number(stay.since_ordinal.0)
        .number(stay.until.0)
        .signed(stay.joined_at.0)
        .text(role_word(stay.role))
        .finish()
}

fn read_stay(bytes: &[u8], version: Version) -> Result<Stay, BlobError> {
    let mut from = Reader::new(bytes)?;
    Ok(Stay {
        since: Seq(from.number("since")?),
        since_ordinal: Ordinal(from.number("since_ordinal")?),
        until: Seq(from.number("until")?),
        joined_at: Timestamp(from.signed("joined_at")?),
        role: match from.text("role")? {
            "member" => Role::Member,
            "admin" => Role::Admin,
            "owner" => Role::Owner,
            _ => return Err(BlobError::Damaged("role")),
        },
        version,
    })
}

pub(super) fn role_word(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

fn settled_bytes(nth: u64, settled: &Settled) -> Vec<u8> {
    let row = Writer::new().number(nth).text(settled.client.as_str());
    match settled.verdict {
        Verdict::Accepted(seq) => row.number(seq.0).text("").finish(),
        Verdict::Refused(code) => row.number(0).text(code.as_str()).finish(),
    }
}

fn read_settled(bytes: &[u8], version: Version) -> Result<(u64, Settled), BlobError> {
    let mut from = Reader::new(bytes)?;
    let nth = from.number("nth")?;
    let client = from.text("client")?;
    let client = ClientId::new(client).map_err(|_| BlobError::Damaged("client"))?;
    let seq = Seq(from.number("seq")?);
    let verdict = match from.text("code")? {
        "" => Verdict::Accepted(seq),
        code => Verdict::Refused(Code::parse(code).ok_or(BlobError::Damaged("code"))?),
    };
    let settled = Settled {
        client,
        verdict,
        version,
    };
    Ok((nth, settled))
}
