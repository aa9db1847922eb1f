//! Sessions as fields of a user's hash. Pure.

use infra_ports::registry::{NodeName, RegistryError, SessionRecord};
use schemas::ids::{DeviceId, UserId};
use schemas::position::Timestamp;

/// What Redis holds of a user.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) live: Vec<SessionRecord>,
    pub(crate) seen: Option<Timestamp>,
}

/// Field, epoch and the rest of the value; Redis puts the end before them. An epoch is written with
/// all its digits, so that texts compare as numbers do.
pub(crate) fn encode(session: &SessionRecord) -> [String; 3] {
    let SessionRecord {
        gateway,
        session: number,
        epoch,
        device,
        since,
        ..
    } = session;
    [
        format!("{gateway}/{number}"),
        format!("{epoch:020}"),
        format!("{} {device}", since.0),
    ]
}

/// Takes the answer to a look apart.
pub(crate) fn decode(user: &UserId, answer: Vec<String>) -> Result<Found, RegistryError> {
    let mut fields = answer.into_iter();
    let seen = fields.next().unwrap_or_default();
    let seen = match seen.as_str() {
        "" => None,
        text => Some(Timestamp(text.parse().map_err(|_| foreign(text))?)),
    };
    let mut live = Vec::new();
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        let session = decode_one(user, &field, &value);
        live.push(session.ok_or_else(|| foreign(&field))?);
    }
    live.sort_unstable();
    Ok(Found { live, seen })
}

fn decode_one(user: &UserId, field: &str, value: &str) -> Option<SessionRecord> {
    let (gateway, number) = field.rsplit_once('/')?;
    let mut parts = value.split(' ').skip(1);
    Some(SessionRecord {
        user: user.clone(),
        gateway: NodeName::new(gateway).ok()?,
        session: number.parse().ok()?,
        epoch: parts.next()?.parse().ok()?,
        since: Timestamp(parts.next()?.parse().ok()?),
        device: DeviceId::new(parts.next()?).ok()?,
    })
}

pub(crate) fn foreign(what: &str) -> RegistryError {
    RegistryError::Refused(format!("not written by this version: {what}"))
}

/// Sessions by user, each user once.
pub(crate) fn by_user(sessions: &[SessionRecord]) -> Vec<Vec<&SessionRecord>> {
    let mut sorted: Vec<_> = sessions.iter().collect();
    sorted.sort_by(|one, other| one.user.cmp(&other.user));
    let users = sorted.chunk_by(|one, other| one.user == other.user);
    users.map(<[_]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(name: &str, number: u64) -> SessionRecord {
        SessionRecord {
            user: UserId::new(name).unwrap(),
            gateway: NodeName::new("g.1").unwrap(),
            session: number,
            epoch: u64::MAX,
            device: DeviceId::new("phone").unwrap(),
            since: Timestamp(-3),
        }
    }

    #[test]
    fn a_session_is_read_back_as_it_was_and_foreign_fields_are_refused() {
        let one = session("ada", 7);
        let [field, epoch, rest] = encode(&one);
        let answer = vec!["9".to_owned(), field.clone(), format!("123 {epoch} {rest}")];
        let found = decode(&one.user, answer).unwrap();
        let expected = Found {
            live: vec![one.clone()],
            seen: Some(Timestamp(9)),
        };
        assert_eq!(found, expected);
        for value in ["", "1", "1 2", "1 2 3", "1 x 3 phone", "1 2 3 Phone"] {
            let answer = vec![String::new(), field.clone(), value.to_owned()];
            let error = decode(&one.user, answer).unwrap_err();
            assert!(!error.is_retryable(), "{value}");
        }
    }

    #[test]
    fn each_user_is_asked_for_once() {
        let all = [session("b", 1), session("a", 2), session("b", 3)];
        let users = by_user(&all);
        assert_eq!(users, [vec![&all[1]], vec![&all[0], &all[2]]]);
    }
}
