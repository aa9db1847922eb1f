//! What a typed line means: something to say, or an order that begins with `/`. Pure.

use std::time::Duration;

use schemas::events::Role;
use schemas::ids::UserId;
use schemas::position::Seq;

/// What `/help` shows.
pub(super) const HELP: &str = "\
text               say it in the open chat (//text for a text that begins with /)
/chats             the chat list          /open NAME      a user, a title, an id or a number of the list
/history [N]       the newest N messages  /members        who is in the chat
/reply N TEXT      answer message N       /edit N TEXT    give a message of yours another text
/react N [MARK]    react, or take it back /delete N       delete for everyone
/hide N            delete for yourself    /status N       who has it, who has read it
/group create TITLE [with USER …]         /group title TITLE
/group add USER    /group remove USER     /group role USER member|admin|owner
/mute [HOURS]      /unmute   /pin   /unpin   /archive   /unarchive   /leave
/help              /quit";

/// A line, understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Nothing,
    Say(String),
    Order(Order),
    /// Not understood, and why.
    Wrong(String),
}

/// An order to the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Order {
    Help,
    Quit,
    Chats,
    Open(String),
    Create {
        title: String,
        members: Vec<UserId>,
    },
    /// An order about the open chat.
    Here(Here),
}

/// An order about the open chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Here {
    History(u32),
    Members,
    Reply(Seq, String),
    Edit(Seq, String),
    React(Seq, Option<String>),
    Delete(Seq),
    Hide(Seq),
    Status(Seq),
    Title(String),
    Add(UserId),
    Remove(UserId),
    Role(UserId, Role),
    /// For so long, or no more.
    Mute(Option<Duration>),
    Pin(bool),
    Archive(bool),
    Leave,
}

/// What a line means.
pub(super) fn understand(line: &str) -> Line {
    let line = line.trim();
    if line.is_empty() {
        return Line::Nothing;
    }
    match line.strip_prefix('/') {
        None => Line::Say(line.to_owned()),
        Some(rest) if rest.starts_with('/') => Line::Say(rest.to_owned()),
        Some(rest) => {
            let (word, rest) = cut(rest);
            order(word, rest).map_or_else(Line::Wrong, Line::Order)
        }
    }
}

fn order(word: &str, rest: &str) -> Result<Order, String> {
    let here = match word {
        "help" => return Ok(Order::Help),
        "quit" | "exit" => return Ok(Order::Quit),
        "chats" => return Ok(Order::Chats),
        "open" => return Ok(Order::Open(wanted(rest, "/open NAME")?)),
        "group" => return group(rest),
        "history" => Here::History(count(rest)?),
        "members" => Here::Members,
        "reply" => with_text(rest, "/reply N TEXT", Here::Reply)?,
        "edit" => with_text(rest, "/edit N TEXT", Here::Edit)?,
        "react" => {
            let (seq, mark) = numbered(rest, "/react N [MARK]")?;
            Here::React(seq, (!mark.is_empty()).then(|| mark.to_owned()))
        }
        "delete" => Here::Delete(numbered(rest, "/delete N")?.0),
        "hide" => Here::Hide(numbered(rest, "/hide N")?.0),
        "status" => Here::Status(numbered(rest, "/status N")?.0),
        "mute" => Here::Mute(Some(hours(rest)?)),
        "unmute" => Here::Mute(None),
        "pin" => Here::Pin(true),
        "unpin" => Here::Pin(false),
        "archive" => Here::Archive(true),
        "unarchive" => Here::Archive(false),
        "leave" => Here::Leave,
        unknown => return Err(format!("no order is called /{unknown}; /help lists them")),
    };
    Ok(Order::Here(here))
}

fn group(rest: &str) -> Result<Order, String> {
    let (word, rest) = cut(rest);
    let here = match word {
        "create" => return create(rest),
        "title" => Here::Title(wanted(rest, "/group title TITLE")?),
        "add" => Here::Add(user(rest)?),
        "remove" => Here::Remove(user(rest)?),
        "role" => {
            let (who, role) = cut(rest);
            Here::Role(user(who)?, role_of(role)?)
        }
        _ => return Err("/group create, title, add, remove or role".to_owned()),
    };
    Ok(Order::Here(here))
}

fn create(rest: &str) -> Result<Order, String> {
    let (title, members) = rest.split_once(" with ").unwrap_or((rest, ""));
    let members: Result<Vec<_>, _> = members.split_whitespace().map(user).collect();
    Ok(Order::Create {
        title: wanted(title.trim(), "/group create TITLE [with USER …]")?,
        members: members?,
    })
}

