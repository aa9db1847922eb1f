//! The codecs, run over every table there is: a new table is covered by one line in `for_all`.

mod keys;
mod rows;
mod statements;

use super::*;

/// Rows of any table, made of columns that the type accepts.
struct Any {
    /// xorshift64*, so that a failing case can be made again from its seed.
    state: u64,
}

impl Any {
    fn new(seed: u64) -> Self {
        Self { state: seed | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    fn wire(&mut self, cql: CqlType) -> Vec<u8> {
        const TEXTS: [&str; 14] = [
            "",
            "a",
            "ada",
            "bob-2",
            "d.ada.bob",
            "g.00112233445566778899aabbccddeeff",
            "member",
            "owner",
            "text",
            "unknown",
            "a\0b",
            "\0",
            "ünï\u{10FFFF}",
            "reaction.ada",
        ];
        const BLOBS: [&[u8]; 6] = [
            &[],
            &[0],
            &[0, 0xFF],
            &[0xFF, 0, 1],
            &[3, 2, 4, 1],
            b"\x00\x01",
        ];
        const NUMBERS: [i64; 10] = [0, 1, 2, 255, 256, 999, 1_000, i64::MAX, -1, i64::MIN];
        let number = if self.below(2) == 0 {
            NUMBERS[self.below(NUMBERS.len())]
        } else {
            self.next().cast_signed()
        };
        match cql {
            CqlType::Text => TEXTS[self.below(TEXTS.len())].as_bytes().to_vec(),
            CqlType::Blob => BLOBS[self.below(BLOBS.len())].to_vec(),
            CqlType::Bigint | CqlType::Timestamp => number.to_be_bytes().to_vec(),
            CqlType::Int => (number as i32).to_be_bytes().to_vec(),
            CqlType::Boolean => vec![u8::from(number % 2 == 0)],
        }
    }

    fn value<T: ColumnType>(&mut self) -> T {
        (0..10_000)
            .find_map(|_| T::from_wire(&self.wire(T::CQL)).ok())
            .expect("some of the columns tried are of every type")
    }
}

impl ColSource for Any {
    fn column<T: ColumnType>(&mut self, _: &Column) -> Result<T, RowError> {
        Ok(self.value())
    }
}

/// Calls a generic function for the row type of every table.
macro_rules! for_all {
    ($check:ident($($argument:expr),*)) => {
        $check::<ChangeRow>($($argument),*);
        $check::<ChatSettingRow>($($argument),*);
        $check::<ChatStateRow>($($argument),*);
        $check::<ChatRow>($($argument),*);
        $check::<CheckpointRow>($($argument),*);
        $check::<CursorRow>($($argument),*);
        $check::<GenerationRow>($($argument),*);
        $check::<HiddenRow>($($argument),*);
        $check::<InboxRow>($($argument),*);
        $check::<MarkRow>($($argument),*);
        $check::<MemberChatRow>($($argument),*);
        $check::<MemberRow>($($argument),*);
        $check::<MessageRow>($($argument),*);
        $check::<OverlayRow>($($argument),*);
        $check::<StatusRow>($($argument),*);
    };
}
use for_all;
