//! The conversation that is cut by `kill -9`: three people speak at once, their node dies, comes
//! back, and everything they said stands once, in one order.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context, ensure};
use cursus_client::Pending;
use schemas::frames::{Entry, WireBody};
use schemas::ids::ChatId;
use schemas::position::Seq;

use super::person::{PATIENCE, Person, accepted, words};
use super::stage::Stage;
use crate::checker::Observation;
use crate::process::{NodeProcess, RunningNode};

/// What each person says.
const EACH: u64 = 60;
/// The node dies when so many of all are known to be durable.
const ENOUGH: usize = 60;
/// Between two messages of one person.
const BREATH: Duration = Duration::from_millis(4);
/// Entries shown on each side of the kill.
const SHOWN: usize = 3;

/// Lets everybody speak, kills the node, starts it again; answers the node and the chat's last seq.
///
/// # Errors
/// When something that was said does not stand exactly once, in the same order for all.
pub(super) async fn pass(
    stage: &mut Stage,
    process: &NodeProcess,
    node: RunningNode,
    people: &[Person],
    chat: &ChatId,
) -> anyhow::Result<(RunningNode, Seq)> {
    let (before, already) = (
        tally(people),
        people.iter().map(|p| p.heard(chat).len()).max(),
    );
    stage.tells("all", "speak at once", &format!("{EACH} messages each"))?;
    let speakers: Vec<_> = people
        .iter()
        .map(|p| tokio::spawn(speak(p.client.clone(), chat.clone())))
        .collect();
    until(|| tally(people).durable >= before.durable + ENOUGH).await?;
    let id = node.id();
    tokio::task::spawn_blocking(move || node.kill()).await??;
    let at_kill = tally(people).since(&before);
    let last_before = people
        .iter()
        .map(|p| p.recorder.newest(chat))
        .max()
        .unwrap_or_default();
    stage.breaks(
        "node",
        "kill -9",
        &format!("process {id} is gone in mid conversation"),
    )?;
    let told = at_kill.to_string();
    stage.tells("all", "know", &told)?;
    let node = start(stage, process).await?;
    let (mut last, mut settled) = (Seq(0), 0_u64);
    for speaker in speakers {
        for given in speaker.await?? {
            last = last.max(accepted(given).await?.1);
            settled += 1;
        }
    }
    let said = format!("all {settled} are settled; what was not acknowledged was sent again");
    stage.tells("all", "go on", &said)?;
    for person in people {
        person.hears(chat, last).await?;
    }
    show_the_cut(stage, people, chat, last_before)?;
    let count = already.unwrap_or_default() + usize::try_from(settled)?;
    compare(stage, people, chat, count)?;
    Ok((node, last))
}

async fn speak(client: cursus_client::Client, chat: ChatId) -> anyhow::Result<Vec<Pending>> {
    let mut given = Vec::new();
    for n in 1..=EACH {
        given.push(
            client
                .send(&chat, WireBody::text(format!("wave {n}")))
                .await?,
        );
        tokio::time::sleep(BREATH).await;
    }
    Ok(given)
}

async fn start(stage: &mut Stage, process: &NodeProcess) -> anyhow::Result<RunningNode> {
    let (begun, process) = (std::time::Instant::now(), process.clone());
    let node = tokio::task::spawn_blocking(move || process.start()).await??;
    let text = format!(
        "process {} is ready after {:.0?}",
        node.id(),
        begun.elapsed()
    );
    stage.tells("node", "is back", &text)?;
    Ok(node)
}

/// The last entries seen before the kill, and the first after it, as the first person sees them.
fn show_the_cut(
    stage: &mut Stage,
    people: &[Person],
    chat: &ChatId,
    last_before: Seq,
) -> anyhow::Result<()> {
    let person = people.first().context("somebody")?;
    let heard = person.heard(chat);
    let (before, after): (Vec<&Entry>, _) = heard.iter().partition(|e| e.seq <= last_before);
    for entry in before.iter().skip(before.len().saturating_sub(SHOWN)) {
        stage.sees(person.name(), entry.author.as_str(), &place(entry))?;
    }
    stage.breaks("", "", "── the node was killed here ──")?;
    for entry in after.iter().take(SHOWN) {
        stage.sees(person.name(), entry.author.as_str(), &place(entry))?;
    }
    Ok(())
}

fn place(entry: &Entry) -> String {
    format!("{:<10} seq {}", words(entry), entry.seq)
}

/// Everybody has the same, in the same order, without a hole, nothing twice.
fn compare(
    stage: &mut Stage,
    people: &[Person],
    chat: &ChatId,
    count: usize,
) -> anyhow::Result<()> {
    let views: Vec<Vec<Entry>> = people.iter().map(|person| person.heard(chat)).collect();
    let first = views.first().context("somebody")?;
    for (view, person) in views.iter().zip(people) {
        let name = person.name();
        ensure!(
            view == first,
            "{name} has another conversation than the others"
        );
        ensure!(
            view.len() == count,
            "{name} has {} entries and not {count}",
            view.len()
        );
        let dense = (1..)
            .map(Seq)
            .zip(view)
            .all(|(seq, entry)| entry.seq == seq);
        ensure!(dense, "{name} has a hole or something twice");
    }
    let text = format!("{count} entries each, one order, no hole, nothing twice");
    Ok(stage.holds("in the end", &text)?)
}

/// What clients have begun to send, and what of it they know to be durable.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    begun: usize,
    durable: usize,
}

impl Tally {
    fn since(self, before: &Self) -> Self {
        Self {
            begun: self.begun.saturating_sub(before.begun),
            durable: self.durable.saturating_sub(before.durable),
        }
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { begun, durable } = self;
        let rest = begun.saturating_sub(*durable);
        write!(
            f,
            "{durable} of {begun} messages are durable; of {rest} nobody knows"
        )
    }
}

/// `sent` says that a message is durable, and so does the message itself when it comes back.
fn tally(people: &[Person]) -> Tally {
    let mut tally = Tally::default();
    for person in people {
        let mut durable = BTreeSet::new();
        for observation in person.recorder.observations() {
            match observation {
                Observation::Began { .. } => tally.begun += 1,
                Observation::Acknowledged { client_id, .. } => drop(durable.insert(client_id)),
                Observation::Received(entry) if entry.author == person.endpoint.0 => {
                    durable.insert(entry.client_id);
                }
                Observation::Received(_)
                | Observation::Refused { .. }
                | Observation::Marked { .. }
                | Observation::HasRead { .. }
                | Observation::Chose { .. }
                | Observation::Restarted
                | Observation::BeginsToRead { .. }
                | Observation::Gone => {}
            }
        }
        tally.durable += durable.len();
    }
    tally
}

/// Looks again and again until it is so.
async fn until(is_so: impl Fn() -> bool) -> anyhow::Result<()> {
    let looking = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking)
        .await
        .context("nothing was durable in time")
}
