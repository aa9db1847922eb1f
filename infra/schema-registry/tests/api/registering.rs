//! Registering, looking up, reading by id and by version.

use axum::body::Body;
use axum::http::Method;
use infra_ports::memory::MemoryJournal;
use infra_schema_registry::Writers;
use schemas::avro::{SUBJECTS, schema_id};
use serde_json::json;
use std::sync::Arc;

use crate::caller::{Caller, of, record};

#[tokio::test]
async fn schema_is_found_by_id_and_by_version_as_it_was_written() {
    let caller = Caller::new().await;
    let schema = of(json!("string"));
    assert_eq!(caller.register("orders-value", &schema).await, (200, 1));
    let (status, found) = caller.get("/schemas/ids/1").await;
    assert_eq!(
        (status, &found["schema"]),
        (200, &json!(schema.to_string()))
    );
    for version in ["1", "latest", "-1"] {
        let (status, found) = caller
            .get(&format!("/subjects/orders-value/versions/{version}"))
            .await;
        assert_eq!(status, 200);
        assert_eq!(found["schema"], schema.to_string());
        assert_eq!(
            (&found["subject"], &found["id"]),
            (&json!("orders-value"), &json!(1))
        );
        assert_eq!(found["version"], 1);
    }
    assert_eq!(caller.get("/schemas/ids/1/schema").await.1, schema);
    assert_eq!(
        caller
            .get("/subjects/orders-value/versions/1/schema")
            .await
            .1,
        schema
    );
    let uses = json!([{ "subject": "orders-value", "version": 1 }]);
    assert_eq!(caller.get("/schemas/ids/1/versions").await, (200, uses));
    assert_eq!(
        caller.get("/schemas/ids/1/subjects").await.1,
        json!(["orders-value"])
    );
    assert_eq!(caller.get("/schemas/types").await.1, json!(["AVRO"]));
}

#[tokio::test]
async fn same_schema_keeps_its_version_and_its_id_however_it_is_spaced() {
    let caller = Caller::new().await;
    let schema = of(json!("string"));
    assert_eq!(caller.register("a", &schema).await, (200, 1));
    let spaced = serde_json::to_string_pretty(&schema).unwrap();
    let (_, again) = caller
        .post("/subjects/a/versions", json!({ "schema": spaced }))
        .await;
    assert_eq!((&again["id"], &again["version"]), (&json!(1), &json!(1)));
    assert_eq!(
        caller.register("b", &schema).await,
        (200, 1),
        "one id in all subjects"
    );
    assert_eq!(caller.register("b", &of(json!("bytes"))).await, (200, 2));
    assert_eq!(caller.get("/subjects/b/versions").await.1, json!([1, 2]));
    let (status, found) = caller
        .post("/subjects/b", json!({ "schema": spaced }))
        .await;
    assert_eq!((status, &found["version"]), (200, &json!(1)));
    let unknown = json!({ "schema": "\"int\"" });
    assert_eq!(
        caller.post("/subjects/b", unknown.clone()).await.1["error_code"],
        40403
    );
    assert_eq!(
        caller.post("/subjects/none", unknown).await.1["error_code"],
        40401
    );
}

#[tokio::test]
async fn platforms_own_schemas_are_there_under_their_fixed_ids_and_may_be_read_only() {
    let caller = Caller::new().await;
    let (_, subjects) = caller.get("/subjects").await;
    assert_eq!(subjects.as_array().unwrap().len(), SUBJECTS.len());
    for subject in SUBJECTS {
        let (_, found) = caller
            .get(&format!("/subjects/{subject}/versions/latest"))
            .await;
        let version = u32::try_from(subject.released().len()).unwrap();
        assert_eq!(found["id"], schema_id(*subject, version));
        assert_eq!(found["schema"], *subject.released().last().unwrap());
        let path = format!("/subjects/{subject}");
        let same = json!({ "schema": subject.current() });
        let (status, _) = caller.post(&path, same.clone()).await;
        let docs_differ = subject.current() != *subject.released().last().unwrap();
        assert!(status == 200 || docs_differ);
        let other = caller.register(subject.name(), &of(json!("int"))).await;
        assert_eq!(other, (422, 42205));
        assert_eq!(caller.delete(&path).await.1["error_code"], 42205);
        assert_eq!(
            caller.delete(&format!("{path}/versions/1")).await.1["error_code"],
            42205
        );
    }
    let newer = "chats-cursus.chats.PollOpened";
    assert_eq!(
        caller.register(newer, &of(json!("int"))).await,
        (422, 42205)
    );
    let (_, level) = caller.get("/config/receipts-cursus.receipts.Mark").await;
    assert_eq!(level["compatibilityLevel"], "FULL_TRANSITIVE");
}

