//! Who takes part: users, their devices, and the chats between them.

use schemas::ids::{ChatId, DeviceId, UserId};

/// Users and devices of a run.
#[derive(Debug, Clone)]
pub struct Cast {
    /// Everybody, in order.
    pub users: Vec<UserId>,
    /// Every device, with its user.
    pub devices: Vec<(UserId, DeviceId)>,
    /// Devices that say one thing and are gone.
    pub guests: Vec<(UserId, DeviceId)>,
    /// Direct chats.
    pub direct: Vec<ChatId>,
    /// Groups that the first user makes, by title, with all of their members.
    pub groups: Vec<(&'static str, Vec<UserId>)>,
}

impl Cast {
    /// Six people, eight devices, four guests, six direct chats, two groups.
    #[expect(
        clippy::missing_panics_doc,
        reason = "it cannot: the names below are ids"
    )]
    pub fn new() -> Self {
        let id = |name: &str| UserId::new(name).expect("the names below are ids");
        let users: Vec<UserId> = ["ada", "bob", "cy", "dee", "eve", "fay"].map(id).into();
        let device = |name: &str| DeviceId::new(name).expect("the names below are ids");
        let mut devices: Vec<_> = users.iter().map(|u| (u.clone(), device("phone"))).collect();
        devices.extend(
            users
                .iter()
                .take(2)
                .map(|user| (user.clone(), device("tablet"))),
        );
        let guests = users
            .iter()
            .rev()
            .take(4)
            .map(|u| (u.clone(), device("guest")))
            .collect();
        let direct = users.iter().zip(users.iter().cycle().skip(1));
        let direct = direct
            .filter_map(|(a, b)| ChatId::direct(a, b).ok())
            .collect();
        let groups = [("all", users.len()), ("four", 4)];
        let members = |(title, members)| (title, users.iter().take(members).cloned().collect());
        Self {
            groups: groups.map(members).into(),
            users,
            devices,
            guests,
            direct,
        }
    }
}

impl Default for Cast {
    fn default() -> Self {
        Self::new()
    }
}
