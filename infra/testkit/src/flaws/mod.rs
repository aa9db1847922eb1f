//! Rules broken on purpose, one at a time, to prove that the checker sees it.
//!
//! Each flaw is an adapter wrapped around a sound one, so that nothing of it is in the product.

mod log;
mod store;

use std::str::FromStr;
use std::sync::Arc;

use infra_ports::memory::store::Stale;
use infra_ports::{EventLog, Runtime, TableStore};

use log::flawed;
pub use store::{Flawed, FlawedStore};

/// A rule to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// `sent` is answered before the log has the command.
    EarlyAcknowledgement,
    /// The verdicts of commands are not remembered.
    NoDedupe,
    /// The checkpoint is written before the rows.
    EarlyCheckpoint,
    /// A mark is answered and not appended.
    DroppedMark,
    /// A message is answered and not appended.
    DroppedMessage,
    /// Of ten appends of messages one is answered and not made.
    LostAppend,
    /// A setting is answered and not appended.
    DroppedSetting,
    /// A new group has one member less than was asked for.
    ForgottenMember,
    /// Counters of messages are not written.
    Uncounted,
    /// A reader of `users` that has found nothing once is never woken again.
    NeverWoken,
    /// The state of a chat is kept at hand when others have gone beyond it.
    StatesKept,
}

/// A rule for clients to break.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientFlaw {
    /// A restart trusts what the server counts as delivered, and looks for nothing else.
    TrustsMarks,
    /// The same; and entries are marked as delivered when they are handed over, not when their user
    /// comes for more.
    MarksTooEarly,
}

impl FromStr for Flaw {
    type Err = String;
    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "early-acknowledgement" => Ok(Self::EarlyAcknowledgement),
            "no-dedupe" => Ok(Self::NoDedupe),
            "early-checkpoint" => Ok(Self::EarlyCheckpoint),
            "dropped-mark" => Ok(Self::DroppedMark),
            "dropped-message" => Ok(Self::DroppedMessage),
            "lost-append" => Ok(Self::LostAppend),
            "dropped-setting" => Ok(Self::DroppedSetting),
            "forgotten-member" => Ok(Self::ForgottenMember),
            "uncounted" => Ok(Self::Uncounted),
            "never-woken" => Ok(Self::NeverWoken),
            "states-kept" => Ok(Self::StatesKept),
            other => Err(format!("no flaw is called {other}")),
        }
    }
}

/// Wraps sound adapters so that the rule is broken.
pub fn break_rule(
    flaw: Flaw,
    log: Arc<dyn EventLog>,
    store: Arc<dyn TableStore>,
    runtime: Arc<dyn Runtime>,
) -> (Arc<dyn EventLog>, Arc<dyn TableStore>) {
    match flaw {
        Flaw::EarlyAcknowledgement
        | Flaw::DroppedMark
        | Flaw::DroppedMessage
        | Flaw::LostAppend
        | Flaw::DroppedSetting
        | Flaw::ForgottenMember
        | Flaw::NeverWoken => (Arc::new(flawed(flaw, log, &runtime)), store),
        Flaw::StatesKept => (log, Arc::new(Stale::new(store))),
        Flaw::NoDedupe | Flaw::EarlyCheckpoint | Flaw::Uncounted => {
            (log, Arc::new(Flawed::store(flaw, store, runtime)))
        }
    }
}
