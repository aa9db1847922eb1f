//! Levels and modes, of all subjects and of one.

use serde_json::json;

use crate::caller::{Caller, of, record};

#[tokio::test]
async fn level_of_a_subject_wins_over_the_one_of_all() {
    let caller = Caller::new().await;
    assert_eq!(
        caller.get("/config").await.1["compatibilityLevel"],
        "BACKWARD"
    );
    caller.register("a", &of(json!("int"))).await;
    let other = of(json!("string"));
    assert_eq!(caller.register("a", &other).await, (409, 409));
    let set = caller
        .put("/config/a", json!({ "compatibility": "none" }))
        .await;
    assert_eq!(set, (200, json!({ "compatibility": "NONE" })));
    assert_eq!(caller.register("a", &other).await, (200, 2));
    assert_eq!(
        caller.delete("/config/a").await.1["compatibilityLevel"],
        "NONE"
    );
    assert_eq!(caller.get("/config/a").await.1["error_code"], 40408);
    caller
        .put("/config", json!({ "compatibility": "FULL" }))
        .await;
    let (_, level) = caller.get("/config/a?defaultToGlobal=true").await;
    assert_eq!(level["compatibilityLevel"], "FULL");
    assert_eq!(
        caller.delete("/config").await.1["compatibilityLevel"],
        "FULL"
    );
    assert_eq!(
        caller.get("/config").await.1["compatibilityLevel"],
        "BACKWARD"
    );
    for bad in [
        json!({ "compatibility": "SOMEHOW" }),
        json!({ "compatibility": 1 }),
    ] {
        assert_eq!(caller.put("/config", bad).await.1["error_code"], 42203);
    }
    assert_eq!(caller.put("/config", json!({})).await.1["error_code"], 400);
}

#[tokio::test]
async fn subject_that_may_be_read_only_takes_no_version() {
    let caller = Caller::new().await;
    let (first, second) = (record(json!([])), of(json!(["null", "int"])));
    caller.register("a", &first).await;
    let set = caller.put("/mode/a", json!({ "mode": "READONLY" })).await;
    assert_eq!(set, (200, json!({ "mode": "READONLY" })));
    assert_eq!(caller.register("a", &second).await, (422, 42205));
    assert_eq!(
        caller.register("a", &first).await,
        (200, 1),
        "it is there already"
    );
    assert_eq!(caller.delete("/subjects/a").await.1["error_code"], 42205);
    assert_eq!(caller.delete("/mode/a").await.1["mode"], "READONLY");
    assert_eq!(
        caller.get("/mode/a?defaultToGlobal=true").await.1["mode"],
        "READWRITE"
    );
    caller.put("/mode", json!({ "mode": "READONLY" })).await;
    assert_eq!(caller.register("b", &first).await, (422, 42205));
    assert_eq!(
        caller.put("/mode", json!({ "mode": "IMPORT" })).await.1["error_code"],
        42204
    );
}

#[tokio::test]
async fn nobody_sets_the_rules_of_the_platforms_own_subjects() {
    let caller = Caller::new().await;
    let subject = "chats-cursus.chats.MessageSent";
    let level = json!({ "compatibility": "NONE" });
    assert_eq!(
        caller.put(&format!("/config/{subject}"), level).await.1["error_code"],
        42205
    );
    let mode = json!({ "mode": "READWRITE" });
    assert_eq!(
        caller.put(&format!("/mode/{subject}"), mode).await.1["error_code"],
        42205
    );
    assert_eq!(
        caller.get(&format!("/mode/{subject}")).await.1["mode"],
        "READONLY"
    );
}
