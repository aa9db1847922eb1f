//! The desk of marks: a partition that takes no marks holds up those of no other.

use std::sync::Arc;

use infra_ports::EventLog;
use infra_ports::memory::log::{Around, AroundLog};
use infra_ports::memory::{Chances, MemoryLog};
use schemas::errors::Code;
use schemas::frames::{Command, Frame, MarkUpTo};
use schemas::ids::{ChatId, UserId};
use schemas::position::{Partition, Seq};
use schemas::topics::partition_of;

use crate::Config;
use crate::testing::*;

const PARTITIONS: u32 = 4;

fn home(id: &str) -> Partition {
    partition_of(id.as_bytes(), PARTITIONS)
}

fn delivered(chat: &ChatId, seq: u64) -> Command {
    let (chat, seq) = (chat.clone(), Seq(seq));
    Command::Delivered(MarkUpTo { chat, seq })
}

/// What marks were answered, under no name: settled ones, and refusals.
fn answers(frames: &[Frame]) -> (usize, Vec<Code>) {
    let is_settled = |frame: &&Frame| matches!(frame, Frame::Settled(_));
    let refused = |frame: &Frame| match frame {
        Frame::Error(refusal) => Some(refusal.code),
        _ => None,
    };
    let refused = frames.iter().filter_map(refused).collect();
    (frames.iter().filter(is_settled).count(), refused)
}

/// Somebody who is told in the first partition, live, with two chats of different partitions in which
/// three messages came.
struct Marking {
    scene: Scene,
    client: Client,
    stuck: ChatId,
    sound: ChatId,
}

/// A log that is one server's: its partitions share what holds them up.
struct OneServer(MemoryLog);

impl Around for OneServer {
    fn inner(&self) -> &dyn EventLog {
        &self.0
    }

    fn has_leaders(&self) -> bool {
        false
    }
}

impl Marking {
    fn new() -> Self {
        Self::over(|log| Arc::new(log))
    }

    fn over(seen: fn(MemoryLog) -> Arc<dyn EventLog>) -> Self {
        let log = MemoryLog::new(PARTITIONS);
        let mut scene = Scene::over(log, seen, Config::default(), 1, Chances::CALM);
        let mut names = (0..).map(|n| format!("ada{n}"));
        let name = names.find(|name| home(name) == Partition(0)).unwrap();
        let mut peers = (0..).map(|n| chat(&format!("d.{name}.bob{n}")));
        let stuck = peers.next().unwrap();
        let sound = peers.find(|chat| home(chat.as_str()) != home(stuck.as_str()));
        let sound = sound.unwrap();
        let client = scene.live(&format!("{name}/phone"));
        for seq in 1..=3 {
            for chat in [&stuck, &sound] {
                let (a, b) = chat.pair().unwrap();
                let bob: &UserId = if a.as_str() == name { &b } else { &a };
                let text = message(chat, bob.as_str(), &format!("{chat}-{seq}"));
                scene.tell(seq, &text, &[name.as_str()]);
            }
        }
        scene.frames(&client);
        *scene.commands.no_marks_of.lock() = Some(stuck.clone());
        Self {
            scene,
            client,
            stuck,
            sound,
        }
    }

    fn mark(&mut self, chat: &ChatId, seq: u64) -> (usize, Vec<Code>) {
        self.scene.command(&self.client, "r", &delivered(chat, seq));
        // As long as the desk rests after a round that was late, at most.
        self.scene.wait(150);
        let frames = self.scene.frames(&self.client);
        answers(&frames)
    }

    fn appended(&self) -> Vec<(ChatId, u64)> {
        let marks = self.scene.commands.marks.lock();
        let one = |(_, mark): &(String, crate::StampedMark)| (mark.chat.clone(), mark.seq.0);
        marks.iter().map(one).collect()
    }
}

#[test]
fn a_partition_that_takes_no_marks_holds_up_no_other() {
    let mut marking = Marking::new();
    let (stuck, sound) = (marking.stuck.clone(), marking.sound.clone());
    assert_eq!(marking.mark(&stuck, 1), (0, vec![]), "it waits");
    assert_eq!(marking.mark(&sound, 1), (1, vec![]));
    assert_eq!(marking.mark(&stuck, 2), (0, vec![]));
    assert_eq!(marking.mark(&sound, 3), (1, vec![]));
    assert_eq!(marking.mark(&stuck, 3), (0, vec![]));
    marking.scene.wait(2_000);
    *marking.scene.commands.no_marks_of.lock() = None;
    let frames = marking.scene.frames(&marking.client);
    assert_eq!(answers(&frames), (3, vec![]), "all who waited are answered");
    let of = |chat: &ChatId| {
        let all = marking.appended().into_iter();
        let own = all.filter(|(of, _)| of == chat).map(|(_, seq)| seq);
        own.collect::<Vec<_>>()
    };
    assert_eq!(
        of(&stuck),
        [1, 3],
        "the largest stood for those that waited"
    );
    assert_eq!(of(&sound), [1, 3]);
}

#[test]
fn marks_that_waited_for_a_partition_are_refused_with_no_others_and_may_be_made_again() {
    let mut marking = Marking::new();
    let (stuck, sound) = (marking.stuck.clone(), marking.sound.clone());
    *marking.scene.commands.refuse_marks.lock() = Some(Code::Unavailable);
    for (chat, seq) in [(&stuck, 1), (&stuck, 2), (&sound, 2)] {
        marking
            .scene
            .command(&marking.client, "r", &delivered(chat, seq));
        marking.scene.wait(150);
    }
    let frames = marking.scene.frames(&marking.client);
    assert_eq!(answers(&frames), (1, vec![]));
    *marking.scene.commands.no_marks_of.lock() = None;
    let frames = marking.scene.frames(&marking.client);
    assert_eq!(answers(&frames), (1, vec![Code::Unavailable]), "the first");
    assert_eq!(marking.appended(), [(sound, 2), (stuck.clone(), 2)]);
    assert_eq!(marking.mark(&stuck, 3), (1, vec![]));
}

#[test]
fn marks_of_a_tick_are_one_append_or_one_for_each_leader() {
    let one_server: fn(MemoryLog) -> Arc<dyn EventLog> = |log| Arc::new(AroundLog(OneServer(log)));
    for (mut marking, rounds) in [
        (Marking::over(one_server), &[2][..]),
        (Marking::new(), &[1, 1]),
    ] {
        *marking.scene.commands.no_marks_of.lock() = None;
        for chat in [&marking.stuck, &marking.sound] {
            let mark = delivered(chat, 3);
            marking.scene.command(&marking.client, "r", &mark);
        }
        let frames = marking.scene.frames(&marking.client);
        assert_eq!(answers(&frames), (2, vec![]));
        assert_eq!(*marking.scene.commands.rounds.lock(), rounds);
    }
}
