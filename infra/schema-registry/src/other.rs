//! Another registry: our schemas are registered there, and the ids that it gives are learnt.

use std::sync::Arc;
use std::time::Duration;

use schemas::avro::{SUBJECTS, SchemaIds, SchemaStore, Subject, schema_id};
use serde::Deserialize;
use serde_json::json;

use crate::writers::header;

/// Where another registry is, and how to write there.
pub struct Other {
    url: String,
    authorization: Option<String>,
    agent: ureq::Agent,
}

impl std::fmt::Debug for Other {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Other")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// Why ids were not learnt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LearnError {
    /// The address holds credentials, where everybody sees them.
    #[error("the address of a schema registry holds credentials: they belong into a file")]
    Address,
    /// The credentials are of no kind that is known.
    #[error("the credentials are neither \"basic user:password\" nor \"bearer token\"")]
    Credentials,
    /// It did not answer, or something else.
    #[error("the schema registry at {url} did not register {subject}: {reason}")]
    Refused {
        /// Where it is.
        url: String,
        /// What was to be registered.
        subject: Subject,
        /// What it says.
        reason: String,
    },
}

#[derive(Deserialize)]
struct Answer {
    id: u32,
}

impl Other {
    /// A registry at this address; `credentials` as in a file of [`Writers`](crate::Writers).
    ///
    /// # Errors
    /// When the credentials are of no kind that is known, or stand in the address.
    pub fn new(url: &str, credentials: Option<&str>, within: Duration) -> Result<Self, LearnError> {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        if authority
            .split('/')
            .next()
            .is_some_and(|host| host.contains('@'))
        {
            return Err(LearnError::Address);
        }
        let told = |line: &str| header(line.trim()).ok_or(LearnError::Credentials);
        let agent = ureq::Agent::config_builder().timeout_global(Some(within));
        let agent = agent.http_status_as_error(false).build();
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            authorization: credentials.map(told).transpose()?,
            agent: agent.into(),
        })
    }

    /// Registers every released schema there, and learns their ids. Blocks while it does.
    ///
    /// # Errors
    /// When one is not taken.
    pub fn learn(&self) -> Result<Arc<SchemaIds>, LearnError> {
        let (mut learnt, mut as_fixed) = (Vec::new(), true);
        for subject in SUBJECTS {
            for (version, text) in (1..).zip(subject.released()) {
                let id = self.register(*subject, text)?;
                let mut releases = SchemaStore::released().releases();
                let of_it = releases.find(|one| (one.subject, one.version) == (*subject, version));
                learnt.extend(of_it.map(|release| (release.fingerprint(), id)));
                as_fixed &= id == schema_id(*subject, version);
                tracing::debug!(%subject, version, id, "registered elsewhere");
            }
        }
        // Another platform's registry has our ids, and knows a stranger's from ours.
        if as_fixed {
            return Ok(SchemaIds::fixed());
        }
        Ok(Arc::new(SchemaIds::learnt(learnt)))
    }

    fn register(&self, subject: Subject, text: &str) -> Result<u32, LearnError> {
        let refused = |reason: String| LearnError::Refused {
            url: self.url.clone(),
            subject,
            reason,
        };
        let url = format!("{}/subjects/{subject}/versions", self.url);
        let mut request = self.agent.post(&url);
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let kind = "application/vnd.schemaregistry.v1+json";
        let body = json!({ "schema": text }).to_string();
        let answer = request.content_type(kind).send(&body);
        let mut answer = answer.map_err(|error| refused(error.to_string()))?;
        let text = answer.body_mut().read_to_string();
        let text = text.map_err(|error| refused(error.to_string()))?;
        let parsed: Result<Answer, _> = serde_json::from_str(&text);
        match parsed {
            Ok(Answer { id }) if answer.status().is_success() => Ok(id),
            Ok(_) | Err(_) => Err(refused(format!("{}: {text}", answer.status()))),
        }
    }
}
