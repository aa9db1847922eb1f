//! Carries orders out: turns them into commands and reads of the client, and their answers into
//! something to show.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cursus_client::{Client, ClientError, Group, Outcome, Pending};
use schemas::frames::{ChatSummary, History, WireBody};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Seq, Timestamp};

use super::order::Here;
use super::render::{self, Tick};

/// How many messages of one's own are asked for their ticks when history is shown.
const ASKED_TICKS: usize = 10;
/// The most pages of the chat list that are read.
const MAX_PAGES: usize = 20;

/// What came of an order.
#[derive(Debug)]
pub(super) enum Report {
    Lines(Vec<String>),
    Listed(Vec<ChatSummary>),
    History(History, BTreeMap<Seq, Tick>),
    /// A chat was made, and is to be opened.
    Made(ChatId),
}

/// An order after its first step: what must keep its order was given to the client already.
#[derive(Debug)]
pub(super) enum Started {
    /// The log decides.
    Given(Pending),
    /// The log decides, and the chat is to be opened then.
    Making(Pending),
    /// Something to be asked.
    Asking(Question),
}

/// Something to ask the server.
#[derive(Debug)]
pub(super) enum Question {
    Chats,
    History(ChatId, u32),
    About(ChatId, Here),
}

/// Says a text in a chat.
pub(super) async fn say(
    client: &Client,
    chat: &ChatId,
    text: String,
) -> Result<Started, ClientError> {
    let pending = client.send(chat, WireBody::text(text)).await?;
    Ok(Started::Given(pending))
}

/// Starts an order about a chat.
pub(super) async fn start(
    client: &Client,
    me: &UserId,
    chat: &ChatId,
    order: Here,
) -> Result<Started, ClientError> {
    let pending = match order {
        Here::Reply(seq, text) => {
            let body = WireBody::text(text);
            client.send_reply(chat, body, Some(seq)).await?
        }
        Here::Edit(seq, text) => client.edit(chat, seq, WireBody::text(text)).await?,
        Here::React(seq, mark) => client.react(chat, seq, mark.map(Into::into)).await?,
        Here::Delete(seq) => client.delete(chat, seq).await?,
        Here::Title(title) => client.change_chat(chat, Some(title), None).await?,
        Here::Add(user) => client.add_member(chat, &user, Default::default()).await?,
        Here::Remove(user) if user == *me => client.leave(chat).await?,
        Here::Remove(user) => client.remove_member(chat, &user).await?,
        Here::Role(user, role) => client.set_role(chat, &user, role).await?,
        Here::Leave => client.leave(chat).await?,
        Here::History(count) => {
            return Ok(Started::Asking(Question::History(chat.clone(), count)));
        }
        asked @ (Here::Members
        | Here::Hide(_)
        | Here::Status(_)
        | Here::Mute(_)
        | Here::Pin(_)
        | Here::Archive(_)) => {
            return Ok(Started::Asking(Question::About(chat.clone(), asked)));
        }
    };
    Ok(Started::Given(pending))
}

/// Starts making a group.
pub(super) async fn create(
    client: &Client,
    title: String,
    members: Vec<UserId>,
) -> Result<Started, ClientError> {
    let group = Group {
        title,
        members,
        ..Group::default()
    };
    client.create_group(group).await.map(Started::Making)
}

/// Waits for what comes of an order, over as many connections as it takes.
pub(super) async fn finish(client: Client, me: UserId, started: Started) -> Report {
    let done = match started {
        Started::Given(pending) => pending.await.map(|outcome| match outcome {
            // Its entry shows it.
            Outcome::Accepted { .. } => Report::Lines(Vec::new()),
            Outcome::Refused(refusal) => refused(&refusal.to_string()),
        }),
        Started::Making(pending) => pending.await.map(|outcome| match outcome {
            Outcome::Accepted { chat, .. } => Report::Made(chat),
            Outcome::Refused(refusal) => refused(&refusal.to_string()),
        }),
        Started::Asking(question) => ask(&client, &me, question).await,
    };
    done.unwrap_or_else(|error| refused(&error.to_string()))
}

async fn ask(client: &Client, me: &UserId, question: Question) -> Result<Report, ClientError> {
    match question {
        Question::Chats => chats(client).await.map(Report::Listed),
        Question::History(chat, count) => {
            let history = client.history(&chat, None, Some(count)).await?;
            let ticks = ticks(client, me, &history).await;
            Ok(Report::History(history, ticks))
        }
        Question::About(chat, order) => about(client, me, &chat, order).await.map(Report::Lines),
    }
}

/// The whole chat list.
pub(super) async fn chats(client: &Client) -> Result<Vec<ChatSummary>, ClientError> {
    let (mut all, mut cursor) = (Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let page = client.chats(cursor, Some(100)).await?;
        all.extend(page.chats);
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok(all)
}

/// How far the newest messages of one's own have got. Older ones are at least as far, so the first
/// that was read by all ends the asking.
async fn ticks(client: &Client, me: &UserId, history: &History) -> BTreeMap<Seq, Tick> {
    let mine = |entry: &&schemas::frames::Entry| entry.author == *me && render::is_message(entry);
    let entries = history.messages.iter().map(|message| &message.entry);
    let mut ticks = BTreeMap::new();
    for entry in entries.filter(mine).take(ASKED_TICKS) {
        let Ok(status) = client.status(&history.chat, entry.seq, false).await else {
            break;
        };
        let tick = Tick::of(&status);
        ticks.insert(entry.seq, tick);
        if tick == Tick::Read {
            break;
        }
    }
    ticks
}

async fn about(
    client: &Client,
    me: &UserId,
    chat: &ChatId,
    order: Here,
) -> Result<Vec<String>, ClientError> {
    let done = match order {
        Here::Members => {
            let members = client.members(chat).await?;
            return Ok(render::members_lines(&members, me));
        }
        Here::Status(seq) => {
            let status = client.status(chat, seq, true).await?;
            return Ok(render::status_lines(&status));
        }
        Here::Hide(seq) => {
            client.hide(chat, seq).await?;
            format!("#{seq} is hidden from you")
        }
        Here::Mute(time) => {
            let until = time.map(|time| {
                let ms = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
                Timestamp(now().0.saturating_add(ms))
            });
            client.mute(chat, until).await?;
            (if until.is_some() { "muted" } else { "unmuted" }).to_owned()
        }
        Here::Pin(pinned) => {
            client.pin(chat, pinned).await?;
            (if pinned { "pinned" } else { "unpinned" }).to_owned()
        }
        Here::Archive(archived) => {
            client.archive(chat, archived).await?;
            (if archived {
                "archived"
            } else {
                "out of the archive"
            })
            .to_owned()
        }
        Here::History(_)
        | Here::Reply(..)
        | Here::Edit(..)
        | Here::React(..)
        | Here::Delete(_)
        | Here::Title(_)
        | Here::Add(_)
        | Here::Remove(_)
        | Here::Role(..)
        | Here::Leave => return Ok(Vec::new()),
    };
    Ok(vec![done])
}

/// The wall clock of this machine.
pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.map_or(0, |since| since.as_millis());
    Timestamp(i64::try_from(ms).unwrap_or(i64::MAX))
}

fn refused(why: &str) -> Report {
    Report::Lines(vec![format!("! {}", render::clean(why))])
}
