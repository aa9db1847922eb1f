//! Whether a generation that was adopted, and is not folded, can be gone on with.

use std::sync::Arc;

use schemas::position::{Generation, Partition};

use super::ORIGINS;
use super::goal::FIRST_PAUSE;
use crate::engine::Ports;
use crate::engine::checkpoints::{Checkpoints, NO_BUILD, must_be_in_the_log};
use crate::engine::retry::Retry;
use crate::engine::status::Board;
use crate::engine::stop::Stop;

/// Refuses a generation with which no engine could go on: retention has dropped what comes after one of
/// its checkpoints, or the log has lost its end since.
///
/// # Errors
/// [`Stop::RebuildRequired`] with the first such checkpoint; a port that fails for good.
pub async fn must_go_on(ports: &Ports, generation: Generation) -> Result<(), Stop> {
    let log = &ports.log;
    let partitions: Vec<Partition> = (0..log.partitions()).map(Partition).collect();
    for (projection, topic) in ORIGINS {
        let board = Arc::new(Board::new(projection, &[], false));
        let retry = Retry::new(Arc::clone(&ports.runtime), board, FIRST_PAUSE, None);
        let checkpoints = Checkpoints {
            store: Arc::clone(&ports.store),
            projection,
            generation,
            topic,
            kept_in: NO_BUILD,
        };
        let positions = || log.positions_of(topic, &partitions);
        let ends = retry.run("read positions", positions).await?;
        for (partition, ends) in partitions.iter().zip(ends) {
            let checkpoint = checkpoints.read(&retry, *partition).await?;
            must_be_in_the_log((topic, *partition), checkpoint, ends)?;
        }
    }
    Ok(())
}
