//! Why the log could not be reached, and how librdkafka's errors become the port's.

use std::path::PathBuf;

use infra_ports::log::LogError;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

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
    /// A broker does not let us in: wrong name, password or mechanism.
    #[error("kafka_login_refused: a broker of {brokers} refuses the login: {reason}")]
    Login {
        /// The brokers that were tried.
        brokers: String,
        /// What librdkafka says; it names no password.
        reason: String,
    },
    /// A broker is not who it should be, or speaks no TLS.
    #[error("kafka_tls_failed: no TLS with a broker of {brokers}: {reason}")]
    Tls {
        /// The brokers that were tried.
        brokers: String,
        /// What librdkafka says.
        reason: String,
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

/// Why a broker and this node do not come to terms, which waiting does not mend.
#[derive(Debug, Clone)]
pub(crate) enum Refusal {
    Login(String),
    Tls(String),
}

impl Refusal {
    /// What an error of librdkafka's and its reason say; none when it is about something else.
    pub(crate) fn of(error: &KafkaError, reason: &str) -> Option<Self> {
        let of: fn(String) -> Self = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication) => Self::Login,
            Some(RDKafkaErrorCode::SSL) => Self::Tls,
            Some(_) | None => return None,
        };
        Some(of(reason.to_owned()))
    }

    /// The same as why a log could not be connected to.
    pub(crate) fn at(self, brokers: &str) -> ConnectError {
        let brokers = brokers.to_owned();
        match self {
            Self::Login(reason) => ConnectError::Login { brokers, reason },
            Self::Tls(reason) => ConnectError::Tls { brokers, reason },
        }
    }
}

/// Whatever the brokers or the way to them did: it may have happened, and may work later.
pub(crate) fn unavailable(error: &impl ToString) -> LogError {
    LogError::Unavailable(error.to_string())
}
