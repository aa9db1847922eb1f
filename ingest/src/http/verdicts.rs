//! Waiting for what the log decides: watch first, then append, then wait.
//!
//! Verdicts travel to their author through `users`, like everything else; the node bridges this to
//! delivery. A watch is made before the append, so that no verdict is too early to be seen.

use std::time::Duration;

use async_trait::async_trait;
use schemas::errors::{Code, Refusal};
use schemas::frames::{Accepted, Command, Verdict};
use schemas::ids::{ChatId, ClientId, DeviceId, Identity, UserId};

use super::Api;
use crate::check::Checked;
use crate::metrics;

/// Where verdicts can be watched for.
pub trait Verdicts: Send + Sync + 'static {
    /// Begins to watch for the entry or verdict of a command; effective when it returns. Dropping
    /// the watch ends it.
    fn watch(
        &self,
        user: &UserId,
        chat: &ChatId,
        device: &DeviceId,
        client_id: &ClientId,
    ) -> Box<dyn Watch>;
}

/// A watch for one verdict.
#[async_trait]
pub trait Watch: Send {
    /// Waits for the verdict; `None` when it did not come in time. An entry counts as a verdict with
    /// the entry's seq.
    async fn settled(self: Box<Self>, within: Duration) -> Option<Verdict>;
}

/// How a command over HTTP ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// The command, which the log has durably.
    pub(super) accepted: Accepted,
    /// Its verdict, if it came in time.
    pub(super) verdict: Option<Verdict>,
}

/// Takes a command and waits for its verdict.
pub(super) async fn await_verdict(
    api: &Api,
    who: &Identity,
    command: Command,
) -> Result<Outcome, Refusal> {
    let name = metrics::name_of(&command);
    let outcome = take(api, who, command).await;
    let refused = outcome.as_ref().err().map(|refusal| refusal.code);
    metrics::answered(name, refused);
    let (accepted, watch) = outcome?;
    let verdict = watch.settled(api.ingest.verdict_within()).await;
    if verdict.is_none() {
        metrics::verdict_late();
    }
    Ok(Outcome { accepted, verdict })
}

/// Watches and appends. Nothing is watched for that is not going to be appended.
async fn take(
    api: &Api,
    who: &Identity,
    command: Command,
) -> Result<(Accepted, Box<dyn Watch>), Refusal> {
    let Checked::Chat(event) = api.ingest.check(who, command)? else {
        // No route makes a command of another kind.
        return Err(Refusal::plain(Code::Internal));
    };
    let origin = event.origin();
    let watch = api
        .verdicts
        .watch(&who.user, &origin.chat, &who.device, &origin.client_id);
    Ok((api.ingest.append_chat(event).await?, watch))
}
