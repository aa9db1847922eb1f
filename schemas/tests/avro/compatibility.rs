//! The rule of compatibility: the current schema of every event type and all its released ones
//! read each other (FULL_TRANSITIVE), and what is written is a released one.

use apache_avro::Schema;
use apache_avro::schema_compatibility::{Compatibility, SchemaCompatibility};
use schemas::avro::{SUBJECTS, SchemaStore, Subject};
use serde_json::{Value, json};

/// Both read each other whatever the value. The checker says `Partial` of an enum that lacks a
/// symbol but has a default, which is fine, and equally of an optional field made of a required
/// one, which is not. So every enum must have a default, the symbols are made the same, and then
/// only `Full` counts.
fn fully_compatible(one: &Value, other: &Value) -> bool {
    if enums_without_default(one) + enums_without_default(other) > 0 {
        return false;
    }
    let schemas = [one, other].map(|json| Schema::parse(&with_equal_enums(json.clone())).ok());
    let [Some(one), Some(other)] = &schemas else {
        return false;
    };
    let both = SchemaCompatibility::mutual_read(one, other);
    matches!(both, Ok(Compatibility::Full))
}

fn with_equal_enums(mut json: Value) -> Value {
    if json["type"] == "enum" && json["default"].is_string() {
        json["symbols"] = json!([json["default"]]);
    }
    match &mut json {
        Value::Object(fields) => {
            fields
                .values_mut()
                .for_each(|v| *v = with_equal_enums(v.take()));
        }
        Value::Array(items) => items
            .iter_mut()
            .for_each(|v| *v = with_equal_enums(v.take())),
        _ => {}
    }
    json
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

fn current(subject: Subject) -> Value {
    parsed(subject.current())
}

/// Docs may be improved without a release: they are no part of what is written.
fn without_docs(mut json: Value) -> Value {
    match &mut json {
        Value::Object(fields) => {
            fields.remove("doc");
            fields
                .values_mut()
                .for_each(|v| *v = without_docs(v.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|v| *v = without_docs(v.take())),
        _ => {}
    }
    json
}

/// Every enum anywhere in a schema that has no default of its own.
fn enums_without_default(json: &Value) -> usize {
    let here = usize::from(json["type"] == "enum" && json["default"].is_null());
    let inside: usize = match json {
        Value::Object(fields) => fields.values().map(enums_without_default).sum(),
        Value::Array(items) => items.iter().map(enums_without_default).sum(),
        _ => 0,
    };
    here + inside
}

fn fields_without_doc(json: &Value) -> usize {
    let here = json["fields"].as_array().map_or(0, |fields| {
        fields
            .iter()
            .filter(|f| f["doc"].as_str().is_none_or(str::is_empty))
            .count()
    });
    let inside: usize = match json {
        Value::Object(fields) => fields.values().map(fields_without_doc).sum(),
        Value::Array(items) => items.iter().map(fields_without_doc).sum(),
        _ => 0,
    };
    here + inside
}

#[test]
fn current_schema_is_fully_compatible_with_all_released_ones() {
    for subject in SUBJECTS {
        for (version, released) in (1..).zip(subject.released()) {
            let fits = fully_compatible(&current(*subject), &parsed(released));
            assert!(fits, "{subject} does not fit its version {version}");
        }
    }
}

#[test]
fn current_schema_is_the_newest_released_one() {
    for subject in SUBJECTS {
        let released = parsed(subject.released().last().unwrap());
        assert_eq!(
            without_docs(current(*subject)),
            without_docs(released),
            "{subject} changed: release it as a new version"
        );
    }
}

#[test]
fn released_versions_have_a_fingerprint_each() {
    assert!(SchemaStore::of_releases().is_ok());
}

#[test]
fn subject_is_topic_and_full_name() {
    for subject in SUBJECTS {
        let json = current(*subject);
        let (space, name) = (
            json["namespace"].as_str().unwrap(),
            json["name"].as_str().unwrap(),
        );
        assert_eq!(
            subject.name(),
            format!("{}-{space}.{name}", subject.topic().name())
        );
        assert_eq!(name, format!("{subject:?}"));
    }
}

#[test]
fn every_field_has_a_doc_and_every_enum_a_default() {
    for subject in SUBJECTS {
        let json = current(*subject);
        assert_eq!(fields_without_doc(&json), 0, "{subject}");
        assert_eq!(enums_without_default(&json), 0, "{subject}");
    }
}

#[test]
fn no_released_file_is_forgotten() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("avro");
    let current = std::fs::read_dir(&root).unwrap();
    let files = current
        .filter(|f| f.as_ref().unwrap().path().is_file())
        .count();
    assert_eq!(files, SUBJECTS.len());
    for entry in std::fs::read_dir(root.join("released")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let subject = SUBJECTS.iter().find(|s| s.name() == name);
        let files = std::fs::read_dir(entry.path()).unwrap().count();
        assert_eq!(files, subject.unwrap().released().len() * 2, "{name}");
    }
}

fn planted(change: impl FnOnce(&mut Value)) -> bool {
    let before = current(Subject::MemberAdded);
    let mut after = before.clone();
    change(&mut after);
    assert_ne!(before, after, "the change was planted");
    fully_compatible(&after, &before)
}

fn fields(json: &mut Value) -> &mut Vec<Value> {
    json["fields"].as_array_mut().unwrap()
}

#[test]
fn compatible_changes_pass() {
    assert!(planted(|j| fields(j).push(
        json!({"name":"why","type":["null","string"],"default":null})
    )));
    assert!(planted(
        |j| fields(j).push(json!({"name":"weight","type":"long","default":1}))
    ));
    assert!(planted(|j| fields(j)[2]["type"]["symbols"]
        .as_array_mut()
        .unwrap()
        .push(json!("guest"))));
    assert!(planted(|j| fields(j)[0]["doc"] = json!("Better words.")));
}

#[test]
fn planted_incompatible_changes_are_caught() {
    let caught = |what: &str, passed: bool| assert!(!passed, "{what} was not caught");
    caught(
        "field without default",
        planted(|j| fields(j).push(json!({"name":"why","type":"string"}))),
    );
    caught("removed field", planted(|j| drop(fields(j).remove(1))));
    caught(
        "renamed field",
        planted(|j| fields(j)[1]["name"] = json!("member")),
    );
    caught(
        "other type",
        planted(|j| fields(j)[1]["type"] = json!("long")),
    );
    caught(
        "widened type",
        planted(|j| fields(j)[0]["type"]["fields"][4]["type"] = json!("double")),
    );
    caught(
        "optional made of required",
        planted(|j| fields(j)[1]["type"] = json!(["null", "string"])),
    );
    caught(
        "nested field without default",
        planted(|j| {
            let nested = fields(j)[0]["type"]["fields"].as_array_mut().unwrap();
            nested.push(json!({"name":"ip","type":"string"}));
        }),
    );
    caught(
        "list instead of one",
        planted(|j| {
            fields(j)[1]["type"] = json!({"type":"array","items":"string"});
        }),
    );
    caught(
        "renamed record",
        planted(|j| j["name"] = json!("MemberJoined")),
    );
    caught(
        "enum without default, and a symbol less",
        planted(|j| {
            let role = fields(j)[2]["type"].as_object_mut().unwrap();
            role.remove("default");
            role["symbols"].as_array_mut().unwrap().pop();
        }),
    );
    caught(
        "renamed enum",
        planted(|j| fields(j)[2]["type"]["name"] = json!("Rank")),
    );
}
