//! A schema as a tree of shapes, with full names.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The longest text of a schema.
const MAX_SCHEMA_BYTES: usize = 256 << 10;
/// How deep shapes may stand in each other, names followed. Deeper ones are resolved by nobody
/// without a stack to match.
const MAX_DEPTH: usize = 64;

/// Why a text is no schema that can be registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unfit(pub String);

/// A schema.
#[derive(Debug)]
pub struct AvroSchema {
    /// The text in the form in which two are compared: nothing between its parts, keys sorted. Docs
    /// and whatever else was written are kept.
    pub canonical: String,
    pub(super) root: Shape,
    pub(super) names: BTreeMap<String, Named>,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shape {
    /// By its name in the specification.
    Primitive(&'static str),
    Array(Box<Shape>),
    Map(Box<Shape>),
    Union(Vec<Shape>),
    /// By its full name.
    Named(String),
}

/// What has a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    /// Full names that it had.
    pub(super) aliases: Vec<String>,
    pub(super) kind: Kind,
}

/// What is under a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Record(Vec<Field>),
    Enum {
        symbols: BTreeSet<String>,
        has_default: bool,
    },
    Fixed(u64),
}

/// A field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) aliases: Vec<String>,
    pub(super) has_default: bool,
    pub(super) shape: Shape,
}

const PRIMITIVES: [&str; 8] = [
    "null", "boolean", "int", "long", "float", "double", "bytes", "string",
];

impl AvroSchema {
    /// Reads a schema.
    ///
    /// # Errors
    /// When the text is too long, no schema, or too deep.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        if text.len() > MAX_SCHEMA_BYTES {
            return Err(Unfit(format!("it is over {MAX_SCHEMA_BYTES} bytes")));
        }
        let json = match primitive(text.trim()) {
            // A bare name, as some clients send one.
            Some(name) => Value::from(name),
            None => serde_json::from_str(text).map_err(|e| Unfit(e.to_string()))?,
        };
        let mut names = Names::default();
        let root = names.shape(&json, "", 0)?;
        let schema = Self {
            canonical: json.to_string(),
            root,
            names: names.known,
        };
        schema.measure()?;
        // Last, because it looks at what cannot be looked at when it is too deep.
        apache_avro::Schema::parse(&json).map_err(|e| Unfit(e.to_string()))?;
        Ok(schema)
    }

    /// Refuses what is too deep once names are followed. What is under a name may only use itself,
    /// what stands around it, and what stood before, so depths of names are found in one go each.
    fn measure(&self) -> Result<(), Unfit> {
        let mut depths = BTreeMap::new();
        let depth = self.depth(&self.root, &mut depths, 0);
        depth.map_or_else(|| Err(too_deep()), |_| Ok(()))
    }

    fn depth<'s>(
        &'s self,
        shape: &'s Shape,
        depths: &mut BTreeMap<&'s str, usize>,
        at: usize,
    ) -> Option<usize> {
        if at > MAX_DEPTH {
            return None;
        }
        let inner: Vec<&Shape> = match shape {
            Shape::Primitive(_) => return Some(0),
            Shape::Array(inner) | Shape::Map(inner) => vec![inner],
            Shape::Union(branches) => branches.iter().collect(),
            Shape::Named(name) => {
                if let Some(known) = depths.get(name.as_str()) {
                    return (at + known <= MAX_DEPTH).then_some(*known);
                }
                // Its own name inside it leads no deeper than itself.
                depths.insert(name, 0);
                match self.names.get(name).map(|named| &named.kind) {
                    Some(Kind::Record(fields)) => fields.iter().map(|f| &f.shape).collect(),
                    Some(Kind::Enum { .. } | Kind::Fixed(_)) | None => vec![],
                }
            }
        };
        let mut deepest = 0;
        for shape in inner {
            deepest = deepest.max(1 + self.depth(shape, depths, at + 1)?);
        }
        if let Shape::Named(name) = shape {
            depths.insert(name, deepest);
        }
        Some(deepest)
    }
}

fn too_deep() -> Unfit {
    Unfit(format!("it is nested more than {MAX_DEPTH} deep"))
}

fn primitive(name: &str) -> Option<&'static str> {
    PRIMITIVES.into_iter().find(|known| *known == name)
}

/// The names met so far.
#[derive(Default)]
struct Names {
    known: BTreeMap<String, Named>,
}

