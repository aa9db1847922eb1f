//! Which part of the folding is a process's: which projections, and whether it shares their
//! partitions with others.

use std::sync::Arc;

use infra_ports::groups::ConsumerGroups;
use schemas::position::Generation;
use schemas::topics::Topic;

use crate::engine::membership::Group;
use crate::start::PROJECTIONS;

/// What a process folds.
#[derive(Clone)]
pub struct Share {
    projections: Vec<&'static str>,
    groups: Option<Arc<dyn ConsumerGroups>>,
}

/// No projection has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no projection {0:?}; there are {PROJECTIONS:?}")]
pub struct UnknownProjection(pub String);

impl Share {
    /// Every projection over every partition: of a process that has log and tables to itself.
    pub fn everything() -> Self {
        Self {
            projections: PROJECTIONS.to_vec(),
            groups: None,
        }
    }

    /// Every projection, over the partitions that these groups give: one group a projection and
    /// generation, see [`group_name`].
    pub fn of(groups: Arc<dyn ConsumerGroups>) -> Self {
        Self {
            groups: Some(groups),
            ..Self::everything()
        }
    }

    /// The same of these projections only.
    ///
    /// # Errors
    /// The first name that is no projection's.
    pub fn only<'a>(
        self,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, UnknownProjection> {
        let known = |name: &str| {
            let found = PROJECTIONS.into_iter().find(|known| *known == name);
            found.ok_or_else(|| UnknownProjection(name.to_owned()))
        };
        let projections: Result<Vec<_>, _> = names.into_iter().map(known).collect();
        Ok(Self {
            projections: projections?,
            ..self
        })
    }

    pub(crate) fn has(&self, projection: &str) -> bool {
        self.projections.contains(&projection)
    }

    pub(crate) fn group(
        &self,
        projection: &str,
        generation: Generation,
        topic: Topic,
    ) -> Option<Group> {
        let groups = self.groups.as_ref()?;
        Some(Group {
            groups: Arc::clone(groups),
            name: group_name(projection, generation),
            topic,
        })
    }
}

impl std::fmt::Debug for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Share")
            .field("projections", &self.projections)
            .field("is_shared", &self.groups.is_some())
            .finish()
    }
}

/// The name of the group whose members share a projection: `cursus-chats-1`. Each generation of the
/// tables has its own: two that are built at once are each folded whole.
pub fn group_name(projection: &str, generation: Generation) -> String {
    format!("cursus-{projection}-{generation}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_has_what_it_names_and_nothing_that_is_no_projection() {
        let share = Share::everything().only(["chats", "inbox"]).unwrap();
        let has = PROJECTIONS.map(|name| share.has(name));
        assert_eq!(has, [true, true, false, false]);
        let refused = Share::everything().only(["chats", "inboxes"]).unwrap_err();
        assert_eq!(refused, UnknownProjection("inboxes".to_owned()));
        assert_eq!(group_name("chats", Generation(1)), "cursus-chats-1");
    }
}
