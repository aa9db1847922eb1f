//! What a reader can read, by Avro's rules of schema resolution.
//!
//! Stricter than the letter in one point, as the registries in use are: a value that would fit only
//! by chance does not fit. A union is read when each of its branches is; names count with their
//! namespace, or as an alias of the reader.

use std::collections::HashMap;

use super::shape::{AvroSchema, Field, Kind, Named, Shape};

/// Why data may not be readable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The kind, as registries name it.
    pub kind: &'static str,
    /// Where in the reader's schema: fields with slashes before.
    pub place: String,
    /// In words.
    pub what: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kind, place, what } = self;
        write!(f, "{kind} at {place}: {what}")
    }
}

/// How deep two schemas are followed into each other. Each alone is not so deep; by aliases a pair may be.
const MAX_PAIR_DEPTH: usize = 256;
/// Problems told of one pair of schemas, at most.
const MAX_PROBLEMS: usize = 32;

/// Why a reader with one schema cannot read whatever was written under another; none when it can.
#[must_use]
pub fn problems(reader: &AvroSchema, writer: &AvroSchema) -> Vec<Problem> {
    let mut reading = Reading {
        reader,
        writer,
        pairs: HashMap::new(),
        problems: Vec::new(),
        depth: 0,
    };
    reading.reads(&reader.root, &writer.root, "");
    reading.problems.truncate(MAX_PROBLEMS);
    reading.problems
}

struct Reading<'s> {
    reader: &'s AvroSchema,
    writer: &'s AvroSchema,
    /// Names of reader and writer that were met: whether the one reads the other. While that is being
    /// found out, a pair that is met again inside itself adds nothing.
    pairs: HashMap<(&'s str, &'s str), bool>,
    problems: Vec<Problem>,
    depth: usize,
}

impl<'s> Reading<'s> {
    fn reads(&mut self, reader: &'s Shape, writer: &'s Shape, place: &str) -> bool {
        if self.depth > MAX_PAIR_DEPTH {
            let what = "the two are nested too deep to be compared".to_owned();
            return self.problem("TYPE_MISMATCH", place, what);
        }
        self.depth += 1;
        let read = self.reads_here(reader, writer, place);
        self.depth -= 1;
        read
    }

    fn reads_here(&mut self, reader: &'s Shape, writer: &'s Shape, place: &str) -> bool {
        match (reader, writer) {
            (_, Shape::Union(branches)) => {
                // All are looked at, so that all problems are told.
                let read = branches
                    .iter()
                    .map(|branch| self.reads(reader, branch, place));
                read.fold(true, |all, one| all & one)
            }
            (Shape::Union(branches), _) => self.some_branch_reads(branches, writer, place),
            (Shape::Primitive(reader), Shape::Primitive(writer)) => {
                promotes(writer, reader) || self.differ(reader, writer, place)
            }
            (Shape::Array(reader), Shape::Array(writer)) => {
                self.reads(reader, writer, &format!("{place}/items"))
            }
            (Shape::Map(reader), Shape::Map(writer)) => {
                self.reads(reader, writer, &format!("{place}/values"))
            }
            (Shape::Named(reader), Shape::Named(writer)) => self.named(reader, writer, place),
            _ => self.differ(&told(reader), &told(writer), place),
        }
    }

    fn some_branch_reads(&mut self, branches: &'s [Shape], writer: &'s Shape, at: &str) -> bool {
        let before = self.problems.len();
        for branch in branches {
            let begun = self.problems.len();
            if self.reads(branch, writer, at) {
                self.problems.truncate(before);
                return true;
            }
            // Only what the branch lacks that is meant says anything.
            if told(branch) != told(writer) {
                self.problems.truncate(begun);
            }
        }
        if self.problems.len() > before {
            return false;
        }
        let what = format!("no branch of the union reads {}", told(writer));
        self.problem("MISSING_UNION_BRANCH", at, what)
    }

    fn named(&mut self, reader: &'s str, writer: &'s str, place: &str) -> bool {
        if let Some(known) = self.pairs.get(&(reader, writer)) {
            return *known;
        }
        self.pairs.insert((reader, writer), true);
        let ours = self.reader.names.get(reader);
        let read = match (ours, self.writer.names.get(writer)) {
            (Some(ours), Some(theirs)) => self.definitions((reader, ours), (writer, theirs), place),
            _ => self.differ(reader, writer, place),
        };
        self.pairs.insert((reader, writer), read);
        read
    }

    fn definitions(
        &mut self,
        (reader, ours): (&str, &'s Named),
        (writer, theirs): (&str, &'s Named),
        place: &str,
    ) -> bool {
        if reader != writer && !ours.aliases.iter().any(|alias| alias == writer) {
            let what = format!("{reader} is expected, {writer} was written");
            return self.problem("NAME_MISMATCH", place, what);
        }
        match (&ours.kind, &theirs.kind) {
            (Kind::Record(ours), Kind::Record(theirs)) => self.fields(ours, theirs, place),
            (Kind::Fixed(ours), Kind::Fixed(theirs)) if ours == theirs => true,
            (Kind::Fixed(ours), Kind::Fixed(theirs)) => {
                let what = format!("{ours} bytes are expected, {theirs} were written");
                self.problem("FIXED_SIZE_MISMATCH", place, what)
            }
            (
                Kind::Enum {
                    symbols,
                    has_default,
                },
                Kind::Enum {
                    symbols: written, ..
                },
            ) => match written.difference(symbols).next() {
                Some(symbol) if !has_default => {
                    let what = format!("the symbol {symbol} is unknown and there is no default");
                    self.problem("MISSING_ENUM_SYMBOLS", place, what)
                }
                Some(_) | None => true,
            },
            _ => self.differ(reader, writer, place),
        }
    }

    fn fields(&mut self, ours: &'s [Field], theirs: &'s [Field], place: &str) -> bool {
        let mut read = true;
        for field in ours {
            let at = format!("{place}/{}", field.name);
            let written = theirs
                .iter()
                .find(|one| one.name == field.name)
                .or_else(|| theirs.iter().find(|one| field.aliases.contains(&one.name)));
            read &= match written {
                Some(written) => self.reads(&field.shape, &written.shape, &at),
                None if field.has_default => true,
                None => {
                    let what = "it has no default and was not written".to_owned();
                    self.problem("READER_FIELD_MISSING_DEFAULT_VALUE", &at, what)
                }
            };
        }
        read
    }

    fn differ(&mut self, reader: &str, writer: &str, place: &str) -> bool {
        let what = format!("{reader} is expected, {writer} was written");
        self.problem("TYPE_MISMATCH", place, what)
    }

    fn problem(&mut self, kind: &'static str, place: &str, what: String) -> bool {
        let place = if place.is_empty() { "/" } else { place }.to_owned();
        self.problems.push(Problem { kind, place, what });
        false
    }
}

/// Whether a value of one primitive is read as another.
fn promotes(from: &str, to: &str) -> bool {
    from == to
        || matches!(
            (from, to),
            ("int", "long" | "float" | "double")
                | ("long", "float" | "double")
                | ("float", "double")
                | ("string", "bytes")
                | ("bytes", "string")
        )
}

fn told(shape: &Shape) -> String {
    match shape {
        Shape::Primitive(name) => (*name).to_owned(),
        Shape::Array(_) => "array".to_owned(),
        Shape::Map(_) => "map".to_owned(),
        Shape::Union(_) => "union".to_owned(),
        Shape::Named(name) => name.clone(),
    }
}
