//! Moves partitions between workers that are both reached: subscribe at the new one, wait until the old
//! one has told all that the new one will not, leave the old one.

use std::time::Duration;

use infra_ports::link::Subscribing;
use schemas::position::Offset;

use super::Shared;
use super::table::{Left, Move};

/// How long a worker that is behind is given between two questions how far it has got.
const ASK_AGAIN: Duration = Duration::from_millis(20);
/// After so many questions the partition's users resume instead.
const QUESTIONS: u32 = 250;

/// Moves what there is to move, whenever there is something.
pub(super) async fn run(shared: &Shared) {
    loop {
        let moves = shared.table.lock().begin_moves();
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
        answers,
    } = one;
    let Some(from) = latest(answers).await else {
        // The new worker was lost; what follows from that was decided when it was.
        return;
    };
    let mut owed = true;
    for _ in 0..QUESTIONS {
        let asked = shared.table.lock().ask(partition, number);
        let Left::Asked(answer) = asked else {
            owed = false;
            break;
        };
        match answer.await {
            Ok(there) if there.from >= from => {
                owed = false;
                break;
            }
            Ok(_) => shared.runtime.sleep(ASK_AGAIN).await,
            // The old worker was lost, and its partitions told so.
            Err(_) => return,
        }
    }
    shared.change(|table| table.end_move(partition, number, owed));
}

/// From where on the new worker tells all of a partition's users; nothing when it was lost.
async fn latest(answers: Vec<Subscribing>) -> Option<Offset> {
    let mut from = Offset(0);
    for answer in answers {
        from = from.max(answer.await.ok()?.from);
    }
    Some(from)
}
