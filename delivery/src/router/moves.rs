//! Moves partitions between workers that are both reached: subscribe at the new one, wait until the old
//! one has told all that the new one will not and the new one has begun to read, leave the old one.

use std::time::Duration;

use infra_ports::link::{LinkGone, Subscribing};
use schemas::position::{Offset, Partition};

use super::Shared;
use super::lanes::LaneId;
use super::table::{At, Left, Move};

/// How long a worker that is behind is given between two questions how far it has got.
pub(super) const ASK_AGAIN: Duration = Duration::from_millis(20);
/// After so many questions the partition's users resume instead.
pub(super) const QUESTIONS: u32 = 250;
/// How long both tell of a partition, at least: the new worker answers before it reads, and what it gained has
/// to be fetched first. Longer where something was told meanwhile that the new one has not read yet.
pub(super) const BOTH_FOR: Duration = Duration::from_millis(300);
/// A worker that does not answer for so long is given up. Its link finds a broken connection earlier:
/// this is for what no link finds, so that one worker holds no move up for ever.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// Moves what there is to move, whenever there is something, until the router is closed.
pub(super) async fn run(shared: &Shared) {
    loop {
        let moves = {
            let mut table = shared.table.lock();
            if table.is_closed() {
                return;
            }
            table.begin_moves()
        };
        if moves.is_empty() {
            shared.changed.notified().await;
            continue;
        }
        tracing::info!(partitions = moves.len(), "partitions move between workers");
        let all = moves.into_iter().map(|one| carry_out(shared, one));
        futures_util::future::join_all(all).await;
    }
}

async fn carry_out(shared: &Shared, one: Move) {
    let Move {
        partition,
        number,
        to,
        answers,
    } = one;
    let Some(from) = heard(shared, to, latest(answers)).await else {
        return;
    };
    let mut owed = true;
    for _ in 0..QUESTIONS {
        let asked = shared.table.lock().ask(partition, number, At::Leaving);
        let Left::Asked(old, answer) = asked else {
            owed = false;
            break;
        };
        let Some(there) = heard(shared, old, answer).await else {
            return;
        };
        if there.from >= from {
            owed = false;
            if reads(shared, partition, number, there.from).await.is_none() {
                return;
            }
            break;
        }
        shared.runtime.sleep(ASK_AGAIN).await;
    }
    shared.change(|table| table.end_move(partition, number, owed));
}

/// Waits until the new worker has read what the old one had told already, and reads what comes then: both
/// tell meanwhile. Nothing when it was lost.
async fn reads(shared: &Shared, partition: Partition, number: u64, told: Offset) -> Option<()> {
    shared.runtime.sleep(BOTH_FOR).await;
    for _ in 0..QUESTIONS {
        let asked = shared.table.lock().ask(partition, number, At::Owner);
        let Left::Asked(new, answer) = asked else {
            break;
        };
        if heard(shared, new, answer).await?.from >= told {
            break;
        }
        shared.runtime.sleep(ASK_AGAIN).await;
    }
    Some(())
}

/// What a worker answers; nothing when it was lost, or is given up now. What follows from that for the
/// move was decided with it.
pub(super) async fn heard<T>(
    shared: &Shared,
    worker: LaneId,
    answer: impl Future<Output = Result<T, LinkGone>>,
) -> Option<T> {
    tokio::select! {
        biased;
        answer = answer => answer.ok(),
        () = shared.runtime.sleep(ANSWER_WITHIN) => {
            shared.change(|table| table.give_up(worker));
            None
        }
    }
}

/// From where on the new worker tells all of a partition's users.
pub(super) async fn latest(answers: Vec<Subscribing>) -> Result<Offset, LinkGone> {
    let mut from = Offset(0);
    for answer in answers {
        from = from.max(answer.await?.from);
    }
    Ok(from)
}
