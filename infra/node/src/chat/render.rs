//! Chats, messages and news as lines of text. Pure: a value in, a text out.
//!
//! Whatever others wrote passes `clean` first: a message must not be able to move the cursor,
//! recolour the terminal or turn the direction of the text around it.

use schemas::events::{BodyKind, Role};
use schemas::frames::{
    ChatSummary, Entry, EntryEvent, Members, Message, Preview, Status, Ticks, WireBody,
};
use schemas::ids::{ChatId, UserId};
use schemas::position::Timestamp;

const MS_A_DAY: i64 = 86_400_000;
/// Where a text goes on after a line break: below its own beginning.
const INDENT: &str = "            ";

/// How far a message of one's own has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tick {
    Sent,
    Delivered,
    Read,
}

impl Tick {
    /// By the counts of everybody it was meant for.
    pub(super) fn of(status: &Status) -> Self {
        if status.of == 0 || status.delivered < status.of {
            Self::Sent
        } else if status.read < status.of {
            Self::Delivered
        } else {
            Self::Read
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Sent => "✓",
            Self::Delivered => "✓✓",
            Self::Read => "✓✓ read",
        }
    }
}

/// The text without anything that a terminal would obey.
pub(super) fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c,
        '\u{2028}' | '\u{2029}' => '\u{fffd}',
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c if c.is_control() => '\u{fffd}',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// The same as part of one line: what has line breaks could pass for lines of the program's own.
fn one_line(text: &str) -> String {
    clean(text).replace(['\n', '\t'], " ")
}

/// The same over several lines, each after the first below the beginning of a text.
fn indented(text: &str) -> String {
    clean(text).replace('\n', &format!("\n{INDENT}"))
}

/// What a chat is called by this user.
pub(super) fn name(chat: &ChatId, title: &str, me: &UserId) -> String {
    match chat.pair() {
        Some((a, b)) => if a == *me { b } else { a }.to_string(),
        None if title.is_empty() => chat.to_string(),
        None => one_line(title),
    }
}

/// One line of the chat list.
pub(super) fn chat_line(number: usize, chat: &ChatSummary, me: &UserId, now: Timestamp) -> String {
    let name = name(&chat.chat, &chat.title, me);
    let unread = match chat.unread {
        0 => String::new(),
        n => format!("{n} new"),
    };
    let flags = [
        (chat.pinned, " [pinned]"),
        (chat.muted_until > now, " [muted]"),
        (chat.archived, " [archived]"),
        (!chat.member, " [left]"),
    ];
    let flags: String = flags.iter().filter(|f| f.0).map(|f| f.1).collect();
    let preview = chat.preview.as_ref().map(preview).unwrap_or_default();
    let line = format!("{number:>3}  {name:<20} {unread:>8}  {preview}{flags}");
    line.trim_end().to_owned()
}

fn preview(preview: &Preview) -> String {
    let text = match preview.kind {
        BodyKind::Text => one_line(&preview.text),
        BodyKind::Unknown
        | BodyKind::Image
        | BodyKind::Video
        | BodyKind::Audio
        | BodyKind::Document
        | BodyKind::Location => format!("[{}]", kind(preview.kind)),
    };
    let short: String = text.chars().take(40).collect();
    format!("{}: {short}", preview.author)
}

/// A body as text, continued below its own beginning.
pub(super) fn body(body: &WireBody) -> String {
    let caption = body.fields.get("caption").map(|c| indented(c));
    match (&body.text, body.e2e_key.is_some()) {
        (_, true) => "[encrypted]".to_owned(),
        (Some(text), _) => indented(text),
        (None, _) => {
            let kind = kind(body.kind);
            caption.map_or_else(|| format!("[{kind}]"), |c| format!("[{kind}] {c}"))
        }
    }
}

fn kind(kind: BodyKind) -> &'static str {
    match kind {
        BodyKind::Unknown => "something newer than this program",
        BodyKind::Text => "text",
        BodyKind::Image => "image",
        BodyKind::Video => "video",
        BodyKind::Audio => "audio",
        BodyKind::Document => "document",
        BodyKind::Location => "location",
    }
}

/// A line of history: the message with its later changes applied.
pub(super) fn message_line(message: &Message, me: &UserId, tick: Option<Tick>) -> String {
    let entry = &message.entry;
    let mut text = match (&entry.event, &message.edited, message.deleted) {
        (EntryEvent::Message { .. }, _, true) => format!("{}: (deleted)", entry.author),
        (EntryEvent::Message { .. }, Some(edited), _) => {
            format!("{}: {} (edited)", entry.author, body(edited))
        }
        _ => what(entry),
    };
    for (user, reaction) in &message.reactions {
        text.push_str(&format!("  {}:{user}", one_line(reaction)));
    }
    line_of(entry, me, text, tick)
}

