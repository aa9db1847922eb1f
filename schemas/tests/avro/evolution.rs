//! Schemas of other versions: what an earlier writer did not know, what a later one added.
//!
//! serde_avro_fast reads with the writer's schema alone, so Avro's resolution (defaults of missing
//! fields, defaults of enums, fields to skip) is done by serde attributes of the records. Here
//! they are held against what the schema says, field by field.

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::types::Value as Avro;
use apache_avro::writer::datum::GenericDatumWriter;
use schemas::avro::{SchemaStore, describe};
use serde_json::{Value, json};

use super::one_event::{OneEvent, samples};

/// A field by its place in each record on the way to it.
type Path = Vec<usize>;

/// All fields of a schema with their paths, outer ones first.
fn fields(record: &Value, at: &Path, all: &mut Vec<(Path, Value)>) {
    for (index, field) in record["fields"].as_array().unwrap().iter().enumerate() {
        let path: Path = at.iter().copied().chain([index]).collect();
        all.push((path.clone(), field.clone()));
        if field["type"]["type"] == "record" {
            fields(&field["type"], &path, all);
        }
    }
}

fn fields_of(event: &OneEvent) -> (Value, Vec<(Path, Value)>) {
    let json: Value = serde_json::from_str(event.subject().current()).unwrap();
    let mut all = Vec::new();
    fields(&json, &Path::new(), &mut all);
    (json, all)
}

/// The list of fields that the last step of a path points into.
fn list<'a>(mut record: &'a mut Value, path: &[usize]) -> &'a mut Vec<Value> {
    for index in &path[..path.len() - 1] {
        record = &mut record["fields"][*index]["type"];
    }
    record["fields"].as_array_mut().unwrap()
}

fn values<'a>(mut record: &'a mut Avro, path: &[usize]) -> &'a mut Vec<(String, Avro)> {
    for index in &path[..path.len() - 1] {
        let Avro::Record(fields) = record else {
            panic!("a record")
        };
        record = &mut fields[*index].1;
    }
    let Avro::Record(fields) = record else {
        panic!("a record")
    };
    fields
}

fn value_of(event: &OneEvent) -> Avro {
    let schema = Schema::parse_str(event.subject().current()).unwrap();
    let reader = GenericDatumReader::builder(&schema).build().unwrap();
    reader
        .read_value(&mut &event.encode().unwrap()[10..])
        .unwrap()
}

/// Writes a value under another schema with the reference implementation and reads it as ours.
fn read_back(event: &OneEvent, json: &Value, value: &Avro) -> OneEvent {
    let (subject, text) = (event.subject(), json.to_string());
    let schema = Schema::parse_str(&text).unwrap();
    let mut bytes = vec![0xC3, 0x01];
    bytes.extend_from_slice(&schema.fingerprint::<Rabin>().bytes);
    let writer = GenericDatumWriter::builder(&schema).build().unwrap();
    writer.write_value_ref(&mut bytes, value).unwrap();
    let unknown = OneEvent::decode(subject.topic(), &bytes).unwrap_err();
    assert!(unknown.is_unknown());
    let mut store = SchemaStore::of_releases().unwrap();
    store.add(subject, 99, &text).unwrap();
    OneEvent::decode_with(&store, subject.topic(), &bytes).unwrap()
}

fn shown(event: &OneEvent, path: &[usize]) -> Value {
    let (mut schema, _) = fields_of(event);
    let (_, _, mut json) = describe(&event.encode().unwrap()).unwrap();
    for end in 1..=path.len() {
        let field = &list(&mut schema, &path[..end])[path[end - 1]];
        json = json[field["name"].as_str().unwrap()].take();
    }
    json
}

#[test]
fn field_an_earlier_writer_lacked_reads_as_the_default_of_its_schema() {
    let mut seen = 0;
    for event in samples() {
        let (schema, all) = fields_of(&event);
        for (path, field) in all {
            let Some(default) = field.get("default") else {
                continue;
            };
            let (mut earlier, mut value) = (schema.clone(), value_of(&event));
            let last = path[path.len() - 1];
            list(&mut earlier, &path).remove(last);
            values(&mut value, &path).remove(last);
            let back = read_back(&event, &earlier, &value);
            assert_eq!(
                &shown(&back, &path),
                default,
                "{} {path:?}",
                event.subject()
            );
            seen += 1;
        }
    }
    assert!(seen >= 9, "there are optional fields: {seen}");
}

#[test]
fn symbol_a_later_writer_added_reads_as_the_default_of_its_enum() {
    let mut seen = 0;
    for event in samples() {
        let (schema, all) = fields_of(&event);
        for (path, field) in all.into_iter().filter(|(_, f)| f["type"]["type"] == "enum") {
            let (mut later, mut value) = (schema.clone(), value_of(&event));
            let last = path[path.len() - 1];
            let place = &mut list(&mut later, &path)[last]["type"]["symbols"];
            let symbols = place.as_array_mut().unwrap();
            let symbol = u32::try_from(symbols.len()).unwrap();
            symbols.push(json!("of_a_later_version"));
            values(&mut value, &path)[last].1 = Avro::Enum(symbol, "of_a_later_version".to_owned());
            let back = read_back(&event, &later, &value);
            let default = &field["type"]["default"];
            assert_eq!(
                &shown(&back, &path),
                default,
                "{} {path:?}",
                event.subject()
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 6, "two bodies, two roles, two kinds of mark");
}

#[test]
fn field_a_later_writer_added_is_skipped() {
    let kinds = [
        (json!("string"), Avro::String("x".to_owned())),
        (
            json!({"type": "array", "items": "bytes"}),
            Avro::Array(vec![Avro::Bytes(vec![1, 2])]),
        ),
        (
            json!(["null", "long"]),
            Avro::Union(1, Box::new(Avro::Long(-5))),
        ),
        (
            json!({"type": "map", "values": "string"}),
            Avro::Map(std::collections::HashMap::new()),
        ),
    ];
    for event in samples() {
        for (kind, added) in &kinds {
            // In front, so that whatever follows shifts if it is not skipped to the byte.
            let (mut later, mut value) = (fields_of(&event).0, value_of(&event));
            list(&mut later, &[0]).insert(0, json!({"name": "added", "type": kind}));
            values(&mut value, &[0]).insert(0, ("added".to_owned(), added.clone()));
            assert_eq!(read_back(&event, &later, &value), event);
        }
    }
}
