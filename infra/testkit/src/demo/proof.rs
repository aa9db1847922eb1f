//! What shows that all is well: the counters, the tables rebuilt from the log, the checker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use cursus_client::ClientError;
use schemas::frames::Status;
use schemas::ids::ChatId;
use schemas::position::Seq;

use super::person::{PATIENCE, Person};
use super::stage::Stage;
use crate::checker::{self, History, Violation};
use crate::process::{NodeProcess, RunningNode};
use crate::torture::audit::{self, Asked};

/// How long tables may lag behind the log before that counts as wrong.
const LAG: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Waits until a message's status is as wanted, and shows it.
///
/// # Errors
/// When it does not become so in time; the message says what it was.
pub(super) async fn ticks(
    stage: &mut Stage,
    author: &Person,
    chat: &ChatId,
    seq: Seq,
    wanted: (u32, u32, u32),
) -> anyhow::Result<()> {
    let begun = Instant::now();
    loop {
        // Tables follow the log by moments: for one, the message may not be there yet.
        let said = match author.client.status(chat, seq, true).await {
            Ok(status) if (status.of, status.delivered, status.read) == wanted => {
                let sign = if status.read > 0 {
                    "✓✓ read"
                } else {
                    "✓✓ delivered"
                };
                return Ok(stage.tells(author.name(), sign, &say(&status))?);
            }
            Ok(status) => say(&status),
            Err(ClientError::Refused(refusal)) => refusal.to_string(),
            Err(error) => return Err(error.into()),
        };
        ensure!(
            begun.elapsed() < PATIENCE,
            "{chat} {seq}: {said}, not {wanted:?}"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn say(status: &Status) -> String {
    let Status {
        seq,
        of,
        delivered,
        read,
        ..
    } = status;
    let who = |wanted: fn(&schemas::frames::StatusOf) -> bool| {
        let all = status.who.iter().flatten().filter(|one| wanted(one));
        all.map(|one| one.user.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let readers = who(|one| one.read);
    let by = if readers.is_empty() {
        String::new()
    } else {
        format!(" ({readers})")
    };
    format!("seq {seq}: delivered to {delivered} of {of}, read by {read}{by}")
}

/// Shows every person's chat list with its unread counts.
///
/// # Errors
/// When the node does not answer.
pub(super) async fn unread(stage: &mut Stage, people: &[Person]) -> anyhow::Result<()> {
    for person in people {
        let list = person.client.chats(None, None).await?;
        let mut lines = Vec::new();
        for line in list.chats {
            let name = if line.title.is_empty() {
                line.chat.to_string()
            } else {
                line.title
            };
            lines.push(format!("{name}: {} unread", line.unread));
        }
        stage.tells(person.name(), "chat list", &lines.join(", "))?;
    }
    Ok(())
}

/// Reads the truth and asks the checker until it finds nothing wrong or the time is over.
///
/// # Errors
/// When the node does not answer.
pub(super) async fn history(
    process: &NodeProcess,
    people: &[Person],
    asked: &Asked,
) -> anyhow::Result<(History, Vec<Violation>)> {
    let tokens: BTreeMap<_, _> = people
        .iter()
        .map(|p| (p.endpoint.0.clone(), p.token.clone()))
        .collect();
    let begun = Instant::now();
    loop {
        let chats = audit::read(process.address, &tokens, asked).await?;
        let seen = |p: &Person| (p.endpoint.clone(), p.recorder.observations());
        let history = History {
            devices: people.iter().map(seen).collect(),
            chats,
        };
        let violations = checker::check(&history);
        if violations.is_empty() || begun.elapsed() > LAG {
            return Ok((history, violations));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Shows what the checker found; true when that was nothing.
///
/// # Errors
/// When the stage is closed.
pub(super) fn verdict(
    stage: &mut Stage,
    history: &History,
    violations: &[Violation],
) -> anyhow::Result<bool> {
    let observations: usize = history.devices.values().map(Vec::len).sum();
    let entries: usize = history
        .chats
        .values()
        .map(|truth| truth.timeline.len())
        .sum();
    let looked = format!("{observations} observations against {entries} entries in the log");
    stage.tells("", "the checker", &looked)?;
    for violation in violations {
        stage.fails("", &violation.to_string())?;
    }
    if violations.is_empty() {
        stage.holds("", "0 lost, 0 twice, 0 out of order, 0 counted wrongly")?;
    }
    Ok(violations.is_empty())
}

/// Stops the node in order, has its tables made again from the log beside the live ones, and shows
/// what the comparison says; true when they are equal.
///
/// # Errors
/// When the node does not end in order or the program cannot be run.
pub(super) fn rebuilt(
    stage: &mut Stage,
    process: &NodeProcess,
    node: RunningNode,
) -> anyhow::Result<bool> {
    let (took, in_order) = node.terminate()?;
    ensure!(in_order, "the node did not end in order");
    stage.tells(
        "node",
        "SIGTERM",
        &format!("ended in order after {took:.0?}"),
    )?;
    let verified = process.verify()?;
    let what = "makes every table again from the log and compares";
    stage.tells("", "cursus verify", what)?;
    for line in verified.said.lines() {
        stage.quotes(line)?;
    }
    if verified.equal {
        stage.holds("", "the tables are what the log says, bit for bit")?;
    } else {
        stage.fails("", "the tables are not what the log says")?;
    }
    Ok(verified.equal)
}
