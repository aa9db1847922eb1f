//! What the registry refuses, with the codes that its clients know.

use infra_ports::journal::JournalError;
use serde_json::{Value, json};

/// A refusal. The codes are those of Confluent's Schema Registry; the first three digits are the HTTP
/// status.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code.
    pub code: u32,
    /// In words.
    pub message: String,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident($($part:ident: $kind:ty),*) = $code:literal, $message:literal;)*) => {
        impl Refusal {
            $($(#[$doc])* #[must_use] pub fn $name($($part: $kind),*) -> Self {
                Self { code: $code, message: format!($message) }
            })*
        }
    };
}

refusals! {
    /// No subject of that name.
    no_subject(subject: &str) = 40401, "Subject '{subject}' not found.";
    /// No such version.
    no_version(version: &str) = 40402, "Version {version} not found.";
    /// No such schema.
    no_schema() = 40403, "Schema not found";
    /// Deleted already.
    subject_deleted(subject: &str) = 40404, "Subject '{subject}' was soft deleted. Set permanent=true to delete permanently";
    /// For good only after an ordinary deletion.
    subject_not_deleted(subject: &str) = 40405, "Subject '{subject}' was not deleted first before being permanently deleted";
    /// Deleted already.
    version_deleted(subject: &str, version: u32) = 40406, "Subject '{subject}' Version {version} was soft deleted. Set permanent=true to delete permanently";
    /// For good only after an ordinary deletion.
    version_not_deleted(subject: &str, version: u32) = 40407, "Subject '{subject}' Version {version} was not deleted first before being permanently deleted";
    /// It has no level of its own.
    no_level(subject: &str) = 40408, "Subject '{subject}' does not have subject-level compatibility configured";
    /// It has no mode of its own.
    no_mode(subject: &str) = 40409, "Subject '{subject}' does not have subject-level mode configured";
    /// Not what the subject's level asks for.
    incompatible(subject: &str, problems: String) = 409, "Schema being registered is incompatible with an earlier schema for subject \"{subject}\", details: [{problems}]";
    /// No schema.
    bad_schema(reason: String) = 42201, "Invalid schema: {reason}";
    /// No version number.
    bad_version(version: &str) = 42202, "The specified version '{version}' is not a valid version id. Allowed values are between [1, 2^31-1] and the string \"latest\"";
    /// No level.
    bad_level() = 42203, "Invalid compatibility level. Valid values are none, backward, forward, full, backward_transitive, forward_transitive, and full_transitive";
    /// No mode.
    bad_mode() = 42204, "Invalid mode. Valid values are READWRITE and READONLY";
    /// It may be read only.
    read_only(subject: &str) = 42205, "Subject {subject} is in read-only mode";
    /// No subject's name.
    bad_subject() = 42208, "The specified subject is not a valid subject: 1 to 255 characters, no control characters";
    /// Not a body of this request.
    bad_request(reason: String) = 400, "{reason}";
    /// No credentials, or wrong ones.
    unauthorized() = 401, "Unauthorized: changes need the credentials of a writer";
    /// There are none.
    forbidden() = 403, "Forbidden: no writers are configured, so changes are taken from this machine only";
    /// No such route.
    no_route() = 404, "HTTP 404 Not Found";
    /// Not this route's method.
    no_method() = 405, "HTTP 405 Method Not Allowed";
    /// Too much.
    too_large() = 413, "The request is too large";
    /// The journal does not answer.
    store(reason: String) = 50001, "Error in the backend data store: {reason}";
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> u16 {
        let digits = if self.code > 999 {
            self.code / 100
        } else {
            self.code
        };
        u16::try_from(digits).unwrap_or(500)
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "error_code": self.code, "message": self.message })
    }
}

impl From<JournalError> for Refusal {
    fn from(error: JournalError) -> Self {
        Self::store(error.to_string())
    }
}
