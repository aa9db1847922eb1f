//! What ingest counts: names, units and labels in one place. No label ever names a user or a chat.

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use schemas::errors::Code;
use schemas::frames::Command;
use schemas::topics::Topic;

/// Commands and marks that were answered, by `command` and `outcome` (`taken`, or a refusal's code).
pub const COMMANDS: &str = "cursus_ingest_commands_total";
/// Time from a command's arrival to its durable append, by `topic`, in seconds.
pub const APPEND_SECONDS: &str = "cursus_ingest_append_seconds";
/// Tokens that were looked at, by `outcome` (`valid`, or a refusal's code).
pub const TOKENS: &str = "cursus_ingest_tokens_total";
/// HTTP commands whose verdict did not come in time, answered with 202.
pub const VERDICTS_LATE: &str = "cursus_ingest_verdicts_late_total";

/// Tells the recorder what the names mean. Called once, after the recorder is installed.
pub fn describe() {
    describe_counter!(COMMANDS, Unit::Count, "Commands and marks answered");
    describe_histogram!(
        APPEND_SECONDS,
        Unit::Seconds,
        "Arrival of a command to durable append"
    );
    describe_counter!(TOKENS, Unit::Count, "Tokens looked at");
    describe_counter!(
        VERDICTS_LATE,
        Unit::Count,
        "HTTP commands answered before their verdict"
    );
}

/// Counts one answer.
pub(crate) fn answered(command: &'static str, refused: Option<Code>) {
    let outcome = refused.map_or("taken", Code::as_str);
    counter!(COMMANDS, "command" => command, "outcome" => outcome).increment(1);
}

/// Counts one token.
pub(crate) fn token(refused: Option<Code>) {
    let outcome = refused.map_or("valid", Code::as_str);
    counter!(TOKENS, "outcome" => outcome).increment(1);
}

/// Records how long one append took.
pub(crate) fn appended(topic: Topic, took: std::time::Duration) {
    histogram!(APPEND_SECONDS, "topic" => topic.name()).record(took.as_secs_f64());
}

/// Counts one verdict that did not come in time.
pub(crate) fn verdict_late() {
    counter!(VERDICTS_LATE).increment(1);
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
