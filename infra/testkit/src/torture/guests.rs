//! Guests: devices that say one thing, hear that it is sent, and are gone.
//!
//! ```text
//!  say ──▶ hear `sent` ──▶ gone ──┬──▶ for good: nobody says it again, and yet it must stand
//!                                 └──▶ back after a while, perhaps in another life of the node,
//!                                      says the same once more: it must stand once
//! ```
//!
//! The crowd's clients say everything again until they have its verdict, at once and from memory,
//! and so heal what these two show.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use schemas::errors::Code;
use schemas::ids::{ChatId, ClientId};
use serde_json::{Value, json};

use crate::checker::{Endpoint, Observation};
use crate::raw::RawClient;

/// The longest time before a guest says the same once more.
const AWAY: Duration = Duration::from_millis(1_500);
/// The longest time between two visits.
const REST: Duration = Duration::from_millis(60);
/// Before the next attempt, when the node is down or refuses for the moment.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What a guest said and was told.
pub(super) type Visits = (Endpoint, Vec<Observation>);

/// A device that comes and goes.
pub(super) struct Guest {
    /// The node's sockets.
    pub(super) url: String,
    /// Its token.
    pub(super) token: String,
    /// Whose device it is.
    pub(super) endpoint: Endpoint,
    /// Chats in which its user is a member for sure.
    pub(super) chats: Vec<ChatId>,
    /// Where chance comes from.
    pub(super) chance: fastrand::Rng,
    /// Set when it is time to go home.
    pub(super) stop: Arc<AtomicBool>,
}

impl Guest {
    /// Visits until it is time to go home.
    ///
    /// # Errors
    /// When a message that breaks no rule is refused, or an id is none.
    pub(super) async fn visit(mut self) -> anyhow::Result<Visits> {
        let mut seen = Vec::new();
        let mut number = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            number += 1;
            let Some(chat) = self.chance.choice(&self.chats).cloned() else {
                break;
            };
            let client_id = ClientId::new(format!("visit-{number}"))?;
            let body = json!({ "kind": "text", "text": format!("visit {number}") });
            let data = json!({ "chat": chat, "client_id": client_id, "body": body });
            let frame = json!({ "type": "send", "ref": "1", "data": data }).to_string();
            let (began, told) = (client_id.clone(), chat.clone());
            seen.push(Observation::Began {
                chat: told,
                client_id: began,
            });
            self.say(&frame).await?;
            seen.push(Observation::Acknowledged { chat, client_id });
            if self.chance.bool() {
                self.pause(AWAY).await;
                self.say(&frame).await?;
            }
            self.pause(REST).await;
        }
        seen.push(Observation::Gone);
        Ok((self.endpoint, seen))
    }

    /// Says it on a new socket until it hears `sent`, over as many sockets as that takes.
    async fn say(&self, frame: &str) -> anyhow::Result<()> {
        loop {
            match self.say_once(frame).await {
                Ok(answer) if answer.get("type").is_some_and(|t| t == "sent") => return Ok(()),
                Ok(answer) => {
                    let code = answer.pointer("/data/code").and_then(Value::as_str);
                    let passes = code.and_then(Code::parse).is_some_and(Code::is_retryable);
                    anyhow::ensure!(passes, "a guest was answered {answer}");
                }
                Err(error) => tracing::debug!(%error, "the node is down, as it may"),
            }
            tokio::time::sleep(AGAIN_AFTER).await;
        }
    }

    async fn say_once(&self, frame: &str) -> anyhow::Result<Value> {
        let mut socket = RawClient::connect(&self.url, Some(&self.token)).await?;
        socket.until("welcome").await?;
        socket.send(frame).await?;
        socket.answer("1").await
    }

    async fn pause(&mut self, most: Duration) {
        let most = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        tokio::time::sleep(Duration::from_millis(self.chance.u64(0..=most))).await;
    }
}
