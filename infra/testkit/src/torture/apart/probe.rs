//! Pairs of people who tell, all the time, what time it is: for how long nothing is heard is how long
//! messages do not flow.
//!
//! One says it at one gateway, the other hears it at another; and their chats are in as many partitions of
//! `chats` as there are, so that every broker and every projector is on the way of somebody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use cursus_client::{Client, Config, Event};
use parking_lot::Mutex;
use schemas::frames::{EntryEvent, WireBody};
use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::topics::partition_of;
use tokio::sync::watch;

use super::PARTITIONS;
use crate::process::Entrance;

/// How long messages may take to flow again, on a busy machine.
const FLOW_WITHIN: Duration = Duration::from_secs(180);

/// What a listener has heard.
#[derive(Clone, Copy)]
struct Heard {
    /// When what was heard last was said.
    said: Option<Instant>,
    /// When it was heard.
    at: Instant,
    /// The longest time between two messages, since it was asked to measure.
    silence: Duration,
}

/// All pairs.
pub(super) struct Probe {
    heard: Vec<Arc<watch::Sender<Heard>>>,
    /// Who speaks and who listens.
    pairs: Vec<(Client, Client)>,
    /// How sockets ended since it was asked last.
    closed: Arc<Mutex<Vec<String>>>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Probe {
    /// Connects a pair for each partition.
    ///
    /// # Errors
    /// When there is no gateway, or no token.
    pub(super) fn start(entrance: &Entrance, say_every: Duration) -> anyhow::Result<Self> {
        let mut probe = Self {
            heard: Vec::new(),
            pairs: Vec::new(),
            closed: Arc::default(),
            tasks: Vec::new(),
        };
        for number in 0..PARTITIONS {
            probe.add(entrance, number, say_every)?;
        }
        Ok(probe)
    }

    fn add(&mut self, entrance: &Entrance, number: u32, say_every: Duration) -> anyhow::Result<()> {
        let (yan, zed, chat) = pair(number)?;
        let at = usize::try_from(number)?;
        let speaker = client(entrance, at, &yan)?;
        let listener = client(entrance, at + 1, &zed)?;
        let begun = Instant::now();
        let heard = Arc::new(watch::Sender::new(Heard {
            said: None,
            at: begun,
            silence: Duration::ZERO,
        }));
        let closed = Arc::clone(&self.closed);
        self.pairs.push((speaker.clone(), listener.clone()));
        let speaking = speak(speaker, chat, (begun, say_every), Arc::clone(&closed));
        let listening = listen(listener, begun, Arc::clone(&heard), closed);
        self.tasks.push(tokio::spawn(speaking));
        self.tasks.push(tokio::spawn(listening));
        self.heard.push(heard);
        Ok(())
    }

    /// Begins to measure silence anew.
    pub(super) fn begin(&self) {
        for heard in &self.heard {
            heard.send_modify(|heard| heard.silence = Duration::ZERO);
        }
        self.closed.lock().clear();
    }

    /// Waits until every pair hears something that is said after now, and answers the longest silence of
    /// any since it was begun to measure.
    ///
    /// # Errors
    /// When one hears nothing in time.
    pub(super) async fn flows(&self) -> anyhow::Result<Duration> {
        let (now, mut longest) = (Instant::now(), Duration::ZERO);
        let deadline = tokio::time::Instant::now() + FLOW_WITHIN;
        for (number, heard) in self.heard.iter().enumerate() {
            let mut news = heard.subscribe();
            let again = news.wait_for(|heard| heard.said.is_some_and(|said| said >= now));
            let heard = tokio::time::timeout_at(deadline, again).await;
            let heard = heard.with_context(|| self.standstill(number))??;
            longest = longest.max(heard.silence);
        }
        Ok(longest)
    }

    /// What there is to say of a pair between which nothing flows.
    fn standstill(&self, number: usize) -> String {
        let states = |(one, other): &(Client, Client)| (one.state(), other.state());
        let states = self.pairs.get(number).map(states);
        let silent = |heard: &Arc<watch::Sender<Heard>>| heard.borrow().at.elapsed();
        let silent = self.heard.get(number).map(silent);
        format!(
            "no message flows in partition {number} for {silent:?}, speaker and listener are {states:?}"
        )
    }

    /// How sockets of theirs ended since it was begun to measure.
    pub(super) fn closed(&self) -> Vec<String> {
        self.closed.lock().clone()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

/// Two people whose chat is in this partition.
fn pair(partition: u32) -> anyhow::Result<(UserId, UserId, ChatId)> {
    for number in 0..10_000 {
        let yan = UserId::new(format!("yan{number}"))?;
        let zed = UserId::new(format!("zed{number}"))?;
        let chat = ChatId::direct(&yan, &zed)?;
        if partition_of(chat.as_str().as_bytes(), PARTITIONS).0 == partition {
            return Ok((yan, zed, chat));
        }
    }
    anyhow::bail!("no chat is in partition {partition}")
}

fn client(entrance: &Entrance, number: usize, user: &UserId) -> anyhow::Result<Client> {
    let token = entrance.token(user, &DeviceId::new("probe")?)?;
    let address = entrance.address(number)?;
    let mut config = Config::new(format!("ws://{address}"), token);
    config.session.backoff.most_ms = 100;
    config.session.resend_ms = 3_000;
    Ok(Client::connect(config))
}

fn note_close(event: &Event, chat: &ChatId, closed: &Mutex<Vec<String>>) {
    if let Event::Disconnected { why, .. } = event {
        closed.lock().push(format!("a socket of {chat}: {why:?}"));
    }
}

/// Says what time it is, for ever.
async fn speak(
    client: Client,
    chat: ChatId,
    (begun, every): (Instant, Duration),
    closed: Arc<Mutex<Vec<String>>>,
) {
    let takes = async {
        while let Some(event) = client.next().await {
            note_close(&event, &chat, &closed);
        }
    };
    let says = async {
        loop {
            let text = begun.elapsed().as_micros().to_string();
            // What cannot be taken now is said anew with a later time.
            drop(client.send(&chat, WireBody::text(text)).await);
            tokio::time::sleep(every).await;
        }
    };
    tokio::join!(takes, says);
}

async fn listen(
    client: Client,
    begun: Instant,
    told: Arc<watch::Sender<Heard>>,
    closed: Arc<Mutex<Vec<String>>>,
) {
    let mut chat = None;
    while let Some(event) = client.next().await {
        let Event::Entry(entry) = event else {
            if let Some(chat) = &chat {
                note_close(&event, chat, &closed);
            }
            continue;
        };
        if let EntryEvent::Message { body, .. } = &entry.event
            && let Some(micros) = body.text.as_deref().and_then(|text| text.parse().ok())
        {
            let (said, now) = (begun + Duration::from_micros(micros), Instant::now());
            told.send_modify(|heard| {
                heard.silence = heard.silence.max(now - heard.at);
                (heard.said, heard.at) = (Some(said), now);
            });
        }
        chat = Some(entry.chat);
    }
}
