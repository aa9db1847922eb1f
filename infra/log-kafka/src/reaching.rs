//! Whether brokers can be reached. Apart from all else that they are asked: a question about a partition
//! without a leader holds those behind it up, and would pass for brokers that are gone.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::log::LogError;
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::errors::unavailable;

/// How long one broker may take to answer: of several one may hang, and librdkafka asks another next.
const ASKED_WITHIN: Duration = Duration::from_secs(2);
/// How long it is asked again until brokers count as gone.
const REACHED_WITHIN: Duration = Duration::from_secs(6);
/// How soon it is asked again.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// Asks brokers until one says that some partition of a topic can be appended to.
pub(crate) async fn reach(
    admin: &Arc<AdminClient<DefaultClientContext>>,
    name: String,
) -> Result<(), LogError> {
    let deadline = Instant::now() + REACHED_WITHIN;
    loop {
        let (admin, name) = (Arc::clone(admin), name.clone());
        // librdkafka blocks.
        let asked = spawn_blocking(move || ask(&admin, &name)).await;
        match asked.unwrap_or(Err(KafkaError::Canceled)) {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() >= deadline => return Err(unavailable(&error)),
            Err(_) => sleep(AGAIN_AFTER).await,
        }
    }
}

/// Asks one broker, which knows of all.
fn ask(admin: &AdminClient<DefaultClientContext>, name: &str) -> Result<(), KafkaError> {
    let metadata = admin.inner().fetch_metadata(Some(name), ASKED_WITHIN)?;
    let topic = metadata.topics().iter().find(|topic| topic.name() == name);
    if let Some(error) = topic.and_then(rdkafka::metadata::MetadataTopic::error) {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    let mut partitions = topic.iter().flat_map(|topic| topic.partitions());
    match partitions.any(|partition| partition.leader() >= 0) {
        true => Ok(()),
        false => Err(KafkaError::MetadataFetch(
            RDKafkaErrorCode::LeaderNotAvailable,
        )),
    }
}
