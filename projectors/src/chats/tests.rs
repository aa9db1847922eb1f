//! The rules of the chats fold, one by one, on plain states: no engine, no ports.

use schemas::errors::Code;
use schemas::events::{
    Body, ChatChanged, ChatCreated, ChatEvent, MemberAdded, MemberLeft, MemberRemoved,
    MemberRoleChanged, MessageDeleted, MessageEdited, MessageSent, Origin, ReactionSet, Role,
};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Offset, Ordinal, Seq, Timestamp, Version};

use super::dedupe::Verdict;
use super::fold::{Accepted, Outcome, apply};
use super::state::{ChatState, Target};

const GROUP: &str = "g.00112233445566778899aabbccddeeff";

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

/// One chat under test: applies events one after the other.
struct World {
    chat: ChatId,
    state: ChatState,
    offset: u64,
    now: i64,
}

impl World {
    fn new(chat: &str) -> Self {
        let chat = ChatId::new(chat).unwrap();
        let state = ChatState::new(&chat);
        Self {
            chat,
            state,
            offset: 0,
            now: 1_000,
        }
    }

    /// A group of ada (owner), bob and cleo.
    fn group() -> Self {
        let mut world = Self::new(GROUP);
        world.create("ada", &["bob", "cleo"], 256).unwrap();
        world
    }

    fn origin(&self, author: &str) -> Origin {
        Origin {
            chat: self.chat.clone(),
            author: user(author),
            device: DeviceId::new("phone").unwrap(),
            client_id: ClientId::new(format!("c{}", self.offset)).unwrap(),
            at: Timestamp(self.now),
            rules: 1,
        }
    }

    fn apply(&mut self, event: &ChatEvent) -> Outcome {
        let target = event.target().and_then(|seq| {
            let recent = self.state.recent(seq);
            recent.flatten().cloned()
        });
        self.offset += 1;
        apply(
            &mut self.state,
            event,
            target.as_ref(),
            Offset(self.offset - 1),
        )
    }

    fn try_apply(&mut self, event: &ChatEvent) -> Result<Accepted, Code> {
        match self.apply(event) {
            Outcome::Accepted(accepted) => Ok(accepted),
            Outcome::Refused(code) => Err(code),
            Outcome::Repeated(verdict) => panic!("not a resend, but {verdict:?}"),
        }
    }

    fn create(&mut self, author: &str, members: &[&str], max: u32) -> Result<Accepted, Code> {
        let event = ChatEvent::ChatCreated(ChatCreated {
            origin: self.origin(author),
            title: "title".into(),
            description: "about".into(),
            members: members.iter().map(|m| user(m)).collect(),
            max_members: max,
        });
        self.try_apply(&event)
    }

    fn send_event(&self, author: &str) -> ChatEvent {
        ChatEvent::MessageSent(MessageSent {
            origin: self.origin(author),
            body: Body::text("hello"),
            reply_to: None,
        })
    }

    fn send(&mut self, author: &str) -> Result<Accepted, Code> {
        self.try_apply(&self.send_event(author))
    }

    fn edit(&mut self, author: &str, target: u64) -> Result<Accepted, Code> {
        let event = ChatEvent::MessageEdited(MessageEdited {
            origin: self.origin(author),
            target: Seq(target),
            body: Body::text("better"),
        });
        self.try_apply(&event)
    }

    fn delete(&mut self, author: &str, target: u64) -> Result<Accepted, Code> {
        let event = ChatEvent::MessageDeleted(MessageDeleted {
            origin: self.origin(author),
            target: Seq(target),
        });
        self.try_apply(&event)
    }

    fn react(&mut self, author: &str, target: u64) -> Result<Accepted, Code> {
        let event = ChatEvent::ReactionSet(ReactionSet {
            origin: self.origin(author),
            target: Seq(target),
            reaction: Some("+1".into()),
        });
        self.try_apply(&event)
    }

    fn rename(&mut self, author: &str) -> Result<Accepted, Code> {
        let event = ChatEvent::ChatChanged(ChatChanged {
            origin: self.origin(author),
            title: Some("new".into()),
            description: None,
        });
        self.try_apply(&event)
    }

    fn add(&mut self, author: &str, who: &str, role: Role) -> Result<Accepted, Code> {
        let event = ChatEvent::MemberAdded(MemberAdded {
            origin: self.origin(author),
            user: user(who),
            role,
        });
        self.try_apply(&event)
    }

