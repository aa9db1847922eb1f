//! Tests of states whose rows are of two moments: they are known for what they are.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use infra_ports::memory::MemoryStore;
use infra_ports::store::{Mutation, TableStore};
use schemas::events::{
    Body, ChatCreated, ChatEvent, MemberAdded, MemberRemoved, MemberRoleChanged, MessageSent,
    Origin, Role,
};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Generation, Offset, Timestamp, Version};
use schemas::tables::{ChatStateRow, Table, decode_row};

use super::blob::BlobError;
use super::fold::{Outcome, apply};
use super::state::ChatState;
use super::{Chats, memory};
use crate::engine::projection::{Memory, Projection, Tables};

const BUILD: Generation = Generation(1);
/// The sum at the end of a head.
const SUM_BYTES: usize = 8;

/// A partition of `chat_states`, by clustering key.
type Rows = BTreeMap<Bytes, (ChatStateRow, Version)>;

fn user(name: &str) -> UserId {
    UserId::new(name).unwrap()
}

fn chat() -> ChatId {
    ChatId::new("g.00112233445566778899aabbccddeeff").unwrap()
}

/// A chat with everything that was ever written of it.
struct World {
    state: ChatState,
    rows: Rows,
    mutations: Vec<Mutation>,
    offset: u64,
}

impl World {
    fn new() -> Self {
        Self {
            state: ChatState::new(&chat()),
            rows: Rows::new(),
            mutations: Vec::new(),
            offset: 0,
        }
    }

    fn does(&mut self, author: &str, what: impl FnOnce(Origin) -> ChatEvent) -> Outcome {
        let origin = Origin {
            chat: chat(),
            author: user(author),
            device: DeviceId::new("phone").unwrap(),
            client_id: ClientId::new(format!("c{}", self.offset)).unwrap(),
            at: Timestamp(1),
            rules: 1,
        };
        let event = what(origin);
        self.offset += 1;
        apply(&mut self.state, &event, None, Offset(self.offset - 1))
    }

    fn sends(&mut self, author: &str, count: usize) {
        for _ in 0..count {
            self.does(author, |origin| {
                let (body, reply_to) = (Body::text("text"), None);
                ChatEvent::MessageSent(MessageSent {
                    origin,
                    body,
                    reply_to,
                })
            });
        }
    }

    fn is_written(&mut self) {
        let mut memory = Memory::new(BUILD);
        Chats.remember(&chat(), &mut self.state, &mut memory);
        let batch = memory.states.pop().unwrap();
        for put in &batch {
            let values = put.values.as_ref().unwrap();
            let row = decode_row(&put.partition, &put.cluster, values).unwrap();
            self.rows.insert(put.cluster.clone(), (row, put.version));
        }
        self.mutations.extend(batch);
    }
}

/// A group in which some wrote, and what it is later: one came, one went, one has another role, and a
/// ring went round.
fn two_moments() -> (Rows, Rows, World) {
    let mut world = World::new();
    world.does("ada", |origin| {
        ChatEvent::ChatCreated(ChatCreated {
            origin,
            title: "title".to_owned(),
            description: String::new(),
            members: vec![user("bob"), user("cleo")],
            max_members: 8,
        })
    });
    world.sends("ada", 250);
    world.sends("bob", 3);
    world.sends("stranger", 1);
    world.is_written();
    let early = world.rows.clone();
    world.does("ada", |origin| {
        let user = user("bob");
        ChatEvent::MemberRemoved(MemberRemoved { origin, user })
    });
    world.does("ada", |origin| {
        let (user, role) = (user("dan"), Role::Member);
        ChatEvent::MemberAdded(MemberAdded { origin, user, role })
    });
    world.does("ada", |origin| {
        let (user, role) = (user("cleo"), Role::Admin);
        ChatEvent::MemberRoleChanged(MemberRoleChanged { origin, user, role })
    });
    world.sends("dan", 2);
    world.is_written();
    world.sends("ada", 20);
    world.is_written();
    (early, world.rows.clone(), world)
}

/// The rows up to a place as they are in one, the others as they are in the other.
fn cut(at: usize, before: &Rows, behind: &Rows) -> Vec<(ChatStateRow, Version)> {
    let mut keys: Vec<_> = before.keys().chain(behind.keys()).collect();
    keys.sort();
    keys.dedup();
    let shown = |(place, key): (usize, &&Bytes)| {
        let of = if place < at { before } else { behind };
        of.get(*key).cloned()
    };
    keys.iter().enumerate().filter_map(shown).collect()
}

fn read(rows: &Rows) -> ChatState {
    let rows: Vec<_> = rows.values().cloned().collect();
    memory::read(&chat(), &rows, false).unwrap()
}

fn is_same(one: &ChatState, other: &ChatState) -> bool {
    (one.position, &one.members, &one.rings) == (other.position, &other.members, &other.rings)
}

