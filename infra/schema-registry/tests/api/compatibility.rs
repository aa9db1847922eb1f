//! What each level lets pass, and that nothing is stored by asking.

use infra_schema_registry::avro::{AvroSchema, problems};
use serde_json::{Value, json};

use crate::caller::{Caller, of, record};

/// Whether the first reads what was written under the second.
fn reads(reader: &Value, writer: &Value) -> bool {
    let parsed = |json: &Value| AvroSchema::parse(&json.to_string()).unwrap();
    problems(&parsed(reader), &parsed(writer)).is_empty()
}

#[test]
fn rules_of_resolution_hold_one_by_one() {
    let (small, large) = (json!(["a", "b"]), json!(["a", "b", "c"]));
    let symbols = |symbols: &Value| of(json!({"type": "enum", "name": "E", "symbols": symbols}));
    let with_default = of(json!({"type": "enum", "name": "E", "symbols": small, "default": "a"}));
    let fixed = |size: u32| of(json!({"type": "fixed", "name": "F", "size": size}));
    let optional = of(json!(["null", "string"]));
    let added = record(json!([
        {"name": "f", "type": "int"}, {"name": "g", "type": "int", "default": 0}]));
    let added_bare = record(json!([{"name": "f", "type": "int"}, {"name": "g", "type": "int"}]));
    let renamed = record(json!([{"name": "h", "type": "int", "aliases": ["f"]}]));
    let list = |kind: &str| of(json!({"type": "array", "items": kind}));
    let map = |kind: &str| of(json!({"type": "map", "values": kind}));
    let (int, long, string) = (of(json!("int")), of(json!("long")), of(json!("string")));
    let date = of(json!({"type": "int", "logicalType": "date"}));
    for (reader, writer, expected, rule) in [
        (&long, &int, true, "a number widens"),
        (&int, &long, false, "and does not narrow"),
        (&of(json!("bytes")), &string, true, "text is bytes"),
        (&string, &of(json!("bytes")), true, "and back"),
        (&date, &int, true, "a logical type is what carries it"),
        (&optional, &string, true, "a branch reads what it is"),
        (&string, &optional, false, "each branch must be read"),
        (
            &of(json!(["null", "long"])),
            &int,
            true,
            "a branch may widen",
        ),
        (&optional, &int, false, "some branch must fit"),
        (&symbols(&large), &symbols(&small), true, "more symbols"),
        (&symbols(&small), &symbols(&large), false, "fewer symbols"),
        (
            &with_default,
            &symbols(&large),
            true,
            "fewer, but with a default",
        ),
        (&fixed(4), &fixed(4), true, "the same size"),
        (&fixed(4), &fixed(5), false, "another size"),
        (&added, &int, true, "a new field with a default"),
        (&added_bare, &int, false, "and without one"),
        (&int, &added_bare, true, "a field less"),
        (&renamed, &int, true, "an alias"),
        (&int, &renamed, false, "is the reader's"),
        (&list("long"), &list("int"), true, "items widen"),
        (&list("int"), &list("string"), false, "items differ"),
        (&map("double"), &map("float"), true, "values widen"),
        (&list("int"), &map("int"), false, "a list is no map"),
    ] {
        assert_eq!(reads(reader, writer), expected, "{rule}");
    }
}

#[test]
fn names_count_with_their_namespace() {
    let named = |space: &str, aliases: Value| json!({"type": "record", "name": "R", "namespace": space, "aliases": aliases, "fields": []});
    assert!(!reads(&named("b", json!([])), &named("a", json!([]))));
    assert!(reads(&named("b", json!(["a.R"])), &named("a", json!([]))));
    let dotted = json!({"type": "record", "name": "a.R", "fields": []});
    assert!(reads(&dotted, &named("a", json!([]))));
}

#[test]
fn schema_of_itself_is_followed_once() {
    let tree = |leaf: &str| {
        json!({"type": "record", "name": "T", "fields": [
            {"name": "leaf", "type": leaf},
            {"name": "next", "type": ["null", "T"], "default": null}]})
    };
    assert!(reads(&tree("long"), &tree("int")));
    assert!(!reads(&tree("int"), &tree("long")));
}

