//! Why the log could not be reached, and how librdkafka's errors become the port's.

use std::path::PathBuf;

use infra_ports::log::LogError;
use rdkafka::error::KafkaError;

/// Why the log could not be connected to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// librdkafka refuses the settings.
    #[error("bad settings of the log on Kafka: {0}")]
    Config(String),
    /// The file with secret properties cannot be read.
    #[error("{0} cannot be read: {1}")]
    Secrets(PathBuf, std::io::Error),
    /// No broker answered in time.
    #[error("no answer from Kafka at {brokers}: {reason}")]
    Unreachable {
        /// The brokers that were tried.
        brokers: String,
        /// What librdkafka says.
        reason: KafkaError,
    },
    /// A topic has another partition count, which is part of the data format.
    #[error("topic {topic} has {found} partitions, not {configured}")]
    Partitions {
        /// The topic's name in the cluster.
        topic: String,
        /// How many it has.
        found: u32,
        /// What the settings say.
        configured: u32,
    },
    /// The topic of a journal cannot be created or read.
    #[error("{0}")]
    Journal(String),
    /// A thread could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl ConnectError {
    /// Settings that librdkafka refuses; what a property was set to may be a secret.
    pub(crate) fn config(error: &KafkaError) -> Self {
        Self::Config(
            if let KafkaError::ClientConfig(_, reason, name, _) = error {
                format!("{name}: {reason}")
            } else {
                error.to_string()
            },
        )
    }
}

/// Whatever the brokers or the way to them did: it may have happened, and may work later.
pub(crate) fn unavailable(error: &impl ToString) -> LogError {
    LogError::Unavailable(error.to_string())
}
