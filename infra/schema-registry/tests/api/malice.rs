//! Schemas that nobody sane would send: each is taken or refused, and none stops the registry.

use infra_schema_registry::avro::{AvroSchema, problems};
use proptest::prelude::*;
use schemas::avro::SUBJECTS;
use serde_json::{Value, json};

/// Any JSON that has to do with schemas: their words at places where they belong and where not.
fn shape() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "null", "int", "long", "string", "bytes", "record", "enum", "array", "map", "fixed", "a.B",
        "", "..", "9", "error", "union",
    ]);
    let leaf = prop_oneof![
        4 => word.clone().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let key = prop::sample::select(vec![
            "type",
            "name",
            "namespace",
            "fields",
            "items",
            "values",
            "symbols",
            "size",
            "default",
            "aliases",
            "logicalType",
            "precision",
            "scale",
        ]);
        let fields = prop::collection::vec((key, inner.clone()), 0..6);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            fields.prop_map(|fields| fields.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()),
            inner.prop_map(|inner| json!({ "type": "record", "name": "A", "fields": [
                { "name": "f", "type": inner }] })),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_a_schema_or_refused(shape in shape(), noise in ".{0,60}") {
        let _refused = AvroSchema::parse(&noise);
        if let Ok(schema) = AvroSchema::parse(&shape.to_string()) {
            prop_assert_eq!(problems(&schema, &schema), []);
        }
    }

    #[test]
    fn a_schema_that_was_changed_somewhere_is_one_or_refused(
        subject in any::<prop::sample::Index>(),
        place in any::<prop::sample::Index>(),
        with in prop::sample::select(vec!["\"", "{", "}", "[", "null", "0", "\\", "\u{0}"]),
    ) {
        let text = subject.get(SUBJECTS).released().last().copied().unwrap_or_default();
        let places: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
        let (before, after) = text.split_at(*place.get(&places));
        let _refused = AvroSchema::parse(&format!("{before}{with}{after}"));
    }
}

#[test]
fn what_is_too_deep_is_refused_and_not_followed() {
    for (open, close) in [
        ("[", "]"),
        ("{\"type\":", "}"),
        ("{\"type\":\"array\",\"items\":", "}"),
    ] {
        let text = format!("{}\"int\"{}", open.repeat(20_000), close.repeat(20_000));
        assert!(AvroSchema::parse(&text).is_err(), "{open}");
    }
}