#[tokio::test]
async fn what_is_not_there_is_told_with_its_code() {
    let caller = Caller::new().await;
    caller.register("a", &of(json!("int"))).await;
    for (path, code) in [
        ("/subjects/none/versions", 40401),
        ("/subjects/none/versions/1", 40401),
        ("/subjects/a/versions/2", 40402),
        ("/subjects/a/versions/0", 42202),
        ("/subjects/a/versions/-2", 42202),
        ("/subjects/a/versions/99999999999", 42202),
        ("/subjects/a/versions/newest", 42202),
        ("/schemas/ids/99", 40403),
        ("/schemas/ids/-1", 40403),
        ("/schemas/ids/99/versions", 40403),
        ("/config/a", 40408),
        ("/mode/a", 40409),
        ("/nothing/here", 404),
    ] {
        let (status, answer) = caller.get(path).await;
        assert_eq!(answer["error_code"], code, "{path}");
        assert_eq!(
            u64::from(status),
            code.to_string()[..3].parse::<u64>().unwrap()
        );
        assert!(answer["message"].is_string());
    }
    assert_eq!(caller.delete("/subjects").await.1["error_code"], 405);
    assert_eq!(caller.get("/subjects/%ff/versions").await.0, 400);
}

#[tokio::test]
async fn bad_bodies_and_schemas_are_refused_in_words() {
    let caller = Caller::new().await;
    let deep = |kind: &str| format!("{}\"int\"{}", kind.repeat(100), "}".repeat(100));
    let long_chain: Vec<_> = (0..2_000)
        .map(|n| match n {
            0 => json!({"type": "record", "name": "R0", "fields": []}),
            n => json!({"type": "record", "name": format!("R{n}"),
                "fields": [{"name": "f", "type": format!("R{}", n - 1)}]}),
        })
        .collect();
    let schemas = [
        String::new(),
        "{".to_owned(),
        "\"intt\"".to_owned(),
        "{\"type\":\"record\",\"name\":\"R\"}".to_owned(),
        "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"a\",\"a\"]}".to_owned(),
        "[\"int\",\"int\"]".to_owned(),
        deep("{\"type\":\"array\",\"items\":"),
        serde_json::to_string(&long_chain).unwrap(),
        format!("\"{}\"", "x".repeat(300_000)),
    ];
    for schema in schemas {
        let short: String = schema.chars().take(60).collect();
        let (status, answer) = caller
            .post("/subjects/a/versions", json!({ "schema": schema }))
            .await;
        assert_eq!(
            (status, &answer["error_code"]),
            (422, &json!(42201)),
            "{short}"
        );
    }
    for (body, code) in [
        ("", 400),
        ("[]", 400),
        ("{\"schema\":7}", 400),
        (
            "{\"schema\":\"\\\"int\\\"\",\"schemaType\":\"PROTOBUF\"}",
            42201,
        ),
        ("{\"schema\":\"\\\"int\\\"\",\"references\":[{}]}", 42201),
    ] {
        let answer = caller
            .ask(Method::POST, "/subjects/a/versions", body.into())
            .await;
        assert_eq!(answer.1["error_code"], code, "{body}");
    }
    let huge = Body::from(vec![b' '; 2 << 20]);
    let (status, answer) = caller.ask(Method::POST, "/subjects/a/versions", huge).await;
    assert_eq!((status, &answer["error_code"]), (413, &json!(413)));
    let long = "s".repeat(256);
    assert_eq!(
        caller.register(&long, &record(json!([]))).await,
        (422, 42208)
    );
    assert_eq!(
        caller.register("a%0Ab", &record(json!([]))).await,
        (422, 42208)
    );
    let (_, subjects) = caller.get("/subjects?subjectPrefix=a").await;
    let all_ours = subjects.as_array().unwrap().iter().all(|name| name != "a");
    assert!(all_ours, "nothing was registered: {subjects}");
}

#[tokio::test]
async fn only_writers_change_anything() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "bearer t0ken\n").unwrap();
    let writers = Writers::of_file(file.path()).unwrap();
    let journal = Arc::new(MemoryJournal::new());
    let mut caller = Caller::on(journal, 0, writers).await;
    let schema = of(json!("int"));
    assert_eq!(caller.register("a", &schema).await, (401, 401));
    let body = json!({ "compatibility": "NONE" });
    assert_eq!(caller.put("/config", body.clone()).await.0, 401);
    assert_eq!(
        caller.put("/mode/a", json!({ "mode": "READONLY" })).await.0,
        401
    );
    assert_eq!(caller.delete("/subjects/a").await.0, 401);
    caller.from("192.0.2.7:1", Some("Bearer t0ken"));
    assert_eq!(caller.register("a", &schema).await, (200, 1));
    caller.from("192.0.2.7:1", None);
    assert_eq!(caller.get("/schemas/ids/1").await.0, 200, "reading is free");
    let look_up = json!({ "schema": schema.to_string() });
    assert_eq!(caller.post("/subjects/a", look_up).await.0, 200);
}

#[tokio::test]
async fn without_writers_changes_are_taken_from_this_machine_only() {
    let mut caller = Caller::new().await;
    caller.from("192.0.2.7:1", Some("Basic YTpi"));
    assert_eq!(caller.register("a", &of(json!("int"))).await, (403, 403));
    caller.from("[::1]:1", None);
    caller.origin = Some("https://elsewhere.example");
    let of_a_page = caller.register("a", &of(json!("int"))).await;
    assert_eq!(of_a_page, (403, 403), "a browser shows pages of anybody");
    caller.origin = None;
    assert_eq!(caller.register("a", &of(json!("int"))).await, (200, 1));
}