impl Names {
    fn shape(&mut self, json: &Value, space: &str, depth: usize) -> Result<Shape, Unfit> {
        if depth > MAX_DEPTH {
            return Err(too_deep());
        }
        match json {
            Value::String(name) => self.by_name(name, space),
            Value::Array(branches) => {
                let branches = branches.iter().map(|one| self.shape(one, space, depth + 1));
                Ok(Shape::Union(branches.collect::<Result<_, _>>()?))
            }
            Value::Object(parts) => self.object(parts, space, depth),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                Err(Unfit(format!("{json} is no schema")))
            }
        }
    }

    fn by_name(&self, name: &str, space: &str) -> Result<Shape, Unfit> {
        if let Some(name) = primitive(name) {
            return Ok(Shape::Primitive(name));
        }
        let full = full_name(name, space);
        // A name without a dot may stand for one without a namespace.
        let found = [full.as_str(), name]
            .into_iter()
            .find(|one| self.known.contains_key(*one));
        found
            .map(|one| Shape::Named(one.to_owned()))
            .ok_or_else(|| Unfit(format!("{full} is not defined")))
    }

    fn object(
        &mut self,
        parts: &Map<String, Value>,
        space: &str,
        depth: usize,
    ) -> Result<Shape, Unfit> {
        let lacks = |part: &str| Unfit(format!("a schema without \"{part}\""));
        let kind = parts.get("type").ok_or_else(|| lacks("type"))?;
        let Value::String(kind) = kind else {
            return self.shape(kind, space, depth + 1);
        };
        let inner = |part: &str| parts.get(part).ok_or_else(|| lacks(part));
        match kind.as_str() {
            "array" => {
                let items = self.shape(inner("items")?, space, depth + 1)?;
                Ok(Shape::Array(Box::new(items)))
            }
            "map" => {
                let values = self.shape(inner("values")?, space, depth + 1)?;
                Ok(Shape::Map(Box::new(values)))
            }
            "record" | "error" | "enum" | "fixed" => self.named(kind, parts, space, depth),
            other => self.by_name(other, space),
        }
    }

    fn named(
        &mut self,
        kind: &str,
        parts: &Map<String, Value>,
        space: &str,
        depth: usize,
    ) -> Result<Shape, Unfit> {
        let text = |part: &str| parts.get(part).and_then(Value::as_str);
        let name = text("name").ok_or_else(|| Unfit(format!("a {kind} without a name")))?;
        let full = full_name(name, text("namespace").unwrap_or(space));
        let space = full
            .rsplit_once('.')
            .map_or("", |(space, _)| space)
            .to_owned();
        let aliases = strings(parts, "aliases").map(|alias| full_name(alias, &space));
        let mut named = Named {
            aliases: aliases.collect(),
            kind: Kind::Record(Vec::new()),
        };
        // Known before its fields are: they may be of it.
        if self.known.insert(full.clone(), named.clone()).is_some() {
            return Err(Unfit(format!("{full} is defined twice")));
        }
        named.kind = match kind {
            "enum" => Kind::Enum {
                symbols: strings(parts, "symbols").map(str::to_owned).collect(),
                has_default: parts.get("default").is_some_and(Value::is_string),
            },
            "fixed" => {
                let size = parts.get("size").and_then(Value::as_u64);
                Kind::Fixed(size.ok_or_else(|| Unfit(format!("{full} has no size")))?)
            }
            _ => Kind::Record(self.fields(parts, &space, depth)?),
        };
        self.known.insert(full.clone(), named);
        Ok(Shape::Named(full))
    }

    fn fields(
        &mut self,
        parts: &Map<String, Value>,
        space: &str,
        depth: usize,
    ) -> Result<Vec<Field>, Unfit> {
        let fields = parts.get("fields").and_then(Value::as_array);
        let fields = fields.ok_or_else(|| Unfit("a record without fields".to_owned()))?;
        let field = |field: &Value| {
            let parts = field.as_object();
            let name = parts.and_then(|parts| parts.get("name")?.as_str());
            let (Some(parts), Some(name)) = (parts, name) else {
                return Err(Unfit("a field without a name".to_owned()));
            };
            let shape = parts.get("type").unwrap_or(&Value::Null);
            Ok(Field {
                name: name.to_owned(),
                aliases: strings(parts, "aliases").map(str::to_owned).collect(),
                has_default: parts.contains_key("default"),
                shape: self.shape(shape, space, depth + 1)?,
            })
        };
        fields.iter().map(field).collect()
    }
}

fn full_name(name: &str, space: &str) -> String {
    match space {
        _ if name.contains('.') => name.to_owned(),
        "" => name.to_owned(),
        space => format!("{space}.{name}"),
    }
}

fn strings<'j>(parts: &'j Map<String, Value>, part: &str) -> impl Iterator<Item = &'j str> {
    let list = parts.get(part).and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str)
}
