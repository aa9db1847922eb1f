//! The journal decides: several nodes at once, compaction at any time, a journal that does not answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use infra_ports::journal::{Entry, Journal, JournalError, NewEntry};
use infra_ports::memory::MemoryJournal;
use infra_schema_registry::Writers;
use serde_json::{Value, json};

use crate::caller::{Caller, of, record};

/// Lets others write between each look and each append.
struct Contended {
    journal: Arc<MemoryJournal>,
    rival: std::sync::Mutex<Vec<NewEntry>>,
}

#[async_trait]
impl Journal for Contended {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<(), JournalError> {
        let rival = self.rival.lock().unwrap().pop();
        self.journal.append(rival.into_iter().collect()).await?;
        self.journal.append(entries).await
    }

    async fn read(&self, from: u64) -> Result<Vec<Entry>, JournalError> {
        self.journal.read(from).await
    }
}

async fn on(journal: &Arc<MemoryJournal>, dice: u64) -> Caller {
    Caller::on(
        Arc::clone(journal) as Arc<dyn Journal>,
        dice,
        Writers::this_machine(),
    )
    .await
}

async fn dump(caller: &Caller) -> Value {
    let all = caller.get("/schemas?deleted=true").await.1;
    let shown = caller.get("/schemas").await.1;
    json!([
        all,
        shown,
        caller.get("/config").await.1,
        caller.get("/mode").await.1
    ])
}

#[tokio::test]
async fn who_is_second_takes_the_next_version_and_id() {
    let journal = Arc::new(MemoryJournal::new());
    let rival = on(&journal, 1 << 32).await;
    let before = journal.read(0).await.unwrap().len() as u64;
    assert_eq!(rival.register("a", &of(json!("long"))).await, (200, 1));
    let claim = journal.read(before).await.unwrap().remove(0);

    let journal = Arc::new(MemoryJournal::new());
    let contended = Arc::new(Contended {
        journal: Arc::clone(&journal),
        rival: std::sync::Mutex::default(),
    });
    let caller = Caller::on(contended.clone(), 0, Writers::this_machine()).await;
    let Entry { key, value, .. } = claim;
    contended
        .rival
        .lock()
        .unwrap()
        .push(NewEntry { key, value });
    let body = json!({ "compatibility": "NONE" });
    on(&journal, 7).await.put("/config", body).await;
    assert_eq!(caller.register("a", &of(json!("string"))).await, (200, 2));
    for node in [&caller, &on(&journal, 9).await] {
        assert_eq!(node.get("/subjects/a/versions").await.1, json!([1, 2]));
        let first = node.get("/schemas/ids/1/schema").await.1;
        assert_eq!(first, of(json!("long")), "the first in the journal has it");
    }
}

#[tokio::test]
async fn who_is_second_is_held_to_what_the_first_registered() {
    let journal = Arc::new(MemoryJournal::new());
    let rival = on(&journal, 1 << 32).await;
    let before = journal.read(0).await.unwrap().len() as u64;
    rival.register("a", &of(json!("long"))).await;
    let Entry { key, value, .. } = journal.read(before).await.unwrap().remove(0);
    let contended = Arc::new(Contended {
        journal: Arc::new(MemoryJournal::new()),
        rival: std::sync::Mutex::default(),
    });
    let caller = Caller::on(contended.clone(), 0, Writers::this_machine()).await;
    contended
        .rival
        .lock()
        .unwrap()
        .push(NewEntry { key, value });
    assert_eq!(caller.register("a", &of(json!("string"))).await, (409, 409));
}

#[tokio::test]
async fn compaction_changes_nothing() {
    let journal = Arc::new(MemoryJournal::new());
    let caller = on(&journal, 0).await;
    for level in ["NONE", "FULL", "NONE"] {
        caller
            .put("/config", json!({ "compatibility": level }))
            .await;
    }
    for kind in ["int", "string", "long", "bytes"] {
        caller.register("a", &of(json!(kind))).await;
        caller.register("b", &of(json!([kind]))).await;
    }
    caller.delete("/subjects/a/versions/2").await;
    caller.delete("/subjects/a/versions/2?permanent=true").await;
    caller.delete("/subjects/a/versions/4").await;
    caller.delete("/subjects/b").await;
    caller.register("b", &record(json!([]))).await;
    caller.put("/mode/b", json!({ "mode": "READONLY" })).await;
    let live = dump(&caller).await;
    let entries = journal.read(0).await.unwrap().len();
    journal.compact();
    assert!(
        journal.read(0).await.unwrap().len() < entries,
        "something was dropped"
    );
    assert_eq!(dump(&on(&journal, 5).await).await, live);
    assert_eq!(dump(&caller).await, live);
}