fn cut(text: &str) -> (&str, &str) {
    let text = text.trim();
    let (word, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    (word, rest.trim())
}

fn wanted(text: &str, usage: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err(usage.to_owned());
    }
    Ok(text.to_owned())
}

fn numbered<'a>(rest: &'a str, usage: &str) -> Result<(Seq, &'a str), String> {
    let (number, rest) = cut(rest);
    let seq = number.trim_start_matches('#').parse().map(Seq);
    seq.map(|seq| (seq, rest)).map_err(|_| usage.to_owned())
}

fn with_text(
    rest: &str,
    usage: &str,
    make: impl FnOnce(Seq, String) -> Here,
) -> Result<Here, String> {
    let (seq, text) = numbered(rest, usage)?;
    Ok(make(seq, wanted(text, usage)?))
}

fn count(rest: &str) -> Result<u32, String> {
    if rest.is_empty() {
        return Ok(20);
    }
    let number = rest.parse().ok().filter(|n| (1..=100).contains(n));
    number.ok_or_else(|| "/history [1 to 100]".to_owned())
}

fn hours(rest: &str) -> Result<Duration, String> {
    let hours = if rest.is_empty() {
        Ok(8)
    } else {
        rest.parse::<u32>()
    };
    let seconds = hours.map(|hours| u64::from(hours) * 3600);
    seconds
        .map(Duration::from_secs)
        .map_err(|_| "/mute [HOURS]".to_owned())
}

fn user(text: &str) -> Result<UserId, String> {
    UserId::new(text.trim_start_matches('@')).map_err(|error| format!("{text:?}: {error}"))
}

fn role_of(text: &str) -> Result<Role, String> {
    match text {
        "member" => Ok(Role::Member),
        "admin" => Ok(Role::Admin),
        "owner" => Ok(Role::Owner),
        _ => Err("/group role USER member|admin|owner".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(line: &str) -> Here {
        match understand(line) {
            Line::Order(Order::Here(here)) => here,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn id(text: &str) -> UserId {
        UserId::new(text).unwrap()
    }

    #[test]
    fn what_does_not_begin_with_a_slash_is_said() {
        assert_eq!(
            understand("  hello /there "),
            Line::Say("hello /there".into())
        );
        assert_eq!(
            understand("//etc is a folder"),
            Line::Say("/etc is a folder".into())
        );
        assert_eq!(understand("   "), Line::Nothing);
    }

    #[test]
    fn orders_about_a_message_name_it_by_its_number() {
        assert_eq!(
            here("/reply 12 yes, at six"),
            Here::Reply(Seq(12), "yes, at six".into())
        );
        assert_eq!(here("/edit #3 better"), Here::Edit(Seq(3), "better".into()));
        assert_eq!(here("/react 3 👍"), Here::React(Seq(3), Some("👍".into())));
        assert_eq!(here("/react 3"), Here::React(Seq(3), None));
        assert_eq!(here("/delete 9"), Here::Delete(Seq(9)));
        assert_eq!(here("/status 9"), Here::Status(Seq(9)));
    }

    #[test]
    fn groups_are_made_with_their_title_and_members() {
        let made = Order::Create {
            title: "Sailing club".into(),
            members: vec![id("bob"), id("eve")],
        };
        assert_eq!(
            understand("/group create Sailing club with bob @eve"),
            Line::Order(made)
        );
        assert_eq!(
            here("/group role bob admin"),
            Here::Role(id("bob"), Role::Admin)
        );
        assert_eq!(here("/group title Rowing"), Here::Title("Rowing".into()));
    }

    #[test]
    fn counts_and_hours_have_defaults_and_bounds() {
        assert_eq!(here("/history"), Here::History(20));
        assert_eq!(here("/history 50"), Here::History(50));
        assert_eq!(
            here("/mute"),
            Here::Mute(Some(Duration::from_secs(8 * 3600)))
        );
        assert_eq!(here("/unmute"), Here::Mute(None));
    }

    #[test]
    fn what_is_not_understood_says_what_would_be() {
        for wrong in [
            "/dance",
            "/open",
            "/edit x y",
            "/edit 3",
            "/history 0",
            "/history 101",
            "/group",
            "/group add Bob!",
            "/group create",
            "/group role bob king",
            "/mute soon",
            "/react",
        ] {
            assert!(
                matches!(understand(wrong), Line::Wrong(why) if !why.is_empty()),
                "{wrong}"
            );
        }
    }
}
