//! Who may change what the registry holds.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

use crate::refusals::Refusal;

/// Credentials that are taken, as their hashes.
#[derive(Clone, Default)]
pub struct Writers {
    /// Hashes of whole `Authorization` headers.
    known: Option<Vec<[u8; 32]>>,
}

impl std::fmt::Debug for Writers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let count = self.known.as_ref().map(Vec::len);
        f.debug_struct("Writers").field("count", &count).finish()
    }
}

/// A file of writers that is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WritersError {
    /// It cannot be read.
    #[error("{0} cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// A line is neither `basic user:password` nor `bearer token`.
    #[error("line {1} of {0} is neither \"basic user:password\" nor \"bearer token\"")]
    Line(PathBuf, usize),
    /// Nobody could write.
    #[error("{0} names no writer")]
    Empty(PathBuf),
}

impl Writers {
    /// Nobody but who is on this machine.
    #[must_use]
    pub fn this_machine() -> Self {
        Self::default()
    }

    /// Those of a file, one a line: `basic user:password` or `bearer token`.
    ///
    /// # Errors
    /// When it cannot be read, a line is something else, or there is none.
    pub fn of_file(path: &Path) -> Result<Self, WritersError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| WritersError::Unreadable(path.to_owned(), error))?;
        let mut known = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let bad = || WritersError::Line(path.to_owned(), number);
            known.push(hash(&header(line).ok_or_else(bad)?));
        }
        if known.is_empty() {
            return Err(WritersError::Empty(path.to_owned()));
        }
        Ok(Self { known: Some(known) })
    }

    /// Lets a writer pass: by the header `Authorization`, or without one from this machine where no
    /// writers are named; but no page of whoever's site that a browser of this machine shows.
    ///
    /// # Errors
    /// Whoever else.
    pub fn admit(&self, headers: &HeaderMap, peer: Option<IpAddr>) -> Result<(), Refusal> {
        let Some(known) = &self.known else {
            let here = peer.is_some_and(|peer| peer.to_canonical().is_loopback());
            return match here && !headers.contains_key(ORIGIN) {
                true => Ok(()),
                false => Err(Refusal::forbidden()),
            };
        };
        let given = headers.get(AUTHORIZATION);
        let given = given.and_then(|given| given.to_str().ok());
        let given = given.and_then(|given| given.split_once(' '));
        let given = given.map(|(scheme, rest)| {
            let scheme = scheme.to_ascii_lowercase();
            hash(&format!("{scheme} {}", rest.trim()))
        });
        // Hashes are compared: how much of one agrees tells nothing about the secret.
        match given {
            Some(given) if known.contains(&given) => Ok(()),
            Some(_) | None => Err(Refusal::unauthorized()),
        }
    }
}

/// The header that a line of the file stands for, its scheme in small letters.
pub(crate) fn header(line: &str) -> Option<String> {
    let (scheme, secret) = line.split_once(' ')?;
    let secret = secret.trim();
    match scheme {
        "basic" if secret.contains(':') => Some(format!("basic {}", STANDARD.encode(secret))),
        "bearer" if !secret.is_empty() => Some(format!("bearer {secret}")),
        _ => None,
    }
}

fn hash(header: &str) -> [u8; 32] {
    Sha256::digest(header.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Writers, WritersError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Writers::of_file(file.path())
    }

    /// Headers with this `Authorization`.
    fn with(authorization: Option<&str>) -> HeaderMap {
        let given = authorization.map(|given| (AUTHORIZATION, given.parse().unwrap()));
        given.into_iter().collect()
    }

    #[test]
    fn only_those_of_the_file_may_write() {
        let writers = of("# ours\nbasic ada:pass:word\n\nbearer t0ken\n").unwrap();
        let ada = format!("Basic {}", STANDARD.encode("ada:pass:word"));
        assert_eq!(writers.admit(&with(Some(&ada)), None), Ok(()));
        assert_eq!(writers.admit(&with(Some("Bearer t0ken")), None), Ok(()));
        let loopback: IpAddr = [127, 0, 0, 1].into();
        for wrong in [
            None,
            Some("Bearer token"),
            Some("t0ken"),
            Some("Basic t0ken"),
            Some(""),
        ] {
            let refused = writers.admit(&with(wrong), Some(loopback)).unwrap_err();
            assert_eq!(refused.status(), 401, "{wrong:?}");
        }
        assert!(!format!("{writers:?}").contains("t0ken"));
    }

    #[test]
    fn without_a_file_this_machine_may_write() {
        let writers = Writers::this_machine();
        let admitted = |peer: &str| {
            writers
                .admit(&with(None), Some(peer.parse().unwrap()))
                .is_ok()
        };
        assert!(admitted("127.0.0.1") && admitted("::1") && admitted("::ffff:127.0.0.1"));
        assert!(!admitted("192.0.2.1"));
        assert_eq!(
            writers
                .admit(&with(Some("Bearer x")), None)
                .unwrap_err()
                .status(),
            403
        );
    }

    #[test]
    fn file_that_names_no_writer_is_refused() {
        for text in [
            "",
            "# nobody\n",
            "ada:password",
            "basic ada",
            "bearer ",
            "digest x",
        ] {
            assert!(of(text).is_err(), "{text:?}");
        }
        assert!(Writers::of_file(Path::new("/nowhere/writers")).is_err());
    }
}
