//! What a node says in the end, read as any member could read it: over HTTP, page by page.
//!
//! Who is a member of what is never asked: it is what the program itself asked for. Nor is a
//! counter or a setting compared with another answer of the node: the checker counts for itself.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use anyhow::Context;
use schemas::frames::{Chats, Entries, Entry, EntryEvent, Status};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;

use crate::checker::{ChatTruth, Chosen, Told};

/// The members of each chat, as they were asked for.
pub(crate) type Asked = BTreeMap<ChatId, BTreeSet<UserId>>;

/// Newest messages of a chat whose counters are read.
const NEWEST: usize = 16;
/// Messages over the whole of a chat whose counters are read.
const SPREAD: usize = 16;

/// Reads every chat's timeline and the counters of some of its messages as its first member who is
/// let in, and everybody's chat list.
pub(crate) async fn read(
    address: SocketAddr,
    tokens: &BTreeMap<UserId, String>,
    asked: &Asked,
) -> anyhow::Result<BTreeMap<ChatId, ChatTruth>> {
    let base = format!("http://{address}/v1/chats");
    let (tokens, asked) = (tokens.clone(), asked.clone());
    tokio::task::spawn_blocking(move || {
        let mut truths = BTreeMap::new();
        for (chat, members) in &asked {
            truths.insert(chat.clone(), truth(&base, &tokens, chat, members)?);
        }
        for (user, token) in &tokens {
            let list: Chats = get(&format!("{base}?limit=100"), token)?;
            for line in list.chats {
                let settings = Chosen {
                    muted_until: line.muted_until,
                    archived: line.archived,
                    pinned: line.pinned,
                };
                let told = Told {
                    unread: line.unread,
                    read: line.read,
                    settings: Some(settings),
                };
                // A chat that nobody asked for gets a truth without members.
                let truth: &mut ChatTruth = truths.entry(line.chat).or_default();
                truth.lists.insert(user.clone(), told);
            }
        }
        Ok(truths)
    })
    .await?
}

/// What there is of one chat. A member who is not let in is left to the checker, as long as one is.
fn truth(
    base: &str,
    tokens: &BTreeMap<UserId, String>,
    chat: &ChatId,
    members: &BTreeSet<UserId>,
) -> anyhow::Result<ChatTruth> {
    let mut refused = anyhow::anyhow!("{chat} has no member with a token");
    for token in members.iter().filter_map(|user| tokens.get(user)) {
        match timeline(base, chat, token) {
            Ok(timeline) => {
                let whole = vec![(Seq(0), Seq(u64::MAX))];
                return Ok(ChatTruth {
                    statuses: statuses(base, chat, &timeline, token)?,
                    timeline,
                    members: members.iter().map(|u| (u.clone(), whole.clone())).collect(),
                    lists: BTreeMap::new(),
                });
            }
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn timeline(base: &str, chat: &ChatId, token: &str) -> anyhow::Result<Vec<Entry>> {
    let mut all = Vec::new();
    let mut from = Seq(1);
    loop {
        let page: Entries = get(&format!("{base}/{chat}/timeline?from={from}"), token)?;
        all.extend(page.entries);
        if page.through >= page.head {
            return Ok(all);
        }
        from = page.through.next();
    }
}

fn statuses(
    base: &str,
    chat: &ChatId,
    timeline: &[Entry],
    token: &str,
) -> anyhow::Result<Vec<Status>> {
    let is_message = |entry: &&Entry| matches!(entry.event, EntryEvent::Message { .. });
    let messages: Vec<Seq> = timeline.iter().filter(is_message).map(|e| e.seq).collect();
    let newest = messages.iter().rev().take(NEWEST);
    let spread = messages.iter().step_by(1 + messages.len() / SPREAD);
    let chosen: BTreeSet<Seq> = newest.chain(spread).copied().collect();
    let status = |seq| {
        get(
            &format!("{base}/{chat}/messages/{seq}/status?who=true"),
            token,
        )
    };
    chosen.into_iter().map(status).collect()
}

fn get<T: serde::de::DeserializeOwned>(url: &str, token: &str) -> anyhow::Result<T> {
    let mut answer = ureq::get(url)
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .with_context(|| url.to_owned())?;
    Ok(answer.body_mut().read_json()?)
}