#[test]
fn problem_deep_inside_is_told_with_its_place() {
    let with = |kind: &str| {
        let inner = json!({"type": "record", "name": "I", "fields": [{"name": "n", "type": kind}]});
        of(json!(["null", {"type": "array", "items": inner}]))
    };
    let parsed = |json: Value| AvroSchema::parse(&json.to_string()).unwrap();
    let found = problems(&parsed(with("int")), &parsed(with("string")));
    assert_eq!(found[0].place, "/f/items/n", "{found:?}");
    assert_eq!(found[0].kind, "TYPE_MISMATCH");
}

/// What a level says to this as version 3, after two others.
async fn says(level: &str, first: &Value, second: &Value, third: &Value) -> u16 {
    let caller = Caller::new().await;
    caller
        .put("/config/a", json!({ "compatibility": "NONE" }))
        .await;
    caller.register("a", first).await;
    caller.register("a", second).await;
    caller
        .put("/config/a", json!({ "compatibility": level }))
        .await;
    let body = json!({ "schema": third.to_string() });
    let path = "/compatibility/subjects/a/versions?verbose=true";
    let (_, asked) = caller.post(path, body).await;
    let (status, _) = caller.register("a", third).await;
    assert_eq!(asked["is_compatible"], status == 200, "{asked}");
    assert_eq!(
        asked["messages"].as_array().unwrap().is_empty(),
        status == 200
    );
    status
}

#[tokio::test]
async fn levels_ask_in_their_direction_and_as_far_as_they_say() {
    let (none, f, g) = (
        record(json!([])),
        of(json!("int")),
        record(json!([{"name": "g", "type": "int", "default": 0}])),
    );
    for (level, versions, expected) in [
        ("BACKWARD", [&none, &none, &f], 409),
        ("BACKWARD", [&none, &f, &f], 200),
        ("BACKWARD", [&none, &f, &none], 200),
        ("FORWARD", [&none, &none, &f], 200),
        ("FORWARD", [&none, &f, &g], 409),
        ("FORWARD", [&f, &none, &g], 200),
        ("FORWARD_TRANSITIVE", [&f, &none, &g], 409),
        ("FULL", [&none, &none, &f], 409),
        ("FULL", [&f, &none, &g], 200),
        ("FULL_TRANSITIVE", [&f, &none, &g], 409),
        ("FULL_TRANSITIVE", [&none, &none, &g], 200),
        ("NONE", [&f, &f, &of(json!("string"))], 200),
    ] {
        let [first, second, third] = versions;
        let status = says(level, first, second, third).await;
        assert_eq!(status, expected, "{level}: {third}");
    }
    let (optional, required) = (of(json!(["null", "int"])), of(json!("int")));
    let wide = record(json!([{"name": "f", "type": "int"}, {"name": "x", "type": "int"}]));
    let backward = says("BACKWARD_TRANSITIVE", &wide, &required, &optional).await;
    assert_eq!(backward, 200);
    assert_eq!(says("BACKWARD", &optional, &required, &required).await, 200);
    let narrow = of(json!("long"));
    assert_eq!(
        says("BACKWARD_TRANSITIVE", &optional, &required, &narrow).await,
        409
    );
}

#[tokio::test]
async fn one_version_can_be_asked_about() {
    let caller = Caller::new().await;
    caller.register("a", &of(json!("int"))).await;
    let ask = async |version: &str, schema: &Value| {
        let path = format!("/compatibility/subjects/a/versions/{version}");
        caller
            .post(&path, json!({ "schema": schema.to_string() }))
            .await
    };
    let (long, text) = (of(json!("long")), of(json!("string")));
    assert_eq!(
        ask("latest", &long).await,
        (200, json!({ "is_compatible": true }))
    );
    assert_eq!(
        ask("1", &text).await,
        (200, json!({ "is_compatible": false }))
    );
    assert_eq!(ask("2", &text).await.1["error_code"], 40402);
    assert_eq!(
        caller.get("/subjects/a/versions").await.1,
        json!([1]),
        "nothing was stored"
    );
}
