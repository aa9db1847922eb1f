//! The truth in the end, read as any member could read it: over HTTP, page by page.

use std::collections::BTreeMap;

use anyhow::Context;
use schemas::frames::{Chats, Entries};
use schemas::ids::{ChatId, UserId};
use schemas::position::Seq;

use crate::checker::{ChatTruth, Final};
use crate::process::NodeProcess;

/// Reads every chat's timeline as its first member, and every member's chat list.
pub(crate) async fn read(
    process: &NodeProcess,
    tokens: &BTreeMap<UserId, String>,
    chats: &[ChatId],
) -> anyhow::Result<BTreeMap<ChatId, ChatTruth>> {
    let base = format!("http://{}/v1/chats", process.address);
    let (tokens, chats) = (tokens.clone(), chats.to_vec());
    tokio::task::spawn_blocking(move || {
        let mut truths: BTreeMap<ChatId, ChatTruth> = BTreeMap::new();
        for (user, token) in &tokens {
            let list: Chats = get(&format!("{base}?limit=100"), token)?;
            for line in list
                .chats
                .into_iter()
                .filter(|line| chats.contains(&line.chat))
            {
                let truth = truths.entry(line.chat.clone()).or_default();
                if truth.timeline.is_empty() {
                    truth.timeline = timeline(&base, &line.chat, token)?;
                }
                let stays = vec![(Seq(0), Seq(u64::MAX))];
                let end = Final {
                    unread: line.unread,
                    read: line.read,
                    stays,
                };
                truth.members.insert(user.clone(), end);
            }
        }
        Ok(truths)
    })
    .await?
}

fn timeline(base: &str, chat: &ChatId, token: &str) -> anyhow::Result<Vec<schemas::frames::Entry>> {
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

fn get<T: serde::de::DeserializeOwned>(url: &str, token: &str) -> anyhow::Result<T> {
    let mut answer = ureq::get(url)
        .header("Authorization", format!("Bearer {token}"))
        .call()
        .with_context(|| url.to_owned())?;
    Ok(answer.body_mut().read_json()?)
}
