//! `make demo`: two people, a group with a third, a `kill -9` in mid conversation, the counters, the
//! tables rebuilt from the log, and the checker's verdict on all of it. In one terminal, on a node
//! of its own that is a process of its own.
//!
//! What is shown is what happened: every line is printed after what it says was seen to be so, and
//! anything that is not as promised ends the demo with an error.

mod person;
mod proof;
mod stage;
mod storm;

use std::path::Path;

use anyhow::ensure;
use cursus_client::Group;
use schemas::ids::ChatId;
use schemas::position::Seq;

use crate::process::{NodeProcess, RunningNode};
use crate::torture::audit::Asked;
use person::{Person, accepted, words};
pub use stage::Stage;

/// What the group is called.
const GROUP: &str = "harbour";

/// Runs the demo on a node of this program.
///
/// # Errors
/// When anything is not as promised.
pub async fn run(program: &Path, stage: &mut Stage) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let process = NodeProcess::new(program, &folder.path().join("data"), &[])?;
    stage.scene("Two people")?;
    let (starting, address) = (process.clone(), process.address);
    let node = tokio::task::spawn_blocking(move || starting.start()).await??;
    stage.tells(
        "node",
        "listens",
        &format!("on {address}, process {}", node.id()),
    )?;
    let mut people = Vec::new();
    for name in ["ada", "bob"] {
        people.push(Person::arrive(&process, name).await?);
    }
    let direct = two_people(stage, &people).await?;
    stage.scene("A group with a third")?;
    people.push(Person::arrive(&process, "cy").await?);
    let group = group(stage, &people).await?;
    stage.scene("kill -9 in mid conversation")?;
    let (node, _) = storm::pass(stage, &process, node, &people, &group).await?;
    stage.scene("The counters")?;
    counters(stage, &people, &group).await?;
    let of = |people: &[Person]| people.iter().map(|p| p.endpoint.0.clone()).collect();
    let (two, all) = (of(people.get(..2).unwrap_or_default()), of(&people));
    let asked = [(direct, two), (group, all)].into();
    prove(stage, &process, node, &people, &asked).await
}

/// A greeting, an answer, and the ticks that come back.
async fn two_people(stage: &mut Stage, people: &[Person]) -> anyhow::Result<ChatId> {
    let [ada, bob] = people else {
        anyhow::bail!("two people")
    };
    let chat = ChatId::direct(&ada.endpoint.0, &bob.endpoint.0)?;
    let mut last = Seq(0);
    for (who, whom, text) in [
        (ada, bob, "Are you at the harbour?"),
        (bob, ada, "By the old crane. You?"),
        (ada, bob, "Two streets away."),
    ] {
        stage.says(who.name(), whom.name(), text)?;
        last = who.says(&chat, text).await?;
        let entry = whom.hears(&chat, last).await?;
        stage.sees(whom.name(), who.name(), &words(&entry))?;
    }
    proof::ticks(stage, ada, &chat, last, (1, 1, 0)).await?;
    bob.client.mark_read(&chat, last).await?;
    bob.recorder.has_read(&chat, last);
    proof::ticks(stage, ada, &chat, last, (1, 1, 1)).await?;
    Ok(chat)
}

/// The first person makes a group of all; each says something, and all others see it.
async fn group(stage: &mut Stage, people: &[Person]) -> anyhow::Result<ChatId> {
    let [ada, others @ ..] = people else {
        anyhow::bail!("somebody")
    };
    let members = others
        .iter()
        .map(|person| person.endpoint.0.clone())
        .collect();
    let group = Group {
        title: GROUP.to_owned(),
        members,
        ..Group::default()
    };
    let (chat, made) = accepted(ada.client.create_group(group).await?).await?;
    for person in people {
        let entry = person.hears(&chat, made).await?;
        stage.sees(person.name(), entry.author.as_str(), &words(&entry))?;
    }
    for (speaker, text) in people
        .iter()
        .zip(["All here?", "Here.", "On the ferry, ten minutes."])
    {
        stage.says(speaker.name(), GROUP, text)?;
        let seq = speaker.says(&chat, text).await?;
        for listener in people
            .iter()
            .filter(|person| person.name() != speaker.name())
        {
            let entry = listener.hears(&chat, seq).await?;
            stage.sees(listener.name(), speaker.name(), &words(&entry))?;
        }
    }
    Ok(chat)
}

/// One reads, one does not: the status of the last message and everybody's unread counts.
async fn counters(stage: &mut Stage, people: &[Person], chat: &ChatId) -> anyhow::Result<()> {
    let [ada, bob, _] = people else {
        anyhow::bail!("three people")
    };
    let text = "What a storm. Coffee?";
    stage.says(ada.name(), GROUP, text)?;
    let seq = ada.says(chat, text).await?;
    proof::ticks(stage, ada, chat, seq, (2, 2, 0)).await?;
    bob.client.mark_read(chat, seq).await?;
    bob.recorder.has_read(chat, seq);
    stage.tells(bob.name(), "has read", &format!("up to seq {seq}"))?;
    proof::ticks(stage, ada, chat, seq, (2, 2, 1)).await?;
    proof::unread(stage, people).await
}

/// The checker, then the rebuild; both must find nothing.
async fn prove(
    stage: &mut Stage,
    process: &NodeProcess,
    node: RunningNode,
    people: &[Person],
    asked: &Asked,
) -> anyhow::Result<()> {
    let (history, violations) = proof::history(process, people, asked).await?;
    stage.scene("The tables, made again from the log")?;
    let equal = proof::rebuilt(stage, process, node)?;
    stage.scene("The verdict")?;
    let kept = proof::verdict(stage, &history, &violations)?;
    ensure!(equal && kept, "not everything is as promised");
    Ok(())
}
