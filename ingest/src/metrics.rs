//! What ingest counts. No label ever names a user or a chat.

use std::time::Duration;

use infra_ports::metric::{SECONDS, each, place_of};
use schemas::errors::Code;
use schemas::frames::Command;
use schemas::topics::Topic;

use crate::accept::APPENDED_TO;

/// The commands that ingest takes, in the order of their series.
const COMMANDS_TAKEN: [&str; 16] = [
    "send",
    "delivered",
    "read",
    "edit",
    "delete",
    "react",
    "create_group",
    "change_chat",
    "add_member",
    "remove_member",
    "leave",
    "set_role",
    "mute",
    "archive",
    "pin",
    "hide",
];
const TAKEN: &str = "taken";
const VALID: &str = "valid";

/// Outcomes that are alerted on: a series that appears with its first failure would hide it.
const OUTCOMES: [&str; 4] = [
    TAKEN,
    Code::Internal.as_str(),
    Code::Unavailable.as_str(),
    Code::LogFull.as_str(),
];

fn commands_by_outcome() -> Vec<Vec<&'static str>> {
    let of = |command: &'static str| OUTCOMES.map(|outcome| vec![command, outcome]);
    COMMANDS_TAKEN.into_iter().flat_map(of).collect()
}

infra_ports::metrics! {
    /// Commands and marks that were answered, by command and by outcome: `taken` (durable), or the code of the refusal.
    pub COMMANDS: Counter, Count, "cursus_ingest_commands_total", ["command", "outcome"]
        = commands_by_outcome;
    /// Time from a checked command to its durable append, by topic.
    pub APPEND: Histogram(SECONDS), Seconds, "cursus_ingest_append_seconds", ["topic"]
        = || each(APPENDED_TO.map(Topic::name));
    /// Tokens that were looked at, by outcome: `valid`, or the code of the refusal.
    pub TOKENS: Counter, Count, "cursus_ingest_tokens_total", ["outcome"] = || each([VALID]);
    /// HTTP commands whose verdict did not come in time, answered with 202.
    pub VERDICTS_LATE: Counter, Count, "cursus_ingest_verdicts_late_total";
}

/// Counts one answer.
pub(crate) fn answered(command: &'static str, refused: Option<Code>) {
    match (place_of(command, COMMANDS_TAKEN), refused) {
        (usize::MAX, None) => COMMANDS.of(&[command, TAKEN]).increment(1),
        (place, None) => COMMANDS.add(place * OUTCOMES.len(), 1),
        (_, Some(code)) => COMMANDS.of(&[command, code.as_str()]).increment(1),
    }
}

/// Counts one token.
pub(crate) fn token(refused: Option<Code>) {
    match refused {
        None => TOKENS.add(0, 1),
        Some(code) => TOKENS.of(&[code.as_str()]).increment(1),
    }
}

/// Records how long one append took.
pub(crate) fn appended(topic: Topic, took: Duration) {
    let place = APPENDED_TO.iter().position(|known| *known == topic);
    APPEND.record(place.unwrap_or(usize::MAX), took);
}

/// Counts one verdict that did not come in time.
pub(crate) fn verdict_late() {
    VERDICTS_LATE.add(0, 1);
}

/// The wire's name of a command: a bounded label.
pub(crate) fn name_of(command: &Command) -> &'static str {
    match command {
        Command::Hello(_) => "hello",
        Command::Send(_) => "send",
        Command::Edit(_) => "edit",
        Command::Delete(_) => "delete",
        Command::React(_) => "react",
        Command::CreateGroup(_) => "create_group",
        Command::ChangeChat(_) => "change_chat",
        Command::AddMember(_) => "add_member",
        Command::RemoveMember(_) => "remove_member",
        Command::Leave(_) => "leave",
        Command::SetRole(_) => "set_role",
        Command::Delivered(_) => "delivered",
        Command::Read(_) => "read",
        Command::Mute(_) => "mute",
        Command::Archive(_) => "archive",
        Command::Pin(_) => "pin",
        Command::Hide(_) => "hide",
        Command::Chats(_) => "chats",
        Command::History(_) => "history",
        Command::Timeline(_) => "timeline",
        Command::Status(_) => "status",
        Command::Members(_) => "members",
        Command::Ping {} => "ping",
    }
}
