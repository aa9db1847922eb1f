//! Who plays in a scenario: users, their chats, their sockets.

use std::ops::Range;

use anyhow::Context;
use serde::Deserialize;
use serde_json::json;

use super::stage::Stage;
use crate::fleet::marks::Marking;
use crate::fleet::socket::Login;
use crate::fleet::{Fleet, Target};

/// The device of every user.
const DEVICE: &str = "phone";

/// Users and chats that become a fleet.
pub struct Cast<'a> {
    stage: &'a Stage,
    /// Sets the users apart from those of other scenarios on the same node.
    name: String,
    fleet: Fleet,
    /// The chats of each user.
    chats: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Created {
    chat: String,
    /// Left out when the log has not decided in time.
    seq: Option<u64>,
}

impl<'a> Cast<'a> {
    /// So many users without chats. The n-th of them will have the n-th socket.
    ///
    /// # Errors
    /// When the system gives no epoll.
    pub fn new(stage: &'a Stage, users: usize, marking: Marking) -> anyhow::Result<Self> {
        Ok(Self {
            stage,
            name: stage.fresh_name(),
            fleet: Fleet::new(stage.target(), marking)?,
            chats: vec![Vec::new(); users],
        })
    }

    /// A user's id.
    #[must_use]
    pub fn user(&self, n: usize) -> String {
        format!("{}-{n:06}", self.name)
    }

    fn join(&mut self, user: usize, chat: usize) -> usize {
        let Some(chats) = self.chats.get_mut(user) else {
            return 0;
        };
        chats.push(chat);
        chats.len() - 1
    }

    /// A direct chat of two users; which of the first one's chats it is.
    pub fn direct(&mut self, one: usize, other: usize) -> usize {
        let (a, b) = (one.min(other), one.max(other));
        let name = format!("d.{}.{}", self.user(a), self.user(b));
        let chat = self.fleet.ledger.chat(name, 2);
        self.join(other, chat);
        self.join(one, chat)
    }

    /// Direct chats of every two neighbours.
    pub fn pairs(&mut self, users: Range<usize>) {
        for even in users.step_by(2) {
            self.direct(even, even + 1);
        }
    }

    /// A group of these users, created by the first of them.
    ///
    /// # Errors
    /// When the node does not make it.
    pub fn group(&mut self, users: Range<usize>) -> anyhow::Result<()> {
        let others: Vec<_> = users.clone().skip(1).map(|n| self.user(n)).collect();
        let body = json!({
            "client_id": format!("g{}", users.start), "title": "Load", "members": others,
            "max_members": users.len(),
        });
        let token = self.stage.token(&self.user(users.start), DEVICE)?;
        let mut answer = ureq::post(self.stage.http("/v1/chats"))
            .header("Authorization", &format!("Bearer {token}"))
            .send_json(body)
            .context("the group was refused")?;
        let created: Created = answer.body_mut().read_json()?;
        created.seq.context("the group was not decided in time")?;
        let chat = self.fleet.ledger.chat(created.chat, users.len());
        users.for_each(|user| {
            self.join(user, chat);
        });
        Ok(())
    }

    /// A user's login.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn login(&self, n: usize) -> anyhow::Result<Login> {
        Ok(Login {
            token: Some(self.stage.token(&self.user(n), DEVICE)?),
            chats: self.chats.get(n).cloned().unwrap_or_default(),
        })
    }

    /// The logins of all.
    ///
    /// # Errors
    /// When the key cannot be read.
    pub fn logins(&self) -> anyhow::Result<Vec<Login>> {
        (0..self.chats.len()).map(|n| self.login(n)).collect()
    }

    /// Nobody connects yet.
    #[must_use]
    pub fn without_sockets(self) -> Fleet {
        self.fleet
    }

    /// Everybody connects and is live.
    ///
    /// # Errors
    /// When one does not become live.
    pub fn live(self) -> anyhow::Result<Fleet> {
        let logins = self.logins()?;
        let mut fleet = self.fleet;
        fleet.connect_all(logins)?;
        Ok(fleet)
    }
}

/// Sockets of a bare server, all in a chat of this name and of so many listeners a message. Their
/// frames have the same bytes as those for a node.
///
/// # Errors
/// When one does not open.
pub fn bare(
    address: std::net::SocketAddr,
    sockets: usize,
    listeners: usize,
) -> anyhow::Result<Fleet> {
    let path = "/".to_owned();
    let mut fleet = Fleet::new(Target { address, path }, Marking::Off)?;
    let name = "d.load-1-000000.load-1-000001".to_owned();
    let chat = fleet.ledger.chat(name, listeners);
    let login = Login {
        token: None,
        chats: vec![chat],
    };
    fleet.connect_all(vec![login; sockets])?;
    Ok(fleet)
}
