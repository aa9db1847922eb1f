//! A log's worth of events as real people make them: mostly direct chats, some groups, a few chats
//! busier than the rest, marks on, some edits and reactions. The same seed and the same begin give the
//! same bytes.
//!
//! Every event is one that the chats fold accepts, so what the tables must hold afterwards is known
//! here: [`Corpus::messages`] of them, no more and no fewer.

use bytes::Bytes;
use infra_ports::log::NewRecord;
use schemas::avro::LogEvent;
use schemas::events::{
    Body, ChatCreated, ChatEvent, Mark, MarkKind, MessageEdited, MessageSent, Origin, RULES,
    ReactionSet, ReceiptEvent,
};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};
use schemas::topics::Topic;

/// Members of a group.
const GROUP_MEMBERS: usize = 32;
/// Of so many messages one is to a group.
const ONE_TO_A_GROUP: usize = 10;

/// How large a corpus is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Messages in all.
    pub(super) messages: u64,
    /// Direct chats.
    pub(super) directs: usize,
    /// Groups of 32.
    pub(super) groups: usize,
}

impl Shape {
    /// So many messages in a tenth as many direct chats, and a hundredth as many groups as those.
    pub(super) fn of(messages: u64) -> Self {
        let directs = usize::try_from(messages / 10).unwrap_or(usize::MAX).max(10);
        let groups = (directs / 100).max(1);
        Self {
            messages,
            directs,
            groups,
        }
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} messages in {} direct chats and {} groups of {GROUP_MEMBERS}, with marks, edits and reactions",
            self.messages, self.directs, self.groups
        )
    }
}

/// An event on its way into the log.
pub(super) struct Line {
    pub(super) topic: Topic,
    pub(super) record: NewRecord,
}

/// How far a chat has got.
#[derive(Clone, Copy, Default)]
struct Place {
    seq: u32,
    ordinal: u32,
    /// The last message and which member wrote it; 0 before the first.
    last: (u32, u32),
}

/// The members of a chat, and its id.
struct Cast {
    chat: ChatId,
    members: Vec<UserId>,
}

/// Makes the events, one step of a conversation at a time.
pub(super) struct Corpus {
    shape: Shape,
    begin: Timestamp,
    users: usize,
    chance: fastrand::Rng,
    directs: Vec<Place>,
    groups: Vec<Place>,
    messages: u64,
    steps: u64,
}

impl Corpus {
    /// The first event happens at `begin`, and one step a millisecond follows.
    pub(super) fn new(shape: Shape, seed: u64, begin: Timestamp) -> Self {
        Self {
            shape,
            begin,
            users: shape.directs / 5 + 2 * GROUP_MEMBERS,
            chance: fastrand::Rng::with_seed(seed),
            directs: vec![Place::default(); shape.directs],
            groups: vec![Place::default(); shape.groups],
            messages: 0,
            steps: 0,
        }
    }

    /// Messages sent so far.
    pub(super) fn messages(&self) -> u64 {
        self.messages
    }

    /// The events of the next step, in their order; none when everything was said.
    pub(super) fn step(&mut self) -> anyhow::Result<Option<Vec<Line>>> {
        if self.messages == self.shape.messages {
            return Ok(None);
        }
        self.steps += 1;
        let to_group = self.chance.usize(..ONE_TO_A_GROUP) == 0;
        let count = if to_group {
            self.groups.len()
        } else {
            self.directs.len()
        };
        // The square of an even chance: a tenth of the chats gets a third of the messages.
        let (one, other) = (self.chance.usize(..count), self.chance.usize(..count));
        let number = one * other / count;
        let cast = if to_group {
            self.group(number)?
        } else {
            self.direct(number)?
        };
        let places = if to_group {
            &mut self.groups
        } else {
            &mut self.directs
        };
        let mut place = places.get(number).copied().unwrap_or_default();
        let mut lines = Vec::with_capacity(4);
        self.happen(&cast, &mut place, to_group, &mut lines)?;
        let places = if to_group {
            &mut self.groups
        } else {
            &mut self.directs
        };
        if let Some(kept) = places.get_mut(number) {
            *kept = place;
        }
        Ok(Some(lines))
    }

