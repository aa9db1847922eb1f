//! What a process does: the words of the setting `roles`.
//!
//! ```text
//! all                            everything, as without the setting
//! gateway                        sockets and HTTP for clients; checks and appends their commands itself
//! ingest                         HTTP for commands, no sockets
//! worker                         tails `users`, serves the links of gateways
//! projectors                     every projection
//! projector:chats,inbox          these projections
//! gateway,worker,projector:inbox several of them
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use projectors::PROJECTIONS;
use serde::{Deserialize, Serialize};

const ALL: &str = "all";
const GATEWAY: &str = "gateway";
const INGEST: &str = "ingest";
const WORKER: &str = "worker";
const PROJECTORS: &str = "projectors";
const PROJECTOR: &str = "projector:";

/// The roles of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Roles {
    /// Holds sockets and serves all of HTTP.
    pub gateway: bool,
    /// Serves HTTP for commands.
    pub ingest: bool,
    /// Tails `users` for gateways.
    pub worker: bool,
    /// Runs these projections.
    pub projections: BTreeSet<&'static str>,
}

/// Words that name no roles.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no role: roles are all, gateway, ingest, worker, projectors and projector:<name>, \
     where a name is chats, inbox, receipts or settings"
)]
pub struct NoRole(String);

impl Default for Roles {
    fn default() -> Self {
        Self {
            gateway: true,
            ingest: true,
            worker: true,
            projections: PROJECTIONS.into(),
        }
    }
}

impl Roles {
    const NONE: Self = Self {
        gateway: false,
        ingest: false,
        worker: false,
        projections: BTreeSet::new(),
    };

    /// True when this process does everything.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }

    /// True when clients are served here, over sockets or HTTP only.
    #[must_use]
    pub fn serves_clients(&self) -> bool {
        self.gateway || self.ingest
    }

    fn project(&mut self, name: &str) -> Result<(), NoRole> {
        let known = PROJECTIONS.into_iter().find(|known| *known == name);
        let known = known.ok_or_else(|| NoRole(name.to_owned()))?;
        self.projections.insert(known);
        Ok(())
    }
}

impl FromStr for Roles {
    type Err = NoRole;

    fn from_str(text: &str) -> Result<Self, NoRole> {
        let mut roles = Self::NONE;
        // Names of projections follow one another: `projector:chats,inbox`.
        let mut names_projections = false;
        for word in text.split(',').map(str::trim) {
            let named = word.strip_prefix(PROJECTOR);
            match word {
                ALL => roles = Self::default(),
                GATEWAY => roles.gateway = true,
                INGEST => roles.ingest = true,
                WORKER => roles.worker = true,
                PROJECTORS => roles.projections.extend(PROJECTIONS),
                name if named.is_some() || names_projections => {
                    roles.project(named.unwrap_or(name))?;
                    names_projections = true;
                    continue;
                }
                other => return Err(NoRole(other.to_owned())),
            }
            names_projections = false;
        }
        Ok(roles)
    }
}

impl TryFrom<String> for Roles {
    type Error = NoRole;

    fn try_from(text: String) -> Result<Self, NoRole> {
        text.parse()
    }
}

impl From<Roles> for String {
    fn from(roles: Roles) -> Self {
        roles.to_string()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_all() {
            return f.write_str(ALL);
        }
        let held = [
            (GATEWAY, self.gateway),
            (INGEST, self.ingest),
            (WORKER, self.worker),
        ];
        let held = held.iter().filter(|(_, held)| *held);
        let mut words: Vec<String> = held.map(|(word, _)| (*word).to_owned()).collect();
        if self.projections.len() == PROJECTIONS.len() {
            words.push(PROJECTORS.to_owned());
        } else if !self.projections.is_empty() {
            let names: Vec<_> = self.projections.iter().copied().collect();
            words.push(format!("{PROJECTOR}{}", names.join(",")));
        }
        f.write_str(&words.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_as_the_same() {
        for text in [
            "all",
            "gateway",
            "worker",
            "projectors",
            "projector:chats",
            "projector:chats,inbox",
            "gateway,ingest,worker,projector:inbox,settings",
        ] {
            assert_eq!(text.parse::<Roles>().unwrap().to_string(), text);
        }
        let all: Roles = "worker, projectors,gateway,ingest".parse().unwrap();
        assert!(all.is_all());
        assert_eq!(all.to_string(), "all");
        let mixed: Roles = "projector:inbox,chats,worker".parse().unwrap();
        assert_eq!(mixed.to_string(), "worker,projector:chats,inbox");
    }

    #[test]
    fn what_is_no_role_is_refused_by_name() {
        for (text, word) in [
            ("", ""),
            ("gateways", "gateways"),
            ("inbox", "inbox"),
            ("projector:chat", "chat"),
            ("projector:chats,worker,inbox", "inbox"),
        ] {
            let refused = text.parse::<Roles>().unwrap_err();
            assert_eq!(refused, NoRole(word.to_owned()), "{text}");
        }
    }
}
