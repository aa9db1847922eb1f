//! The statements for a store of typed columns, as text.

use super::super::cql::{Range, Statements, walk_prefix};
use super::*;
use crate::ids::{ChatId, DeviceId, UserId};
use crate::position::{Generation, Seq};

fn statements<T: Table>() -> Statements {
    Statements::new(T::DEF, "cursus", Generation(3))
}

#[test]
fn tables_are_created_with_their_key_and_order() {
    assert_eq!(
        statements::<OverlayRow>().create(&[]),
        "CREATE TABLE IF NOT EXISTS cursus.overlays_g3 (chat text, bucket bigint, target bigint, \
         what text, seq bigint, at timestamp, event blob, \
         PRIMARY KEY ((chat, bucket), target, what)) \
         WITH CLUSTERING ORDER BY (target ASC, what ASC)"
    );
    assert_eq!(
        statements::<GenerationRow>().create(&[]),
        "CREATE TABLE IF NOT EXISTS cursus.generations_g3 (projection text, live int, \
         previous int, building int, last int, PRIMARY KEY ((projection)))"
    );
    let options = |of: &Statements| of.create(&["a = 1", "b = 2"]);
    assert!(
        options(&statements::<GenerationRow>()).ends_with("((projection))) WITH a = 1 AND b = 2")
    );
    assert!(options(&statements::<OverlayRow>()).ends_with("what ASC) AND a = 1 AND b = 2"));
    let column = HiddenRow::DEF.values().next().unwrap();
    assert_eq!(
        statements::<HiddenRow>().add(column),
        "ALTER TABLE cursus.hidden_g3 ADD at timestamp"
    );
    assert_eq!(
        statements::<ChatRow>().drop(),
        "DROP TABLE IF EXISTS cursus.chats_g3"
    );
}

#[test]
fn rows_are_written_and_deleted_with_their_version() {
    let hidden = statements::<HiddenRow>();
    assert_eq!(
        hidden.insert(),
        "INSERT INTO cursus.hidden_g3 (user, chat, seq, at) VALUES (?, ?, ?, ?) USING TIMESTAMP ?"
    );
    assert_eq!(
        hidden.delete(),
        "DELETE FROM cursus.hidden_g3 USING TIMESTAMP ? WHERE user = ? AND chat = ? AND seq = ?"
    );
    assert_eq!(
        hidden.get(),
        "SELECT user, chat, seq, at, WRITETIME(at) FROM cursus.hidden_g3 \
         WHERE user = ? AND chat = ? AND seq = ?"
    );
}

#[test]
fn scans_begin_behind_a_place_in_either_direction() {
    let marks = statements::<MarkRow>();
    let tail = |prefix, after, reverse| {
        let text = marks.scan(Range {
            prefix,
            after,
            reverse,
        });
        text.split_once(" WHERE ").unwrap().1.to_owned()
    };
    assert_eq!(tail(0, 0, false), "chat = ? LIMIT ?");
    assert_eq!(tail(1, 0, false), "chat = ? AND user = ? LIMIT ?");
    assert_eq!(
        tail(0, 3, false),
        "chat = ? AND (user, device, since) > (?, ?, ?) LIMIT ?"
    );
    assert_eq!(tail(0, 1, false), "chat = ? AND (user) >= (?) LIMIT ?");
    assert_eq!(
        tail(1, 3, true),
        "chat = ? AND user = ? AND (device, since) < (?, ?) \
         ORDER BY user DESC, device DESC, since DESC LIMIT ?"
    );
    assert_eq!(
        marks.scan_table(true).split_once(" WHERE ").unwrap().1,
        "token(chat) > token(?) LIMIT ?"
    );
}

#[test]
fn a_prefix_is_taken_apart_where_columns_end() {
    let key = MarkKey {
        chat: ChatId::new("d.a.b").unwrap(),
        user: UserId::new("a").unwrap(),
        device: DeviceId::new("phone").unwrap(),
        since: Seq(3),
    };
    for columns in 0..=3 {
        let prefix = encode_cluster_prefix::<MarkRow>(&key, columns);
        assert_eq!(walk_prefix(MarkRow::DEF, &prefix, |_| ()).unwrap(), columns);
    }
    assert!(walk_prefix(MarkRow::DEF, b"ad", |_| ()).is_err());
    let (partition, cluster) = encode_key::<MarkRow>(&key);
    let mut cells = 0;
    cql::walk_key(MarkRow::DEF, &partition, &cluster, |_| cells += 1).unwrap();
    assert_eq!(cells, 4);
    let short = encode_cluster_prefix::<MarkRow>(&key, 2);
    assert!(cql::walk_key(MarkRow::DEF, &partition, &short, |_| ()).is_err());
}