    /// What happens in a chat next.
    fn happen(
        &mut self,
        cast: &Cast,
        place: &mut Place,
        is_group: bool,
        lines: &mut Vec<Line>,
    ) -> anyhow::Result<()> {
        if is_group && place.seq == 0 {
            place.seq = 1;
            let created = self.created(cast)?;
            lines.push(self.line(cast, &ChatEvent::ChatCreated(created))?);
            // Each command has an id of its own, or the fold takes the second for a resend.
            self.steps += 1;
        }
        let (message, author) = place.last;
        let change = if message == 0 {
            99
        } else {
            self.chance.u32(..100)
        };
        place.seq += 1;
        let event = match change {
            0 => self.edit(cast, message, author)?,
            1 | 2 => self.reaction(cast, message)?,
            _ => {
                let author = self.chance.u32(..u32::try_from(cast.members.len())?);
                place.ordinal += 1;
                place.last = (place.seq, author);
                self.messages += 1;
                self.message(cast, author)?
            }
        };
        lines.push(self.line(cast, &event)?);
        if event.is_countable() {
            self.marks(cast, *place, is_group, lines)?;
        }
        Ok(())
    }

    /// Those who have the message at once: the other one, or some of the group.
    fn marks(
        &mut self,
        cast: &Cast,
        place: Place,
        is_group: bool,
        lines: &mut Vec<Line>,
    ) -> anyhow::Result<()> {
        let author = place.last.1;
        let count = u32::try_from(cast.members.len())?;
        for _ in 0..if is_group { 2 } else { 1 } {
            let who = (author + 1 + self.chance.u32(..count - 1)) % count;
            let kind = match self.chance.u32(..10) {
                0..6 => MarkKind::Delivered,
                6..9 => MarkKind::Read,
                _ => continue,
            };
            let mark = Mark {
                chat: cast.chat.clone(),
                user: member(cast, who)?,
                device: DeviceId::new("phone")?,
                kind,
                seq: Seq(place.seq.into()),
                ordinal: Ordinal(place.ordinal.into()),
                since: Seq(u64::from(is_group)),
                authors: vec![member(cast, author)?],
                at: self.now(),
            };
            let value = ReceiptEvent::Mark(mark).encode()?;
            lines.push(self.placed(cast, Topic::Receipts, value));
        }
        Ok(())
    }

    fn message(&mut self, cast: &Cast, author: u32) -> anyhow::Result<ChatEvent> {
        let body = self.text();
        let origin = self.origin(cast, author)?;
        let sent = MessageSent {
            origin,
            body,
            reply_to: None,
        };
        Ok(ChatEvent::MessageSent(sent))
    }

    fn edit(&mut self, cast: &Cast, target: u32, author: u32) -> anyhow::Result<ChatEvent> {
        let body = self.text();
        let origin = self.origin(cast, author)?;
        let edited = MessageEdited {
            origin,
            target: Seq(target.into()),
            body,
        };
        Ok(ChatEvent::MessageEdited(edited))
    }

    fn reaction(&mut self, cast: &Cast, target: u32) -> anyhow::Result<ChatEvent> {
        let who = self.chance.u32(..u32::try_from(cast.members.len())?);
        let set = ReactionSet {
            origin: self.origin(cast, who)?,
            target: Seq(target.into()),
            reaction: Some("👍".into()),
        };
        Ok(ChatEvent::ReactionSet(set))
    }

    fn created(&self, cast: &Cast) -> anyhow::Result<ChatCreated> {
        Ok(ChatCreated {
            origin: self.origin(cast, 0)?,
            title: "some people".to_owned(),
            description: String::new(),
            members: cast.members.iter().skip(1).cloned().collect(),
            max_members: 256,
        })
    }

    /// 20 to 200 bytes of text.
    fn text(&mut self) -> Body {
        let length = self.chance.usize(20..200);
        Body::text(
            "lorem ipsum dolor sit amet "
                .chars()
                .cycle()
                .take(length)
                .collect::<String>(),
        )
    }

