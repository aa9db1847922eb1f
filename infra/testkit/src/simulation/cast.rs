//! Who takes part: users, their devices, the chats between them. Small, so that everything meets.

use schemas::ids::{ChatId, ClientId, DeviceId, UserId};

use crate::checker::Endpoint;

const USERS: [&str; 4] = ["ada", "bob", "cy", "dee"];

/// A user by number.
pub(super) fn user(n: usize) -> UserId {
    let name = USERS.get(n % USERS.len()).unwrap_or(&USERS[0]);
    UserId::new(name).expect("the names above are ids")
}

fn device(name: &str) -> DeviceId {
    DeviceId::new(name).expect("the names below are ids")
}

/// Every device, with its user: one for each of the first `users`, a second one for the first.
pub(super) fn endpoints(users: usize) -> Vec<Endpoint> {
    let mut all: Vec<Endpoint> = (0..users).map(|n| (user(n), device("phone"))).collect();
    all.push((user(0), device("web")));
    all
}

/// The client id of the command of an action.
pub(super) fn client_id(action: usize) -> ClientId {
    ClientId::new(format!("a{action}")).expect("letters and digits")
}

/// The direct chat of two users by number; none of one with themselves.
pub(super) fn direct(one: usize, other: usize) -> Option<ChatId> {
    ChatId::direct(&user(one), &user(other)).ok()
}

/// The group that an action of a device makes.
pub(super) fn group((user, device): &Endpoint, action: usize) -> ChatId {
    ChatId::group(user, device, &client_id(action))
}