    fn remove(&mut self, author: &str, who: &str) -> Result<Accepted, Code> {
        let event = ChatEvent::MemberRemoved(MemberRemoved {
            origin: self.origin(author),
            user: user(who),
        });
        self.try_apply(&event)
    }

    fn leave(&mut self, author: &str) -> Result<Accepted, Code> {
        let event = ChatEvent::MemberLeft(MemberLeft {
            origin: self.origin(author),
        });
        self.try_apply(&event)
    }

    fn set_role(&mut self, author: &str, who: &str, role: Role) -> Result<Accepted, Code> {
        let event = ChatEvent::MemberRoleChanged(MemberRoleChanged {
            origin: self.origin(author),
            user: user(who),
            role,
        });
        self.try_apply(&event)
    }

    fn role(&self, who: &str) -> Option<Role> {
        self.state.members.get(&user(who)).map(|stay| stay.role)
    }
}

#[test]
fn accepted_events_are_numbered_without_holes_and_only_sends_are_counted() {
    let mut world = World::group();
    assert_eq!(world.send("bob").unwrap().seq, Seq(2));
    assert_eq!(world.send("stranger"), Err(Code::NotMember));
    let reaction = world.react("ada", 2).unwrap();
    assert_eq!((reaction.seq, reaction.ordinal), (Seq(3), Ordinal(1)));
    let sent = world.send("ada").unwrap();
    assert_eq!((sent.seq, sent.ordinal), (Seq(4), Ordinal(2)));
}

#[test]
fn a_direct_chat_exists_with_its_two_members() {
    let mut world = World::new("d.ada.bob");
    assert_eq!(world.send("cleo"), Err(Code::NotMember));
    let first = world.send("bob").unwrap();
    assert_eq!(
        first.stays.len(),
        2,
        "both get their rows with the first event"
    );
    assert!(first.stays.iter().all(|(_, stay)| stay.since == Seq(0)));
    assert!(world.send("ada").unwrap().stays.is_empty());
}

#[test]
fn a_direct_chat_has_no_title_roles_or_membership_changes() {
    let mut world = World::new("d.ada.bob");
    assert_eq!(world.create("ada", &[], 2), Err(Code::NotAGroup));
    assert_eq!(world.rename("ada"), Err(Code::NotAGroup));
    assert_eq!(world.add("ada", "cleo", Role::Member), Err(Code::NotAGroup));
    assert_eq!(world.remove("ada", "bob"), Err(Code::NotAGroup));
    assert_eq!(world.leave("ada"), Err(Code::NotAGroup));
    assert_eq!(
        world.set_role("ada", "bob", Role::Admin),
        Err(Code::NotAGroup)
    );
    assert_eq!(world.state.head, Seq(0));
}

#[test]
fn a_group_exists_once_it_was_created() {
    let mut world = World::new(GROUP);
    assert_eq!(world.send("ada"), Err(Code::ChatNotFound));
    world.create("ada", &["bob", "bob", "ada"], 2).unwrap();
    assert_eq!(
        world.state.members.len(),
        2,
        "each once, the author among them"
    );
    assert_eq!(world.create("bob", &[], 2), Err(Code::ChatExists));
    assert_eq!(world.role("ada"), Some(Role::Owner));
}

#[test]
fn a_group_never_has_more_members_than_it_may() {
    let mut world = World::new(GROUP);
    assert_eq!(
        world.create("ada", &["bob", "cleo"], 2),
        Err(Code::GroupFull)
    );
    world.create("ada", &["bob"], 3).unwrap();
    world.add("ada", "cleo", Role::Member).unwrap();
    assert_eq!(world.add("ada", "dan", Role::Member), Err(Code::GroupFull));
    world.leave("bob").unwrap();
    assert!(world.add("ada", "dan", Role::Member).is_ok());
}