    fn origin(&self, cast: &Cast, author: u32) -> anyhow::Result<Origin> {
        Ok(Origin {
            chat: cast.chat.clone(),
            author: member(cast, author)?,
            device: DeviceId::new("phone")?,
            client_id: ClientId::new(format!("{:016x}", self.steps))?,
            at: self.now(),
            rules: RULES,
        })
    }

    fn now(&self) -> Timestamp {
        Timestamp(self.begin.0 + i64::try_from(self.steps).unwrap_or(0))
    }

    fn line(&self, cast: &Cast, event: &ChatEvent) -> anyhow::Result<Line> {
        Ok(self.placed(cast, Topic::Chats, event.encode()?))
    }

    fn placed(&self, cast: &Cast, topic: Topic, value: Bytes) -> Line {
        let key = Bytes::copy_from_slice(cast.chat.as_str().as_bytes());
        let at = self.now();
        Line {
            topic,
            record: NewRecord { key, value, at },
        }
    }

    /// A direct chat by its number: no two have the same pair.
    fn direct(&self, number: usize) -> anyhow::Result<Cast> {
        let one = number % self.users;
        let other = (one + 1 + number / self.users) % self.users;
        let (one, other) = (user(one)?, user(other)?);
        Ok(Cast {
            chat: ChatId::direct(&one, &other)?,
            members: vec![one, other],
        })
    }

    /// A group by its number.
    fn group(&self, number: usize) -> anyhow::Result<Cast> {
        let first = number * GROUP_MEMBERS;
        let members = (first..first + GROUP_MEMBERS).map(|n| user(n % self.users));
        let members: Vec<_> = members.collect::<Result<_, _>>()?;
        let (device, client) = (
            DeviceId::new("phone")?,
            ClientId::new(format!("group-{number}"))?,
        );
        let owner = members.first().cloned().unwrap_or(user(0)?);
        Ok(Cast {
            chat: ChatId::group(&owner, &device, &client),
            members,
        })
    }
}

fn user(number: usize) -> anyhow::Result<UserId> {
    Ok(UserId::new(format!("u{number:07}"))?)
}

fn member(cast: &Cast, number: u32) -> anyhow::Result<UserId> {
    let found = cast.members.get(usize::try_from(number)?);
    found
        .cloned()
        .ok_or_else(|| anyhow::anyhow!("{} has no member {number}", cast.chat))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SHAPE: Shape = Shape {
        messages: 2_000,
        directs: 100,
        groups: 5,
    };

    fn lines(seed: u64) -> Vec<(Topic, NewRecord)> {
        let mut corpus = Corpus::new(SHAPE, seed, Timestamp(0));
        let mut lines = Vec::new();
        while let Some(step) = corpus.step().unwrap() {
            lines.extend(step.into_iter().map(|line| (line.topic, line.record)));
        }
        assert_eq!(corpus.messages(), SHAPE.messages);
        lines
    }

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert!(lines(1) == lines(1));
        assert!(lines(1) != lines(2));
    }

    #[test]
    fn no_command_is_a_resend_of_another() {
        let chats = lines(1)
            .into_iter()
            .filter(|(topic, _)| *topic == Topic::Chats);
        let ids: Vec<_> = chats
            .map(|(_, record)| {
                ChatEvent::decode(&record.value)
                    .unwrap()
                    .origin()
                    .message_id()
            })
            .collect();
        let apart: BTreeSet<_> = ids.iter().map(ToString::to_string).collect();
        assert_eq!(apart.len(), ids.len());
    }

    #[test]
    fn no_two_direct_chats_have_the_same_pair() {
        let corpus = Corpus::new(SHAPE, 1, Timestamp(0));
        let chats = (0..SHAPE.directs).map(|n| corpus.direct(n).unwrap().chat);
        assert_eq!(chats.collect::<BTreeSet<_>>().len(), SHAPE.directs);
    }
}