#[tokio::test]
async fn node_that_starts_again_registers_its_schemas_once() {
    let journal = Arc::new(MemoryJournal::new());
    on(&journal, 0).await;
    let entries = journal.read(0).await.unwrap();
    on(&journal, 1_000).await;
    assert_eq!(journal.read(0).await.unwrap(), entries);
}

#[tokio::test]
async fn entry_of_a_newer_build_is_passed_over() {
    let journal = Arc::new(MemoryJournal::new());
    let value = bytes::Bytes::from_static(b"{\"type\":\"of_tomorrow\"}");
    let key = "tomorrow".to_owned();
    journal.append(vec![NewEntry { key, value }]).await.unwrap();
    let caller = on(&journal, 0).await;
    assert_eq!(caller.register("a", &of(json!("int"))).await, (200, 1));
}

/// A journal that can be made to answer nothing.
struct Broken {
    journal: MemoryJournal,
    is_broken: AtomicBool,
}

impl Broken {
    fn check(&self) -> Result<(), JournalError> {
        match self.is_broken.load(Ordering::Relaxed) {
            true => Err(JournalError::Unavailable("no answer".to_owned())),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Journal for Broken {
    async fn append(&self, entries: Vec<NewEntry>) -> Result<(), JournalError> {
        self.check()?;
        self.journal.append(entries).await
    }

    async fn read(&self, from: u64) -> Result<Vec<Entry>, JournalError> {
        self.check()?;
        self.journal.read(from).await
    }
}

#[tokio::test]
async fn known_ids_are_answered_while_the_journal_does_not_answer() {
    let broken = Arc::new(Broken {
        journal: MemoryJournal::new(),
        is_broken: AtomicBool::new(false),
    });
    let caller = Caller::on(broken.clone(), 0, Writers::this_machine()).await;
    caller.register("a", &of(json!("int"))).await;
    broken.is_broken.store(true, Ordering::Relaxed);
    assert_eq!(caller.get("/schemas/ids/1").await.0, 200);
    assert_eq!(caller.get("/schemas/ids/1000001001").await.0, 200);
    let (status, answer) = caller.get("/subjects").await;
    assert_eq!((status, &answer["error_code"]), (500, &json!(50001)));
    assert_eq!(caller.register("b", &of(json!("int"))).await, (500, 50001));
    broken.is_broken.store(false, Ordering::Relaxed);
    assert_eq!(caller.register("b", &of(json!("int"))).await, (200, 1));
}

#[tokio::test]
async fn version_is_given_once_also_to_schemas_that_have_ids() {
    let journal = Arc::new(MemoryJournal::new());
    let caller = on(&journal, 0).await;
    caller
        .put("/config", json!({ "compatibility": "NONE" }))
        .await;
    let (long, text) = (of(json!("long")), of(json!("string")));
    assert_eq!(caller.register("b", &long).await, (200, 1));
    assert_eq!(caller.register("b", &text).await, (200, 2));
    let before = journal.read(0).await.unwrap().len() as u64;
    caller.register("a", &long).await;
    let claim = journal.read(before).await.unwrap().remove(0);
    let late = String::from_utf8(claim.value.to_vec()).unwrap();
    let late = late
        .replace("\"id\":1", "\"id\":2")
        .replace("long", "string");
    let (key, value) = (format!("{}-late", claim.key), late.into());
    journal.append(vec![NewEntry { key, value }]).await.unwrap();
    for node in [&caller, &on(&journal, 5).await] {
        assert_eq!(
            node.get("/subjects/a/versions/1").await.1["id"],
            1,
            "the first has it"
        );
        assert_eq!(node.get("/schemas/ids/2/subjects").await.1, json!(["b"]));
    }
}
