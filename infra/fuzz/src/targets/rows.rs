//! Rows and keys of every table, as stores hand them back.
//!
//! An input is a table's number, then partition key, clustering key and values, each after its
//! length in two bytes. What reads as a row is written again, and reads as the same. A number that
//! no table has stands for all: the row is foreign to every table but one, and each reads it.

use schemas::ids::{ChatId, DeviceId, UserId};
use schemas::position::{Ordinal, Seq, Timestamp};
use schemas::tables::{
    ChangeRow, ChatRow, ChatSettingRow, ChatStateRow, CheckpointRow, CursorRow, EncodedRow,
    GenerationRow, HiddenRow, InboxRow, MarkRow, MemberChatRow, MemberRow, MessageRow, OverlayRow,
    StatusRow, Steps, TABLES, Table, TableDef, decode_key, decode_row, encode_key, encode_row,
    split_key,
};

use super::{Target, linear};

pub(super) struct Rows;

/// Reads a row and writes it again.
type Again = fn([&[u8]; 3]);

/// Every table's reader, by its number: its place in [`TABLES`].
const READERS: [(&TableDef, Again); 15] = [
    (ChangeRow::DEF, again::<ChangeRow>),
    (ChatSettingRow::DEF, again::<ChatSettingRow>),
    (ChatStateRow::DEF, again::<ChatStateRow>),
    (ChatRow::DEF, again::<ChatRow>),
    (CheckpointRow::DEF, again::<CheckpointRow>),
    (CursorRow::DEF, again::<CursorRow>),
    (GenerationRow::DEF, again::<GenerationRow>),
    (HiddenRow::DEF, again::<HiddenRow>),
    (InboxRow::DEF, again::<InboxRow>),
    (MarkRow::DEF, again::<MarkRow>),
    (MemberChatRow::DEF, again::<MemberChatRow>),
    (MemberRow::DEF, again::<MemberRow>),
    (MessageRow::DEF, again::<MessageRow>),
    (OverlayRow::DEF, again::<OverlayRow>),
    (StatusRow::DEF, again::<StatusRow>),
];
/// A number that no table has.
const FOREIGN: usize = u8::MAX as usize;
/// A column that no table has, with one byte in it.
const FOREIGN_COLUMN: [u8; 3] = [120, 1, 7];

impl Target for Rows {
    fn name(&self) -> &'static str {
        "rows"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        let mut samples = Vec::new();
        let mut add = |table: &str, row: EncodedRow| {
            let number = TABLES.iter().position(|def| def.name == table);
            samples.push(framed(number.unwrap_or_default(), &row));
            // To every other table, and with a column of a later version, it is foreign.
            samples.push(framed(FOREIGN, &row));
            let mut later = row;
            later.values.extend(FOREIGN_COLUMN);
            samples.push(framed(FOREIGN, &later));
        };
        let (chat, user, device) = ids();
        let mut steps = Steps::default();
        steps.cover(Seq(1), Seq(9));
        steps.cover(Seq(4), Seq(30));
        let status = StatusRow {
            chat: chat.clone(),
            delivered: steps.clone(),
            read: steps,
        };
        add(StatusRow::DEF.name, encode_row(&status));
        let row = ChatRow {
            chat: chat.clone(),
            title: "Sailing\0".to_owned(),
            description: String::new(),
            created_at: Timestamp(1),
            updated_at: Timestamp(2),
            head: Seq(9),
            ordinal: Ordinal(8),
            owner: Some(user.clone()),
            members: 3,
            max_members: 256,
        };
        add(ChatRow::DEF.name, encode_row(&row));
        let row = CursorRow {
            user: user.clone(),
            device: Some(device.clone()),
            chat: chat.clone(),
            seq: Seq(9),
            ordinal: Ordinal(8),
            since: Seq(0),
        };
        add(CursorRow::DEF.name, encode_row(&row));
        let row = HiddenRow {
            user,
            chat,
            seq: Seq(3),
            at: Timestamp(4),
        };
        add(HiddenRow::DEF.name, encode_row(&row));
        for number in 0..TABLES.len() {
            let (partition, values) = (
                b"d.ada.bob\0\x01".to_vec(),
                vec![1, 8, 0, 0, 0, 0, 0, 0, 0, 9],
            );
            let cluster = vec![0x80, 0, 0, 0, 0, 0, 0, 7];
            let row = EncodedRow {
                partition,
                cluster,
                values,
            };
            samples.push(framed(number, &row));
        }
        samples
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        linear(input_bytes, 64)
    }

    fn run(&self, input: &[u8]) {
        let Some((number, mut rest)) = input.split_first() else {
            return;
        };
        let [partition, cluster, values] = [(); 3].map(|()| part(&mut rest));
        let row = [partition, cluster, values];
        let one = READERS.get(usize::from(*number)).map(std::slice::from_ref);
        for (def, again) in one.unwrap_or(&READERS) {
            drop(split_key(def, partition));
            again(row);
        }
    }
}

fn ids() -> (ChatId, UserId, DeviceId) {
    let chat = ChatId::new("g.00112233445566778899aabbccddeeff").expect("canonical");
    let user = UserId::new("ada").expect("canonical");
    (chat, user, DeviceId::new("phone").expect("canonical"))
}

fn framed(number: usize, row: &EncodedRow) -> Vec<u8> {
    let mut bytes = vec![u8::try_from(number).unwrap_or_default()];
    for part in [&row.partition, &row.cluster, &row.values] {
        bytes.extend(u16::try_from(part.len()).unwrap_or_default().to_le_bytes());
        bytes.extend(part);
    }
    bytes
}

/// The next part; what is promised and not there is left out.
fn part<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    let Some((length, after)) = rest.split_first_chunk::<2>() else {
        return std::mem::take(rest);
    };
    let length = usize::from(u16::from_le_bytes(*length)).min(after.len());
    let (part, after) = after.split_at(length);
    *rest = after;
    part
}

fn again<T: Table>([partition, cluster, values]: [&[u8]; 3]) {
    if let Ok(key) = decode_key::<T>(partition, cluster) {
        let (written, clustered) = encode_key::<T>(&key);
        assert!(
            decode_key::<T>(&written, &clustered).is_ok(),
            "a key of {} was read, and not after it was written",
            T::DEF.name
        );
    }
    let Ok(row) = decode_row::<T>(partition, cluster, values) else {
        return;
    };
    let written = encode_row(&row);
    match decode_row::<T>(&written.partition, &written.cluster, &written.values) {
        Ok(second) => assert_eq!(encode_row(&second), written, "{}", T::DEF.name),
        Err(error) => panic!(
            "a row of {} was written and cannot be read: {error}",
            T::DEF.name
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_is_read_under_its_own_number() {
        let read = READERS.map(|(def, _)| def.name);
        let tables: Vec<_> = TABLES.iter().map(|def| def.name).collect();
        assert_eq!(read[..], tables[..]);
        assert!(FOREIGN >= READERS.len());
    }
}
