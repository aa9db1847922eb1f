//! Sending what is missing, one page of one chat at a time, from the timeline: what a device missed
//! while it was away, and gaps in what it was pushed.
//!
//! A page is read only when the outbox has room, so a device far behind is sent everything at its
//! own pace while other chats go on live. Rows that are not there yet are waited for; meanwhile
//! other chats get their turn.

use std::sync::Arc;
use std::time::Duration;

use schemas::errors::{Code, Refusal};
use schemas::frames::{Entries, Frame, MAX_BATCH};
use schemas::ids::ChatId;
use schemas::position::{Offset, Seq};

use super::{Session, SignedIn, wire};
use crate::gateway::Gateway;
use crate::metrics;

/// How long one chat's rows are waited for before it is another one's turn.
const TURN: Duration = Duration::from_millis(100);

/// Sends one page of the next chat that is behind.
pub(super) async fn fill(gateway: Arc<Gateway>, session: Arc<Session>) {
    let Some(signed_in) = session.signed_in() else {
        return;
    };
    let next = signed_in.track.lock().next_to_fill();
    let Some((chat, from, through, origin)) = next else {
        return;
    };
    if from > through {
        return sent(&gateway, &session, signed_in, &chat, None);
    }
    if !gateway.rows_applied(&chat, origin, TURN).await {
        signed_in.track.lock().stalled(&chat);
        return;
    }
    let page = page(&gateway, signed_in, &chat, from, through).await;
    if !session.outbox.has_room() {
        // It was filled meanwhile: the page is read again when there is room.
        return;
    }
    match page {
        Ok(page) if page.through >= from => {
            sent(&gateway, &session, signed_in, &chat, Some(page));
        }
        Ok(page) => stalled(&gateway, signed_in, &chat, origin, Some(page.through), None).await,
        Err(refused) if matches!(refused.code, Code::NotMember | Code::ChatNotFound) => {
            // The rows are there and show no stay: this person sees nothing of it.
            let mut track = signed_in.track.lock();
            let live = track.filled(&chat, through);
            tracing::error!(%chat, %origin, entries = live.len(), "told of a chat they are not in");
            gateway.live_if_done(&session, &mut track);
        }
        Err(refused) => stalled(&gateway, signed_in, &chat, origin, None, Some(refused)).await,
    }
}

async fn page(
    gateway: &Gateway,
    signed_in: &SignedIn,
    chat: &ChatId,
    from: Seq,
    through: Seq,
) -> Result<Entries, Refusal> {
    let user = &signed_in.identity.user;
    gateway
        .reads
        .range(user, chat, from, through, MAX_BATCH)
        .await
}

async fn stalled(
    gateway: &Gateway,
    signed_in: &SignedIn,
    chat: &ChatId,
    origin: Offset,
    through: Option<Seq>,
    refused: Option<Refusal>,
) {
    tracing::warn!(%chat, %origin, ?through, ?refused, "missing entries cannot be read yet");
    signed_in.track.lock().stalled(chat);
    gateway.runtime.sleep(gateway.retry_pause()).await;
}

/// Puts a page in line, and the live entries that waited for it.
fn sent(
    gateway: &Gateway,
    session: &Session,
    signed_in: &SignedIn,
    chat: &ChatId,
    page: Option<Entries>,
) {
    let own = &signed_in.identity;
    for entry in page.iter().flat_map(|page| &page.entries) {
        if entry.author == own.user && entry.device == own.device {
            let name = (chat, &entry.client_id);
            session.sent_before_entry(signed_in, name, &entry.id, entry.at);
        }
    }
    let mut track = signed_in.track.lock();
    let mut first = None;
    let mut through = track.chat(chat).map_or(Seq(0), |chat| chat.sent);
    if let Some(page) = page {
        metrics::from_timeline(page.entries.len());
        metrics::pushed("entries", 1);
        first = page.entries.first().map(|entry| entry.seq);
        through = page.through;
        session.put(wire(&Frame::Entries(page)));
    }
    let live = track.filled(chat, through);
    metrics::pushed("entry", live.len());
    live.into_iter().for_each(|frame| session.put(frame));
    let first = first.or_else(|| track.chat(chat).map(|chat| chat.sent));
    if let Some(first) = first {
        let now = gateway.runtime.elapsed();
        gateway.expect_mark(session, signed_in, &mut track, chat, first, now);
    }
    gateway.live_if_done(session, &mut track);
}
