//! Why the store could not be reached, and how the driver's errors become the port's.

use std::path::PathBuf;

use infra_ports::store::StoreError;
use scylla::errors::{DbError, ExecutionError, NewSessionError, PrepareError, RequestAttemptError};

/// Why the store could not be connected to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// A setting that cannot be.
    #[error("bad settings of the store on Cassandra: {0}")]
    Config(&'static str),
    /// The password cannot be read.
    #[error("the password in {}: {reason}", file.display())]
    Password {
        /// Where it should be.
        file: PathBuf,
        /// Why it cannot.
        reason: std::io::Error,
    },
    /// The authorities cannot be read.
    #[error("the authorities in {}: {reason}", file.display())]
    Authorities {
        /// Where they should be; empty for the system's.
        file: PathBuf,
        /// Why they cannot.
        reason: openssl::error::ErrorStack,
    },
    /// The nodes do not let us in: wrong name or password.
    #[error("cassandra_login_refused: Cassandra at {contact_points} refuses the login: {reason}")]
    Login {
        /// The nodes that were tried.
        contact_points: String,
        /// What the driver says; it names no password.
        reason: Box<NewSessionError>,
    },
    /// The nodes are not who they should be, or speak no TLS.
    #[error("cassandra_tls_failed: no TLS with Cassandra at {contact_points}: {reason}")]
    Tls {
        /// The nodes that were tried.
        contact_points: String,
        /// What the driver says.
        reason: Box<NewSessionError>,
    },
    /// Nobody answered.
    #[error("no session with Cassandra at {contact_points}: {reason}")]
    Unreachable {
        /// The nodes that were tried.
        contact_points: String,
        /// What the driver says.
        reason: Box<NewSessionError>,
    },
    /// They took longer than the settings allow.
    #[error("no answer from Cassandra at {contact_points} in time")]
    TimedOut {
        /// The nodes that were tried.
        contact_points: String,
    },
    /// The keyspace is not there and could not be made.
    #[error("no keyspace {keyspace}: {reason}")]
    Keyspace {
        /// Its name.
        keyspace: String,
        /// Why.
        reason: String,
    },
}

impl ConnectError {
    /// Why there is no session. The driver nests what it was told deeply, and only as text.
    pub(crate) fn of(contact_points: String, reason: NewSessionError) -> Self {
        let reason = Box::new(reason);
        let told = format!("{reason} {reason:?}");
        if told.contains("SSL routines") || told.contains("certificate verify") {
            return Self::Tls {
                contact_points,
                reason,
            };
        }
        if told.contains("AuthenticationError") || told.contains("MissingAuthentication") {
            return Self::Login {
                contact_points,
                reason,
            };
        }
        Self::Unreachable {
            contact_points,
            reason,
        }
    }
}

/// Whatever the servers or the way to them did: it may have happened, and may work later.
pub(crate) fn unavailable(error: &impl ToString) -> StoreError {
    StoreError::Unavailable(error.to_string())
}

/// Why a statement is refused, by the server that understood it or by the driver that could not bind
/// it, when that is what happened: it will be refused again. A table that is not there is one of the
/// reasons.
pub(crate) fn refusal(error: &ExecutionError) -> Option<String> {
    if let ExecutionError::BadQuery(error) = error {
        return Some(error.to_string());
    }
    if let ExecutionError::PrepareError(error) = error {
        return refused_to_prepare(error);
    }
    let ExecutionError::LastAttemptError(error) = error else {
        return None;
    };
    refused_attempt(error)
}

/// The same of preparing.
pub(crate) fn refused_to_prepare(error: &PrepareError) -> Option<String> {
    let PrepareError::AllAttemptsFailed { first_attempt } = error else {
        return None;
    };
    refused_attempt(first_attempt)
}

fn refused_attempt(error: &RequestAttemptError) -> Option<String> {
    let RequestAttemptError::DbError(of, reason) = error else {
        return None;
    };
    let refused = matches!(
        of,
        DbError::Invalid | DbError::SyntaxError | DbError::ConfigError
    );
    refused.then(|| reason.clone())
}
