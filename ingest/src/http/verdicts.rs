//! Waiting for what the log decides: watch first, then append, then wait.
//!
//! Verdicts travel to their author through `users`, like everything else; the node bridges this to
//! delivery. A watch is made before the append, so that no verdict is too early to be seen.

use std::time::Duration;

use async_trait::async_trait;
use schemas::errors::{Code, Refusal};
use schemas::frames::{Accepted, Command, Receipt, Verdict};
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

/// Watches, takes a command and waits for its verdict. Nothing is watched for that is not going to
/// be appended.
pub(super) async fn await_verdict(
    api: &Api,
    who: &Identity,
    command: Command,
) -> Result<Outcome, Refusal> {
    let watch = |checked: &Checked| match checked {
        Checked::Chat(event) => {
            let (origin, verdicts) = (event.origin(), &api.verdicts);
            Some(verdicts.watch(&who.user, &origin.chat, &who.device, &origin.client_id))
        }
        Checked::Account(_) => None,
    };
    let (appending, watch) = api.ingest.take(who, command, watch)?;
    let (Receipt::Sent(accepted), Some(watch)) = (appending.await?, watch) else {
        // No route makes a command that has no verdict.
        return Err(Refusal::plain(Code::Internal));
    };
    let verdict = watch.settled(api.ingest.verdict_within()).await;
    if verdict.is_none() {
        metrics::verdict_late();
    }
    Ok(Outcome { accepted, verdict })
}
