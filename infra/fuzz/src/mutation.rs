//! How a case is made: a valid sample, changed a few times, or noise.
//!
//! Changes are of the kinds that readers stumble over: a flipped bit, an extreme number where a
//! length may stand, a piece cut out, doubled, moved here from another sample, a tail torn off.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

/// The most bytes of noise, and of a piece put in.
const NOISE_BYTES: usize = 300;
/// The most changes to one sample.
const CHANGES: usize = 6;
/// No case grows beyond this, whatever is doubled.
const CASE_BYTES: usize = 1 << 20;

/// One change.
#[derive(Debug, Clone)]
pub enum Mutation {
    /// One bit is another.
    Flip(Index, u8),
    /// One byte is another.
    Set(Index, u8),
    /// A number stands there, little-endian or, with `true`, big-endian.
    Number(Index, Vec<u8>, bool),
    /// All from there on is missing.
    Tear(Index),
    /// A piece is missing.
    Cut(Index, usize),
    /// Bytes are put in.
    Insert(Index, Vec<u8>),
    /// A piece stands twice.
    Double(Index, usize),
    /// A piece is zeros.
    Blank(Index, usize),
    /// A piece of some sample is put in.
    Splice(Index, Index, Index, usize),
}

/// A case before it is bytes.
#[derive(Debug, Clone)]
pub struct Case {
    /// Which sample; none is noise.
    pub sample: Option<Index>,
    /// Noise to begin with.
    pub noise: Vec<u8>,
    /// What is changed, one after the other.
    pub changes: Vec<Mutation>,
}

/// Cases as proptest makes and shrinks them.
pub fn cases() -> impl Strategy<Value = Case> {
    let sample = prop_oneof![
        9 => any::<Index>().prop_map(Some),
        1 => Just(None),
    ];
    let changes = vec(mutation(), 0..=CHANGES);
    (sample, vec(any::<u8>(), 0..NOISE_BYTES), changes).prop_map(|(sample, noise, changes)| Case {
        sample,
        noise,
        changes,
    })
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let at = any::<Index>;
    let length = || prop_oneof![1_usize..9, 1_usize..200];
    let number = prop_oneof![
        Just(u64::MAX),
        Just(u64::MAX / 2),
        Just(u64::MAX / 2 + 1),
        Just(u64::from(u32::MAX)),
        Just(1_u64 << 31),
        Just(1_u64 << 40),
        Just(0),
        0_u64..300,
        any::<u64>(),
    ];
    let bytes = (
        number,
        prop_oneof![Just(1_usize), Just(2), Just(4), Just(8)],
    )
        .prop_map(|(number, width)| number.to_le_bytes().into_iter().take(width).collect());
    prop_oneof![
        (at(), 0_u8..8).prop_map(|(a, bit)| Mutation::Flip(a, bit)),
        (at(), any::<u8>()).prop_map(|(a, to)| Mutation::Set(a, to)),
        (at(), bytes, any::<bool>()).prop_map(|(a, n, big)| Mutation::Number(a, n, big)),
        at().prop_map(Mutation::Tear),
        (at(), length()).prop_map(|(a, n)| Mutation::Cut(a, n)),
        (at(), interesting()).prop_map(|(a, bytes)| Mutation::Insert(a, bytes)),
        (at(), length()).prop_map(|(a, n)| Mutation::Double(a, n)),
        (at(), length()).prop_map(|(a, n)| Mutation::Blank(a, n)),
        (at(), at(), at(), length()).prop_map(|(a, s, f, n)| Mutation::Splice(a, s, f, n)),
    ]
}

/// What readers of texts and of numbers stumble over.
fn interesting() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"\0",
        b"\n",
        b"\"",
        b"\\",
        b"\\u0000",
        b"\\ud800",
        b"{",
        b"[[[[[[[[[[[[[[[[",
        b"}",
        b",",
        b"null",
        b"-1",
        b"1e999",
        b"18446744073709551616",
        b"9007199254740993",
        b"\xff",
        b"\xed\xa0\x80",
        b"\xc3\x01",
        b"%00",
        b"%zz",
        b"=",
        b".",
        b"..",
        "\u{202e}\u{2028}\u{feff}".as_bytes(),
    ];
    prop_oneof![
        proptest::sample::select(known).prop_map(<[u8]>::to_vec),
        vec(any::<u8>(), 1..20),
    ]
}

impl Case {
    /// The bytes of this case.
    pub fn bytes(&self, samples: &[Vec<u8>]) -> Vec<u8> {
        let sample = self.sample.filter(|_| !samples.is_empty());
        let mut bytes = match sample {
            Some(sample) => sample.get(samples).clone(),
            None => self.noise.clone(),
        };
        for change in &self.changes {
            change.apply(&mut bytes, samples);
            bytes.truncate(CASE_BYTES);
        }
        bytes
    }
}

impl Mutation {
    fn apply(&self, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
        match self {
            Self::Flip(at, bit) => {
                if let Some(byte) = nth(bytes, at) {
                    *byte ^= 1 << (bit % 8);
                }
            }
            Self::Set(at, to) => {
                if let Some(byte) = nth(bytes, at) {
                    *byte = *to;
                }
            }
            Self::Number(at, number, big) => put_number(bytes, at, number, *big),
            Self::Tear(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Self::Cut(at, length) => drop(bytes.drain(piece(bytes, at, *length))),
            Self::Insert(at, more) => insert(bytes, at, more.clone()),
            Self::Double(at, length) => {
                let piece = bytes.get(piece(bytes, at, *length)).map(<[u8]>::to_vec);
                insert(bytes, at, piece.unwrap_or_default());
            }
            Self::Blank(at, length) => {
                let range = piece(bytes, at, *length);
                if let Some(piece) = bytes.get_mut(range) {
                    piece.fill(0);
                }
            }
            Self::Splice(at, sample, from, length) => {
                if !samples.is_empty() {
                    let sample = sample.get(samples);
                    let piece = sample.get(piece(sample, from, *length));
                    insert(bytes, at, piece.unwrap_or_default().to_vec());
                }
            }
        }
    }
}

fn nth<'a>(bytes: &'a mut [u8], at: &Index) -> Option<&'a mut u8> {
    let place = at.index(bytes.len().max(1));
    bytes.get_mut(place)
}

fn piece(bytes: &[u8], at: &Index, length: usize) -> std::ops::Range<usize> {
    let first = at.index(bytes.len() + 1);
    first..(first + length).min(bytes.len())
}

fn insert(bytes: &mut Vec<u8>, at: &Index, more: Vec<u8>) {
    let place = at.index(bytes.len() + 1);
    drop(bytes.splice(place..place, more));
}

fn put_number(bytes: &mut [u8], at: &Index, number: &[u8], big: bool) {
    let first = at.index(bytes.len() + 1);
    let places = bytes.iter_mut().skip(first);
    if big {
        places.zip(number.iter().rev()).for_each(|(to, n)| *to = *n);
    } else {
        places.zip(number).for_each(|(to, n)| *to = *n);
    }
}