/// A line of something that happened just now.
pub(super) fn entry_line(entry: &Entry, me: &UserId) -> String {
    line_of(entry, me, what(entry), Some(Tick::Sent))
}

fn line_of(entry: &Entry, me: &UserId, text: String, tick: Option<Tick>) -> String {
    let mine = entry.author == *me && is_message(entry);
    let tick = match tick.filter(|_| mine) {
        Some(tick) => format!("  {}", tick.mark()),
        None => String::new(),
    };
    format!(
        "{} {:>5} {text}{tick}",
        clock(entry.at),
        format!("#{}", entry.seq)
    )
}

pub(super) fn is_message(entry: &Entry) -> bool {
    matches!(entry.event, EntryEvent::Message { .. })
}

fn what(entry: &Entry) -> String {
    let who = &entry.author;
    match &entry.event {
        EntryEvent::Message { body: b, reply_to } => match reply_to {
            Some(to) => format!("{who}: (to #{to}) {}", body(b)),
            None => format!("{who}: {}", body(b)),
        },
        EntryEvent::Edited { target, body: b } => format!("* {who} edited #{target}: {}", body(b)),
        EntryEvent::Deleted { target } => format!("* {who} deleted #{target}"),
        EntryEvent::Reacted { target, reaction } => match reaction {
            Some(reaction) => format!("* {who} reacted to #{target}: {}", one_line(reaction)),
            None => format!("* {who} took back the reaction to #{target}"),
        },
        EntryEvent::Created { title, .. } => {
            format!("* {who} created the group {:?}", one_line(title))
        }
        EntryEvent::Changed { title, description } => match (title, description) {
            (Some(title), _) => format!("* {who} called the group {:?}", one_line(title)),
            (None, _) => format!("* {who} changed the description"),
        },
        EntryEvent::MemberAdded { user, .. } => format!("* {who} added {user}"),
        EntryEvent::MemberRemoved { user } => format!("* {who} removed {user}"),
        EntryEvent::MemberLeft {} => format!("* {who} left"),
        EntryEvent::RoleChanged { user, role } => {
            format!("* {who} made {user} {}", role_name(*role))
        }
        EntryEvent::Unknown => format!("* {who} did something newer than this program"),
    }
}

/// News of how far a message of one's own has got. In a direct chat there is one other.
pub(super) fn ticks_line(ticks: &Ticks, direct: bool) -> String {
    let seq = ticks.seq;
    match (direct, ticks.read) {
        (true, 0) => format!("{INDENT}✓✓ #{seq} delivered"),
        (true, _) => format!("{INDENT}✓✓ #{seq} read"),
        (false, read) => {
            let delivered = ticks.delivered;
            format!("{INDENT}✓✓ #{seq} delivered to {delivered}, read by {read}")
        }
    }
}

/// How far a message has got, with everybody it was meant for.
pub(super) fn status_lines(status: &Status) -> Vec<String> {
    let (seq, of) = (status.seq, status.of);
    let (delivered, read) = (status.delivered, status.read);
    let mut lines = vec![format!(
        "#{seq}: delivered to {delivered} of {of}, read by {read}"
    )];
    for who in status.who.iter().flatten() {
        let tick = match (who.delivered, who.read) {
            (_, true) => Tick::Read,
            (true, false) => Tick::Delivered,
            (false, false) => Tick::Sent,
        };
        lines.push(format!("  {:<20} {}", who.user.as_str(), tick.mark()));
    }
    lines
}

/// Who is in a chat.
pub(super) fn members_lines(members: &Members, me: &UserId) -> Vec<String> {
    let count = members.members.len();
    let name = name(&members.chat, &members.title, me);
    let mut lines = vec![format!(
        "{name}: {count} of at most {}",
        members.max_members
    )];
    if !members.description.is_empty() {
        lines.push(format!("{INDENT}{}", indented(&members.description)));
    }
    for member in &members.members {
        let line = format!("  {:<20} {}", member.user.as_str(), role_name(member.role));
        lines.push(line);
    }
    lines
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Member => "member",
        Role::Admin => "admin",
        Role::Owner => "owner",
    }
}

/// The time of day in UTC.
fn clock(at: Timestamp) -> String {
    let minutes = at.0.rem_euclid(MS_A_DAY) / 60_000;
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

/// The day in UTC, by the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms", `civil_from_days`).
pub(super) fn day(at: Timestamp) -> String {
    let days = at.0.div_euclid(MS_A_DAY) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests;
