//! The chat without a terminal: every line of the input is a message, every message of the others
//! a line of the output; a line break inside one is written as `\n` or `\r`.
//!
//! Ends when the input has ended and every message is settled. Empty lines say nothing: a message
//! has content. Reading is ahead of the server by a bounded number of lines.

use std::collections::VecDeque;
use std::io::{BufRead, Write};

use anyhow::{Context, bail};
use cursus_client::{Client, ClientError, Event, Outcome, Pending};
use schemas::frames::{EntryEvent, WireBody};
use schemas::ids::{ChatId, UserId};
use tokio::sync::mpsc;

use super::render;

/// Messages under way at once: fewer than the client queues, so that giving one never waits.
const UNDER_WAY: usize = 512;
/// Lines read ahead.
const READ_AHEAD: usize = 64;

/// Where the lines of the others and complaints go.
pub(super) struct Outputs<O, E> {
    pub(super) lines: O,
    pub(super) complaints: E,
    /// The lines are read by a terminal, which must not obey what others say.
    pub(super) terminal: bool,
}

/// Sends every line of `input` to the chat and waits until all are settled.
///
/// # Errors
/// When a message was refused or the input is no UTF-8 text (both after all others were settled), an
/// output cannot be written, or the client was closed.
pub(super) async fn run(
    client: &Client,
    me: &UserId,
    chat: &ChatId,
    input: impl BufRead + Send + 'static,
    mut outputs: Outputs<impl Write, impl Write>,
) -> anyhow::Result<()> {
    let (read, mut lines) = mpsc::channel(READ_AHEAD);
    std::thread::Builder::new()
        .name("input".to_owned())
        .spawn(move || read_lines(input, &read))?;
    let mut under_way: VecDeque<(u64, Pending)> = VecDeque::new();
    let (mut number, mut refused, mut open) = (0, 0, true);
    let mut broken = Ok(());
    while open || !under_way.is_empty() {
        tokio::select! {
            biased;
            event = client.next() => show(client, me, chat, event, &mut outputs).await?,
            outcome = first(&mut under_way), if !under_way.is_empty() => {
                let line = under_way.pop_front().map_or(0, |(line, _)| line);
                if let Outcome::Refused(refusal) = outcome? {
                    refused += 1;
                    writeln!(outputs.complaints, "line {line}: {refusal}")?;
                }
            }
            line = lines.recv(), if open && under_way.len() < UNDER_WAY => match line {
                None => open = false,
                Some(line) => {
                    number += 1;
                    match line.with_context(|| format!("line {number}")) {
                        Ok(line) if line.is_empty() => {}
                        Ok(line) => {
                            let pending = client.send(chat, WireBody::text(line)).await?;
                            under_way.push_back((number, pending));
                        }
                        Err(error) => (open, broken) = (false, Err(error)),
                    }
                }
            },
        }
    }
    broken?;
    if refused > 0 {
        bail!("{refused} of {number} lines were refused");
    }
    Ok(())
}

fn read_lines(input: impl BufRead, read: &mpsc::Sender<std::io::Result<String>>) {
    for line in input.lines() {
        let last = line.is_err();
        if read.blocking_send(line).is_err() || last {
            return;
        }
    }
}

/// Waits for the oldest message; it stays where it is until then, so this may be cancelled.
async fn first(under_way: &mut VecDeque<(u64, Pending)>) -> Result<Outcome, ClientError> {
    match under_way.front_mut() {
        Some((_, pending)) => pending.settled().await,
        None => std::future::pending().await,
    }
}

async fn show(
    client: &Client,
    me: &UserId,
    chat: &ChatId,
    event: Option<Event>,
    outputs: &mut Outputs<impl Write, impl Write>,
) -> anyhow::Result<()> {
    let entry = match event {
        None => bail!("the server does not take this token"),
        Some(Event::Disconnected { why, .. }) => {
            writeln!(outputs.complaints, "not connected ({why:?}); trying again")?;
            return Ok(());
        }
        Some(Event::Entry(entry)) if entry.chat == *chat && entry.author != *me => entry,
        Some(_) => return Ok(()),
    };
    if let EntryEvent::Message { body, .. } = &entry.event {
        let text = body.text.as_deref().map(str::to_owned);
        let text = text.unwrap_or_else(|| render::body(body));
        let line = one_line(&text, outputs.terminal);
        writeln!(outputs.lines, "{line}").context("standard output")?;
        outputs.lines.flush().context("standard output")?;
    }
    client.mark_read(chat, entry.seq).await?;
    Ok(())
}

/// One message, one line.
fn one_line(text: &str, terminal: bool) -> String {
    let line = text.replace('\n', "\\n").replace('\r', "\\r");
    if terminal { render::clean(&line) } else { line }
}

#[cfg(test)]
mod tests;
