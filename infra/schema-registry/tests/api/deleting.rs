//! Deleting, twice: first hidden, then for good.

use serde_json::json;

use crate::caller::{Caller, of};

#[tokio::test]
async fn deleted_version_is_hidden_and_its_id_still_reads_old_data() {
    let caller = Caller::new().await;
    caller.register("a", &of(json!("int"))).await;
    caller.register("a", &of(json!("long"))).await;
    assert_eq!(
        caller.delete("/subjects/a/versions/2").await,
        (200, json!(2))
    );
    assert_eq!(caller.get("/subjects/a/versions").await.1, json!([1]));
    assert_eq!(
        caller.get("/subjects/a/versions?deleted=true").await.1,
        json!([1, 2])
    );
    assert_eq!(
        caller.get("/subjects/a/versions/2").await.1["error_code"],
        40402
    );
    assert_eq!(
        caller.get("/subjects/a/versions/2?deleted=true").await.0,
        200
    );
    assert_eq!(
        caller.get("/subjects/a/versions/latest").await.1["version"],
        1
    );
    assert_eq!(caller.get("/schemas/ids/2").await.0, 200);
    assert_eq!(
        caller.delete("/subjects/a/versions/2").await.1["error_code"],
        40406
    );
    assert_eq!(
        caller.register("a", &of(json!("long"))).await,
        (200, 2),
        "its id again"
    );
    assert_eq!(caller.get("/subjects/a/versions").await.1, json!([1, 3]));
}

#[tokio::test]
async fn only_what_is_hidden_is_deleted_for_good() {
    let caller = Caller::new().await;
    caller.register("a", &of(json!("int"))).await;
    caller.register("a", &of(json!("long"))).await;
    let for_good = "/subjects/a/versions/1?permanent=true";
    assert_eq!(caller.delete(for_good).await.1["error_code"], 40407);
    assert_eq!(
        caller.delete("/subjects/a?permanent=true").await.1["error_code"],
        40405
    );
    assert_eq!(caller.delete("/subjects/a/versions/1").await.0, 200);
    assert_eq!(caller.delete(for_good).await, (200, json!(1)));
    assert_eq!(caller.delete(for_good).await.1["error_code"], 40402);
    assert_eq!(caller.get("/schemas/ids/1").await.1["error_code"], 40403);
    assert_eq!(caller.delete("/subjects/a").await, (200, json!([2])));
    assert_eq!(caller.delete("/subjects/a").await.1["error_code"], 40404);
    assert_eq!(
        caller.get("/subjects/a/versions").await.1["error_code"],
        40401
    );
    let hidden = caller.get("/subjects?deletedOnly=true").await.1;
    assert_eq!(hidden, json!(["a"]));
    assert_eq!(
        caller.delete("/subjects/a?permanent=true").await,
        (200, json!([2]))
    );
    assert_eq!(caller.delete("/subjects/a").await.1["error_code"], 40401);
    let versions = caller.register("a", &of(json!("int"))).await;
    assert_eq!(versions, (200, 1), "the same schema keeps its id for ever");
    assert_eq!(
        caller.get("/subjects/a/versions").await.1,
        json!([3]),
        "no number twice"
    );
}
