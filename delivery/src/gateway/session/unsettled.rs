//! Commands of a session that wait for their entry or verdict: at most 256 a chat, as many as the
//! fold remembers. What a session does not know of (sent over another socket) does not count here,
//! nor what was settled while an older one was not: to stay in the fold's memory is the client's part.
//!
//! An entry may be told before its command's own append is answered. `sent` still comes first:
//! whoever is first says it, under the lock of this.

use std::collections::BTreeMap;

use schemas::errors::{Code, Refusal};
use schemas::frames::{Command, MAX_UNSETTLED};
use schemas::ids::{ChatId, ClientId, Identity};

/// The unsettled commands of one session.
#[derive(Debug, Default)]
pub(crate) struct Unsettled(BTreeMap<ChatId, BTreeMap<ClientId, Waiting>>);

/// What a client is still owed for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The answer under this `ref`, and the verdict.
    Answer(Option<String>),
    /// The answer; its verdict came already.
    LateAnswer,
    /// The verdict.
    Verdict,
}

/// Names a command until it is settled.
pub(crate) type CommandName = (ChatId, ClientId);

/// Chat and client id of a command that will have an entry or a verdict.
pub(crate) fn name_of(identity: &Identity, command: &Command) -> Option<CommandName> {
    let (chat, client_id) = command.logged()?;
    let made = || ChatId::group(&identity.user, &identity.device, client_id);
    Some((chat.cloned().unwrap_or_else(made), client_id.clone()))
}

impl Unsettled {
    /// Counts a command in; one that is sent again counts once.
    ///
    /// # Errors
    /// `too_many_unsettled` when its chat has as many as it may.
    pub(crate) fn begin(
        &mut self,
        (chat, client_id): &CommandName,
        reference: Option<&str>,
    ) -> Result<(), Refusal> {
        let waiting = self.0.entry(chat.clone()).or_default();
        if waiting.len() >= MAX_UNSETTLED && !waiting.contains_key(client_id) {
            return Err(Refusal::plain(Code::TooManyUnsettled));
        }
        let owed = Waiting::Answer(reference.map(str::to_owned));
        waiting.insert(client_id.clone(), owed);
        Ok(())
    }

    /// The append was answered. True when the client is to be told so: nobody did yet.
    pub(crate) fn answer(&mut self, (chat, client_id): &CommandName) -> bool {
        let Some(waiting) = self.0.get_mut(chat).and_then(|all| all.get_mut(client_id)) else {
            return false;
        };
        if *waiting == Waiting::LateAnswer {
            self.forget(chat, client_id);
        } else {
            *waiting = Waiting::Verdict;
        }
        true
    }

    /// Its verdict came; the answer may still be owed.
    pub(crate) fn verdict(&mut self, chat: &ChatId, client_id: &ClientId) {
        let waiting = self.0.get_mut(chat).and_then(|all| all.get_mut(client_id));
        match waiting {
            Some(waiting @ Waiting::Answer(_)) => *waiting = Waiting::LateAnswer,
            Some(Waiting::LateAnswer) | None => {}
            Some(Waiting::Verdict) => drop(self.forget(chat, client_id)),
        }
    }

    /// Verdicts may have been lost on their way. The client hears `live` anew and sends again what it waits for;
    /// what it sent again while the entry came it does not wait for, and nothing would ever settle that here.
    pub(crate) fn forget_answered(&mut self) {
        for waiting in self.0.values_mut() {
            waiting.retain(|_, owed| *owed != Waiting::Verdict);
        }
        self.0.retain(|_, waiting| !waiting.is_empty());
    }

    /// Its entry came, or it was refused before it was appended. Answers what was still owed.
    pub(crate) fn forget(&mut self, chat: &ChatId, client_id: &ClientId) -> Option<Waiting> {
        let all = self.0.get_mut(chat)?;
        let waiting = all.remove(client_id);
        if all.is_empty() {
            self.0.remove(chat);
        }
        waiting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chat_has_at_most_256_unsettled_commands_and_a_resend_counts_once() {
        let chat = ChatId::new("d.a.b").unwrap();
        let name = |n: usize| (chat.clone(), ClientId::new(n.to_string()).unwrap());
        let mut unsettled = Unsettled::default();
        for n in 0..MAX_UNSETTLED {
            assert_eq!(unsettled.begin(&name(n), None), Ok(()));
        }
        assert_eq!(unsettled.begin(&name(0), None), Ok(()), "a resend");
        let refused = unsettled.begin(&name(MAX_UNSETTLED), None).unwrap_err();
        assert_eq!(refused.code, Code::TooManyUnsettled);
        unsettled.forget(&chat, &name(7).1);
        assert_eq!(unsettled.begin(&name(MAX_UNSETTLED), None), Ok(()));
        for n in 0..=MAX_UNSETTLED {
            unsettled.forget(&chat, &name(n).1);
        }
        assert!(unsettled.0.is_empty(), "an idle session holds nothing");
    }
}