#[test]
fn a_state_is_of_one_moment_or_is_refused() {
    let (early, late, world) = two_moments();
    let (before, after) = (read(&early), read(&late));
    assert!(is_same(&after, &world.state), "it is what was written");
    let (mut taken, mut refused) = (0, 0);
    for at in 0..=late.len() {
        for rows in [cut(at, &late, &early), cut(at, &early, &late)] {
            match memory::read(&chat(), &rows, false) {
                Ok(state) => {
                    let of_one = is_same(&state, &before) || is_same(&state, &after);
                    assert!(of_one || rows.is_empty(), "cut at {at}");
                    taken += 1;
                }
                Err(error) => {
                    assert_eq!(error, BlobError::Torn, "cut at {at}");
                    refused += 1;
                }
            }
        }
    }
    assert!(taken >= 4 && refused > 2 * 20, "{taken} and {refused}");
}

#[test]
fn rows_without_a_head_are_of_no_moment() {
    let (_, late, _) = two_moments();
    let beside = late.values().filter(|(row, _)| row.kind != memory::HEAD);
    let rows: Vec<_> = beside.cloned().collect();
    assert_eq!(
        memory::read(&chat(), &rows, false).unwrap_err(),
        BlobError::Torn
    );
    let fresh = memory::read(&chat(), &[], true).unwrap();
    assert!(is_same(&fresh, &ChatState::new(&chat())));
}

/// As a build wrote them that knew of no sums.
fn of_before(rows: &Rows) -> Rows {
    let mut rows = rows.clone();
    for (row, _) in rows
        .values_mut()
        .filter(|(row, _)| row.kind == memory::HEAD)
    {
        row.state.truncate(row.state.len() - SUM_BYTES);
    }
    rows
}

/// Whether a state that was read of these says a sum when it is written.
fn says_a_sum(rows: &[(ChatStateRow, Version)], is_one_page: bool) -> bool {
    let mut world = World::new();
    world.state = memory::read(&chat(), rows, is_one_page).unwrap();
    world.offset = world.state.position.0;
    let length = |rows: &Rows| {
        let mut heads = rows.values().filter(|(row, _)| row.kind == memory::HEAD);
        heads.next().unwrap().0.state.len()
    };
    let (_, all, _) = two_moments();
    world.sends("ada", 300);
    world.is_written();
    length(&world.rows) == length(&all)
}

#[test]
fn rows_that_say_no_sum_are_taken_and_say_one_from_then_on_if_they_fit_together() {
    let (early, late, world) = two_moments();
    let (early, late) = (of_before(&early), of_before(&late));
    assert!(is_same(&read(&late), &world.state));
    let whole: Vec<_> = late.values().cloned().collect();
    assert!(says_a_sum(&whole, true));
    // Verdicts at the end of the ring are those of before it went round.
    let torn = cut(late.len() - 30, &late, &early);
    assert!(
        !says_a_sum(&torn, true),
        "nobody knows what is in the store"
    );
}

#[test]
fn rows_that_say_no_sum_and_came_in_pages_never_say_one() {
    let (_, late, _) = two_moments();
    let late: Vec<_> = of_before(&late).into_values().collect();
    assert!(!says_a_sum(&late, false));
    // What another replica may show later: the end of a ring that is not full, or a member.
    let without = |what: &dyn Fn(&ChatStateRow) -> bool| {
        let rows = late.iter().filter(|(row, _)| !what(row));
        let rows: Vec<_> = rows.cloned().collect();
        assert_eq!(rows.len(), late.len() - 1);
        rows
    };
    let verdict = without(&|row| row.id == "bob/phone/002");
    let member = without(&|row| row.kind == "member" && row.id == "dan");
    for rows in [verdict, member] {
        assert!(!says_a_sum(&rows, false), "what is read next fits it never");
    }
}

#[tokio::test]
async fn a_state_of_two_moments_is_waited_for() {
    let (_, late, world) = two_moments();
    let store = MemoryStore::new();
    store
        .create_tables(&[ChatStateRow::DEF], BUILD)
        .await
        .unwrap();
    let (torn, rest): (Vec<_>, Vec<_>) = (0..)
        .zip(world.mutations.clone())
        .partition(|(nth, _)| nth % 50 > 0);
    let of = |some: Vec<(usize, Mutation)>| some.into_iter().map(|(_, put)| put).collect();
    store.write(of(torn)).await.unwrap();
    let tables = Tables {
        store: Arc::new(store.clone()),
        generation: BUILD,
        rows_per_read: 16,
    };
    let error = Chats.load(&tables, &chat()).await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert!(error.to_string().contains(chat().as_str()), "{error}");
    store.write(of(rest)).await.unwrap();
    let state = Chats.load(&tables, &chat()).await.unwrap();
    assert!(is_same(&state, &read(&late)));
}
