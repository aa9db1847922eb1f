//! The sizes and counts that a command may have, each with its constant, and the texts they refuse.
//!
//! They are part of the protocol: `docs/protocol.md` tells them to client developers. Those of frames
//! and bodies stand in [`schemas::frames`], where the codec applies them.

use compact_str::CompactString;
use schemas::errors::{Code, Refusal};
use schemas::position::{Seq, Timestamp};

/// The longest title of a group, in characters (Unicode scalar values).
pub const MAX_TITLE_CHARS: usize = 128;
/// The longest description of a group, in characters.
pub const MAX_DESCRIPTION_CHARS: usize = 1024;
/// The longest reaction, in bytes: an emoji with skin tones and joiners fits.
pub const MAX_REACTION_BYTES: usize = 32;
/// The largest place: what every JSON reader holds exactly (2^53 − 1; RFC 8259, 6).
pub const MAX_SEQ: Seq = Seq((1 << 53) - 1);
/// The latest time that a chat may be muted until: the end of the year 9999.
pub const MAX_MUTE_UNTIL: Timestamp = Timestamp(253_402_300_799_999);
/// The most users whom a mark names to be told.
pub const MAX_MARK_AUTHORS: usize = 16;
/// How many commands the creation of a group counts for: it makes work in every partition.
pub const CREATE_GROUP_COST: u32 = 10;

/// The place of an event in a chat, from 1.
pub(super) fn place(field: &str, seq: Seq) -> Result<Seq, Refusal> {
    if seq == Seq(0) || seq > MAX_SEQ {
        return Err(Refusal::new(
            Code::InvalidField,
            format!("{field}: 1 to 2^53 - 1"),
        ));
    }
    Ok(seq)
}

/// A group's title, without the space around it.
pub(super) fn title(text: String) -> Result<String, Refusal> {
    let text = trimmed(text);
    if text.is_empty() {
        return Err(Refusal::new(Code::InvalidField, "title: empty"));
    }
    if text.chars().any(breaks_a_line) {
        let reason = "title: control characters or line separators";
        return Err(Refusal::new(Code::InvalidField, reason));
    }
    no_longer("title", &text, MAX_TITLE_CHARS)?;
    Ok(text)
}

/// A group's description, without the space around it; it may have several lines.
pub(super) fn description(text: String) -> Result<String, Refusal> {
    let text = trimmed(text);
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\n' | '\t'))
    {
        let reason = "description: control characters other than line feeds and tabs";
        return Err(Refusal::new(Code::InvalidField, reason));
    }
    no_longer("description", &text, MAX_DESCRIPTION_CHARS)?;
    Ok(text)
}

/// A reaction.
pub(super) fn reaction(text: CompactString) -> Result<CompactString, Refusal> {
    if text.is_empty() {
        let reason = "reaction: empty; leave it out to take it back";
        return Err(Refusal::new(Code::InvalidField, reason));
    }
    if text.len() > MAX_REACTION_BYTES {
        let reason = format!("reaction: at most {MAX_REACTION_BYTES} bytes");
        return Err(Refusal::new(Code::TooLong, reason));
    }
    if text.chars().any(breaks_a_line) {
        let reason = "reaction: control characters or line separators";
        return Err(Refusal::new(Code::InvalidField, reason));
    }
    Ok(text)
}

/// When a mute ends.
pub(super) fn mute_until(until: Timestamp) -> Result<Timestamp, Refusal> {
    if until <= Timestamp(0) || until > MAX_MUTE_UNTIL {
        let reason = format!("until: 1 to {MAX_MUTE_UNTIL}; leave it out to unmute");
        return Err(Refusal::new(Code::InvalidField, reason));
    }
    Ok(until)
}

/// What does not belong in one line of text: controls (Unicode's Cc) and the two separators that
/// some readers take for a line feed.
fn breaks_a_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn trimmed(text: String) -> String {
    let inner = text.trim();
    if inner.len() == text.len() {
        text
    } else {
        inner.to_owned()
    }
}

fn no_longer(field: &str, text: &str, chars: usize) -> Result<(), Refusal> {
    // No text has more characters than bytes, so most are not counted at all.
    if text.len() > chars && text.chars().nth(chars).is_some() {
        return Err(Refusal::new(
            Code::TooLong,
            format!("{field}: at most {chars} characters"),
        ));
    }
    Ok(())
}