#[test]
fn no_group_is_larger_than_the_rules_allow_whatever_its_event_says() {
    let mut world = World::new(GROUP);
    let names: Vec<String> = (0..1_024).map(|n| format!("u{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(world.create("ada", &names, 9_999), Err(Code::GroupFull));
    assert!(world.create("ada", &names[1..], 9_999).is_ok());
    assert_eq!(
        world.add("ada", "one-more", Role::Member),
        Err(Code::GroupFull)
    );
}

#[test]
fn a_resend_gets_the_first_verdict_whatever_it_was() {
    let mut world = World::group();
    let sent = world.send_event("bob");
    let Outcome::Accepted(first) = world.apply(&sent) else {
        panic!("a member may send");
    };
    let seq = Verdict::Accepted(first.seq);
    assert_eq!(world.apply(&sent), Outcome::Repeated(seq));
    let refused = world.send_event("dan");
    assert_eq!(world.apply(&refused), Outcome::Refused(Code::NotMember));
    world.add("ada", "dan", Role::Member).unwrap();
    let verdict = Verdict::Refused(Code::NotMember);
    assert_eq!(world.apply(&refused), Outcome::Repeated(verdict));
    assert_eq!(world.state.head, Seq(3), "created, sent, added");
}

#[test]
fn the_same_client_id_of_another_device_is_another_command() {
    let mut world = World::group();
    let ChatEvent::MessageSent(mut sent) = world.send_event("bob") else {
        unreachable!("it is a send");
    };
    assert!(
        world
            .try_apply(&ChatEvent::MessageSent(sent.clone()))
            .is_ok()
    );
    sent.origin.device = DeviceId::new("tablet").unwrap();
    assert!(world.try_apply(&ChatEvent::MessageSent(sent)).is_ok());
}

#[test]
fn only_the_author_edits_and_only_a_message() {
    let mut world = World::group();
    world.send("bob").unwrap();
    assert_eq!(world.edit("ada", 2), Err(Code::NotAllowed));
    world.edit("bob", 2).unwrap();
    assert_eq!(world.edit("bob", 3), Err(Code::MessageNotFound), "an edit");
    assert_eq!(
        world.edit("ada", 1),
        Err(Code::MessageNotFound),
        "the creation"
    );
    assert_eq!(
        world.edit("bob", 9),
        Err(Code::MessageNotFound),
        "not there yet"
    );
    assert_eq!(world.edit("bob", 0), Err(Code::MessageNotFound));
}

#[test]
fn a_message_is_deleted_by_its_author_an_admin_or_the_owner() {
    let mut world = World::group();
    world.send("bob").unwrap();
    assert_eq!(world.delete("cleo", 2), Err(Code::NotAllowed));
    world.delete("bob", 2).unwrap();
    world.delete("ada", 2).unwrap();
    world.set_role("ada", "cleo", Role::Admin).unwrap();
    world.delete("cleo", 2).unwrap();
    let mut direct = World::new("d.ada.bob");
    direct.send("ada").unwrap();
    assert_eq!(direct.delete("bob", 1), Err(Code::NotAllowed));
}

#[test]
fn any_member_reacts_to_a_message() {
    let mut world = World::group();
    world.send("bob").unwrap();
    world.react("cleo", 2).unwrap();
    assert_eq!(world.react("dan", 2), Err(Code::NotMember));
    assert_eq!(
        world.react("ada", 3),
        Err(Code::MessageNotFound),
        "a reaction"
    );
}

#[test]
fn admins_add_and_remove_members_but_not_each_other() {
    let mut world = World::group();
    assert_eq!(world.add("bob", "dan", Role::Member), Err(Code::NotAllowed));
    assert_eq!(world.remove("bob", "cleo"), Err(Code::NotAllowed));
    world.set_role("ada", "bob", Role::Admin).unwrap();
    world.add("bob", "dan", Role::Member).unwrap();
    assert_eq!(
        world.add("bob", "dan", Role::Member),
        Err(Code::AlreadyMember)
    );
    assert_eq!(world.add("bob", "eve", Role::Admin), Err(Code::NotAllowed));
    world.add("ada", "eve", Role::Admin).unwrap();
    assert_eq!(world.add("ada", "fay", Role::Owner), Err(Code::NotAllowed));
    assert_eq!(world.remove("bob", "eve"), Err(Code::NotAllowed));
    assert_eq!(world.remove("bob", "ada"), Err(Code::NotAllowed));
    assert_eq!(
        world.remove("bob", "bob"),
        Err(Code::NotAllowed),
        "that is leaving"
    );
    assert_eq!(world.remove("bob", "nobody"), Err(Code::UserNotMember));
    assert_eq!(
        world.remove("bob", "cleo").unwrap().removed,
        Some(user("cleo"))
    );
    world.remove("ada", "eve").unwrap();
    assert_eq!(world.send("cleo"), Err(Code::NotMember));
}

#[test]
fn the_owner_changes_roles_and_hands_the_group_over() {
    let mut world = World::group();
    world.set_role("ada", "bob", Role::Admin).unwrap();
    assert_eq!(
        world.set_role("bob", "cleo", Role::Admin),
        Err(Code::NotAllowed)
    );
    assert_eq!(
        world.set_role("ada", "ada", Role::Member),
        Err(Code::NotAllowed)
    );
    assert_eq!(
        world.set_role("ada", "dan", Role::Admin),
        Err(Code::UserNotMember)
    );
    world.set_role("ada", "bob", Role::Owner).unwrap();
    assert_eq!(world.role("bob"), Some(Role::Owner));
    assert_eq!(world.role("ada"), Some(Role::Admin));
}

#[test]
fn when_the_owner_leaves_the_oldest_admin_else_the_oldest_member_follows() {
    let mut world = World::group();
    world.add("ada", "aaron", Role::Member).unwrap();
    world.add("ada", "zoe", Role::Admin).unwrap();
    let left = world.leave("ada").unwrap();
    assert_eq!(world.role("zoe"), Some(Role::Owner));
    assert_eq!(left.stays.len(), 2, "who left and who follows");
    world.leave("zoe").unwrap();
    assert_eq!(
        world.role("bob"),
        Some(Role::Owner),
        "bob and cleo came first"
    );
    world.leave("bob").unwrap();
    world.leave("cleo").unwrap();
    world.leave("aaron").unwrap();
    assert!(world.state.members.is_empty());
    assert_eq!(world.send("aaron"), Err(Code::NotMember));
}

#[test]
fn who_comes_back_begins_a_new_stay() {
    let mut world = World::group();
    world.send("ada").unwrap();
    world.leave("bob").unwrap();
    let back = world.add("ada", "bob", Role::Member).unwrap();
    let (_, stay) = &back.stays[0];
    assert_eq!((stay.since, stay.since_ordinal), (back.seq, Ordinal(1)));
    assert_eq!(stay.until, Seq(0));
}

#[test]
fn title_and_description_are_changed_by_admins_alone_and_apart() {
    let mut world = World::group();
    assert_eq!(world.rename("bob"), Err(Code::NotAllowed));
    world.rename("ada").unwrap();
    let details = world.state.details.as_ref().unwrap();
    assert_eq!(
        (details.title.as_str(), details.description.as_str()),
        ("new", "about")
    );
}

#[test]
fn chat_time_never_goes_back() {
    let mut world = World::group();
    world.now = 5_000;
    assert_eq!(world.send("ada").unwrap().at, Timestamp(5_000));
    world.now = 10;
    assert_eq!(world.send("ada").unwrap().at, Timestamp(5_000));
    world.now = 5_001;
    assert_eq!(world.send("ada").unwrap().at, Timestamp(5_001));
}

#[test]
fn a_state_that_was_written_and_read_again_is_the_same() {
    use crate::engine::projection::Memory;
    use schemas::position::Generation;

    let mut world = World::group();
    for n in 0..600 {
        world.send(if n % 3 == 0 { "ada" } else { "bob" }).unwrap();
    }
    world.leave("cleo").unwrap();
    world.send("stranger").unwrap_err();
    let unwritten = std::mem::take(&mut world.state.unwritten);
    let mut memory = Memory::new(Generation(1));
    memory.state(|batch| super::memory::write(&world.chat, &mut world.state, &unwritten, batch));
    let rows: Vec<_> = memory.states[0]
        .iter()
        .map(|m| {
            let values = m.values.as_ref().unwrap();
            let row = schemas::tables::decode_row(&m.partition, &m.cluster, values).unwrap();
            (row, m.version)
        })
        .collect();
    let read = super::memory::read(&world.chat, &rows, true).unwrap();
    assert_eq!(read.position, Version(world.offset));
    assert_eq!(
        (read.head, read.ordinal, read.at),
        (Seq(602), Ordinal(600), world.state.at)
    );
    assert_eq!(read.members, world.state.members);
    assert_eq!(read.details, world.state.details);
    assert_eq!(read.rings, world.state.rings);
    assert_eq!(
        rows.len(),
        1 + 3 + 256 + 201 + 2,
        "head, members, a full ring, the others"
    );
}

#[test]
fn facts_of_recent_messages_are_at_hand_until_their_rows_are_written() {
    let mut world = World::new("d.ada.bob");
    for _ in 0..50 {
        world.send("ada").unwrap();
    }
    world.state.trim_recent(Offset(0));
    let target = Target {
        author: user("ada"),
    };
    assert_eq!(
        world.state.recent(Seq(1)),
        Some(Some(&target)),
        "nothing is written"
    );
    world.state.trim_recent(Offset(50));
    assert_eq!(world.state.recent(Seq(1)), None);
    assert_eq!(world.state.recent(Seq(50)), Some(Some(&target)));
    assert_eq!(world.state.recent(Seq(51)), None);
}
