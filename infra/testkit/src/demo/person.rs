//! A person of the demo: a client, what it heard, and the record of everything for the checker.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use cursus_client::{Client, Config, Event, Outcome, Pending};
use schemas::frames::{Entry, EntryEvent, WireBody};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::Seq;
use tokio::sync::watch;

use crate::checker::Endpoint;
use crate::process::NodeProcess;
use crate::recorder::Recorder;

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// A person whose node is gone knocks at least this often.
const KNOCK_MS: u64 = 500;

/// Somebody with one device.
pub(super) struct Person {
    /// Who.
    pub(super) endpoint: Endpoint,
    /// For reads over HTTP.
    pub(super) token: String,
    /// Their client.
    pub(super) client: Client,
    /// What the client put out, in order.
    pub(super) recorder: Arc<Recorder>,
    heard: watch::Receiver<Vec<Entry>>,
}

impl Person {
    /// Connects, and listens from now on over all connections.
    ///
    /// # Errors
    /// When the node does not let them in.
    pub(super) async fn arrive(process: &NodeProcess, name: &str) -> anyhow::Result<Self> {
        let endpoint = (UserId::new(name)?, DeviceId::new("phone")?);
        let token = process.token(&endpoint.0, &endpoint.1)?;
        let recorder = Recorder::new();
        let mut config = Config::new(format!("ws://{}", process.address), token.clone());
        config.observer = Some(recorder.clone());
        config.session.backoff.most_ms = KNOCK_MS;
        let client = Client::connect(config);
        let heard = listen(client.clone());
        tokio::time::timeout(PATIENCE, client.live())
            .await
            .context("not live in time")??;
        Ok(Self {
            endpoint,
            token,
            client,
            recorder,
            heard,
        })
    }

    /// Their name.
    pub(super) fn name(&self) -> &str {
        self.endpoint.0.as_str()
    }

    /// Sends a text and waits for its place in the chat.
    ///
    /// # Errors
    /// When it is refused.
    pub(super) async fn says(&self, chat: &ChatId, text: &str) -> anyhow::Result<Seq> {
        let given = self.client.send(chat, WireBody::text(text)).await?;
        Ok(accepted(given).await?.1)
    }

    /// Waits for an entry of a chat.
    ///
    /// # Errors
    /// When it does not come in time.
    pub(super) async fn hears(&self, chat: &ChatId, seq: Seq) -> anyhow::Result<Entry> {
        let is_it = |entry: &&Entry| entry.chat == *chat && entry.seq == seq;
        let mut heard = self.heard.clone();
        let all = heard.wait_for(|heard| heard.iter().any(|entry| is_it(&entry)));
        let all = tokio::time::timeout(PATIENCE, all).await;
        let all = all.with_context(|| format!("{} never got {chat} {seq}", self.name()))??;
        all.iter()
            .find(is_it)
            .cloned()
            .context("it was there a moment ago")
    }

    /// Everything heard of a chat, in the order in which it came.
    pub(super) fn heard(&self, chat: &ChatId) -> Vec<Entry> {
        self.heard
            .borrow()
            .iter()
            .filter(|entry| entry.chat == *chat)
            .cloned()
            .collect()
    }
}

fn listen(client: Client) -> watch::Receiver<Vec<Entry>> {
    let (tell, heard) = watch::channel(Vec::new());
    tokio::spawn(async move {
        while let Some(event) = client.next().await {
            if let Event::Entry(entry) = event {
                tell.send_modify(|heard| heard.push(*entry));
            }
        }
    });
    heard
}

/// Waits until a command counts, and says where.
///
/// # Errors
/// When it is refused, or not settled in time.
pub(super) async fn accepted(given: Pending) -> anyhow::Result<(ChatId, Seq)> {
    let outcome = tokio::time::timeout(PATIENCE, given)
        .await
        .context("not settled in time")??;
    match outcome {
        Outcome::Accepted { chat, seq } => Ok((chat, seq)),
        Outcome::Refused(refusal) => bail!("refused: {refusal}"),
    }
}

/// What an entry says, in a few words.
pub(super) fn words(entry: &Entry) -> String {
    match &entry.event {
        EntryEvent::Message { body, .. } => body.text.clone().unwrap_or_default(),
        EntryEvent::Created { title, .. } => format!("made the group \"{title}\""),
        EntryEvent::Edited { target, .. } => format!("changed {target}"),
        EntryEvent::Deleted { target } => format!("deleted {target}"),
        EntryEvent::Reacted { target, reaction } => {
            format!(
                "{} to {target}",
                reaction.as_deref().unwrap_or("nothing more")
            )
        }
        EntryEvent::Changed { .. } => "changed the group".to_owned(),
        EntryEvent::MemberAdded { user, .. } => format!("added {user}"),
        EntryEvent::MemberRemoved { user } => format!("removed {user}"),
        EntryEvent::MemberLeft {} => "left".to_owned(),
        EntryEvent::RoleChanged { user, .. } => format!("changed the role of {user}"),
        EntryEvent::Unknown => "something newer than this program".to_owned(),
    }
}
