//! The beginning of a connection: which versions both speak, and that both know the secret.
//!
//! ```text
//! gateway ──▶ "CRSLNK" │ lowest, 2 │ highest, 2 │ nonce, 32 │ length, 1 │ name
//!         ◀── "CRSLNK" │ lowest, 2 │ highest, 2 │ chosen, 2 │ nonce, 32 │ proof, 32      worker
//!         ──▶ proof, 32
//!         ◀── 1
//! ```
//!
//! A proof is HMAC-SHA-256 (RFC 2104) with the secret over who says it, what only the two ends of this
//! connection know of it, and both hellos before it, so that neither a recording nor the other end's own
//! proof sent back is one, and nobody on the way can pass proofs on or talk both into an older version. The version chosen is the highest that both speak; 0 says that
//! there is none, and is as far as it gets.

use std::ops::RangeInclusive;

use hmac::{Hmac, Mac};
use infra_ports::registry::NodeName;
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::config::Secret;
use crate::wire::Binding;

const MAGIC: [u8; 6] = *b"CRSLNK";
const NONCE_BYTES: usize = 32;
const PROOF_BYTES: usize = 32;
const WELCOME: u8 = 1;

/// Why two ends do not talk.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the connection broke during its hello: {0}")]
    Lost(String),
    #[error("the hello took too long")]
    Late,
    #[error("the other end does not speak the link's protocol")]
    Stranger,
    #[error("the other end speaks versions {0} to {1} of the link, none of ours")]
    Version(u16, u16),
    #[error("the other end does not know the link's secret")]
    Secret,
}

impl From<std::io::Error> for Refused {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(error.to_string())
    }
}

/// What an end brings to its hello.
pub(crate) struct Known<'a> {
    pub(crate) secret: &'a Secret,
    pub(crate) versions: &'a RangeInclusive<u16>,
    /// Of the connection.
    pub(crate) binding: Binding,
}

/// The highest version of both.
fn agree(ours: &RangeInclusive<u16>, theirs: &RangeInclusive<u16>) -> Option<u16> {
    let highest = *ours.end().min(theirs.end());
    (highest >= *ours.start().max(theirs.start())).then_some(highest)
}

fn proof(known: &Known<'_>, of: &str, hellos: [&[u8]; 2]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(known.secret.bytes())
        .unwrap_or_else(|_| unreachable!("HMAC takes keys of any length"));
    mac.update(of.as_bytes());
    mac.update(&known.binding);
    for hello in hellos {
        mac.update(&(hello.len() as u64).to_le_bytes());
        mac.update(hello);
    }
    mac
}

fn nonce() -> Result<[u8; NONCE_BYTES], Refused> {
    let mut nonce = [0; NONCE_BYTES];
    getrandom::fill(&mut nonce).map_err(|error| Refused::Lost(error.to_string()))?;
    Ok(nonce)
}

fn begin(versions: &RangeInclusive<u16>) -> Vec<u8> {
    let mut hello = MAGIC.to_vec();
    hello.extend_from_slice(&versions.start().to_le_bytes());
    hello.extend_from_slice(&versions.end().to_le_bytes());
    hello
}

/// Reads how a hello begins: the versions that the other end speaks.
async fn begun<S: AsyncReadExt + Unpin>(
    socket: &mut S,
    hello: &mut Vec<u8>,
) -> Result<RangeInclusive<u16>, Refused> {
    let magic: [u8; 6] = take(socket, hello).await?;
    if magic != MAGIC {
        return Err(Refused::Stranger);
    }
    let lowest = u16::from_le_bytes(take(socket, hello).await?);
    let highest = u16::from_le_bytes(take(socket, hello).await?);
    Ok(lowest..=highest)
}

/// Reads so many bytes, which become part of the hello.
async fn take<const N: usize, S: AsyncReadExt + Unpin>(
    socket: &mut S,
    hello: &mut Vec<u8>,
) -> Result<[u8; N], Refused> {
    let mut bytes = [0; N];
    socket.read_exact(&mut bytes).await?;
    hello.extend_from_slice(&bytes);
    Ok(bytes)
}

/// The gateway's side.
pub(crate) async fn greet<S: AsyncReadExt + AsyncWriteExt + Unpin>(
    socket: &mut S,
    known: &Known<'_>,
    name: &NodeName,
) -> Result<u16, Refused> {
    let mut ours = begin(known.versions);
    ours.extend_from_slice(&nonce()?);
    ours.push(u8::try_from(name.as_str().len()).unwrap_or(u8::MAX));
    ours.extend_from_slice(name.as_str().as_bytes());
    socket.write_all(&ours).await?;

    let mut theirs = Vec::new();
    let spoken = begun(socket, &mut theirs).await?;
    let chosen = u16::from_le_bytes(take(socket, &mut theirs).await?);
    if chosen == 0 || agree(known.versions, &spoken) != Some(chosen) {
        return Err(Refused::Version(*spoken.start(), *spoken.end()));
    }
    let _nonce: [u8; NONCE_BYTES] = take(socket, &mut theirs).await?;
    let proved: [u8; PROOF_BYTES] = take(socket, &mut Vec::new()).await?;
    let of_worker = proof(known, "worker", [&ours, &theirs]);
    of_worker
        .verify_slice(&proved)
        .map_err(|_| Refused::Secret)?;
    let of_gateway = proof(known, "gateway", [&ours, &theirs]).finalize();
    socket.write_all(&of_gateway.into_bytes()).await?;
    match socket.read_u8().await? {
        WELCOME => Ok(chosen),
        _ => Err(Refused::Stranger),
    }
}

/// The worker's side: who the other end says it is, and the version.
pub(crate) async fn answer<S: AsyncReadExt + AsyncWriteExt + Unpin>(
    socket: &mut S,
    known: &Known<'_>,
) -> Result<(NodeName, u16), Refused> {
    let mut theirs = Vec::new();
    let spoken = begun(socket, &mut theirs).await?;
    let _nonce: [u8; NONCE_BYTES] = take(socket, &mut theirs).await?;
    let [length] = take(socket, &mut theirs).await?;
    let mut name = vec![0; usize::from(length)];
    socket.read_exact(&mut name).await?;
    theirs.extend_from_slice(&name);
    let name = std::str::from_utf8(&name).map_err(|_| Refused::Stranger)?;
    let name = NodeName::new(name).map_err(|_| Refused::Stranger)?;

    let mut ours = begin(known.versions);
    let Some(chosen) = agree(known.versions, &spoken) else {
        ours.extend_from_slice(&0_u16.to_le_bytes());
        socket.write_all(&ours).await?;
        return Err(Refused::Version(*spoken.start(), *spoken.end()));
    };
    ours.extend_from_slice(&chosen.to_le_bytes());
    ours.extend_from_slice(&nonce()?);
    let of_worker = proof(known, "worker", [&theirs, &ours]).finalize();
    let said = [&ours[..], &of_worker.into_bytes()[..]].concat();
    socket.write_all(&said).await?;
    let proved: [u8; PROOF_BYTES] = take(socket, &mut Vec::new()).await?;
    let of_gateway = proof(known, "gateway", [&theirs, &ours]);
    of_gateway
        .verify_slice(&proved)
        .map_err(|_| Refused::Secret)?;
    socket.write_u8(WELCOME).await?;
    Ok((name, chosen))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes()).unwrap()
    }

    fn knowing(secret: &Secret) -> Known<'_> {
        Known {
            secret,
            versions: &(1..=1),
            binding: [1; 32],
        }
    }

    type Both = (Result<u16, Refused>, Result<(NodeName, u16), Refused>);

    async fn meet(
        gateway: (&str, RangeInclusive<u16>),
        worker: (&str, RangeInclusive<u16>),
    ) -> Both {
        meet_over(gateway, worker, [[1; 32]; 2]).await
    }

    /// Each end with its binding.
    async fn meet_over(
        gateway: (&str, RangeInclusive<u16>),
        worker: (&str, RangeInclusive<u16>),
        bindings: [Binding; 2],
    ) -> Both {
        let (mut one, mut other) = tokio::io::duplex(1_024);
        let name = NodeName::new("g1").unwrap();
        let (known, asked) = (secret(gateway.0), secret(worker.0));
        let greeted = async {
            let known = Known {
                secret: &known,
                versions: &gateway.1,
                binding: bindings[0],
            };
            let greeted = greet(&mut one, &known, &name).await;
            drop(one);
            greeted
        };
        let answered = async {
            let known = Known {
                secret: &asked,
                versions: &worker.1,
                binding: bindings[1],
            };
            let answered = answer(&mut other, &known).await;
            drop(other);
            answered
        };
        tokio::join!(greeted, answered)
    }

    const ONE: &str = "the secret of one platform";
    const OTHER: &str = "the secret of another platform";

    #[tokio::test]
    async fn both_take_the_highest_version_that_both_speak() {
        for (gateway, worker, agreed) in [(1..=1, 1..=1, 1), (1..=3, 2..=9, 3), (4..=7, 1..=4, 4)] {
            let (greeted, answered) = meet((ONE, gateway), (ONE, worker)).await;
            assert_eq!(greeted, Ok(agreed));
            assert_eq!(answered, Ok((NodeName::new("g1").unwrap(), agreed)));
        }
    }

    #[tokio::test]
    async fn two_that_have_no_version_in_common_say_so_clearly() {
        let (greeted, answered) = meet((ONE, 3..=4), (ONE, 1..=2)).await;
        assert_eq!(greeted, Err(Refused::Version(1, 2)));
        assert_eq!(answered, Err(Refused::Version(3, 4)));
    }

    #[tokio::test]
    async fn whoever_does_not_know_the_secret_is_refused_by_either_end() {
        let (greeted, answered) = meet((ONE, 1..=1), (OTHER, 1..=1)).await;
        assert_eq!(
            greeted,
            Err(Refused::Secret),
            "the worker proves itself first"
        );
        assert!(matches!(answered, Err(Refused::Lost(_))), "{answered:?}");
    }

    #[tokio::test]
    async fn who_stands_between_and_passes_proofs_on_is_no_end_of_either_connection() {
        let bindings = [[1; 32], [2; 32]];
        let (greeted, answered) = meet_over((ONE, 1..=1), (ONE, 1..=1), bindings).await;
        assert_eq!(greeted, Err(Refused::Secret));
        assert!(matches!(answered, Err(Refused::Lost(_))), "{answered:?}");
    }

    #[tokio::test]
    async fn the_workers_own_proof_sent_back_is_none() {
        let (mut one, mut other) = tokio::io::duplex(1_024);
        let known = secret(ONE);
        let mirror = async {
            let mut hello = begin(&(1..=1));
            hello.extend_from_slice(&[7; NONCE_BYTES]);
            hello.extend_from_slice(b"\x02g1");
            one.write_all(&hello).await.unwrap();
            let mut said = [0; 12 + NONCE_BYTES + PROOF_BYTES];
            one.read_exact(&mut said).await.unwrap();
            one.write_all(&said[12 + NONCE_BYTES..]).await.unwrap();
        };
        let known = knowing(&known);
        let (answered, ()) = tokio::join!(answer(&mut other, &known), mirror);
        assert_eq!(answered, Err(Refused::Secret));
    }

    #[tokio::test]
    async fn a_stranger_is_known_by_its_first_bytes() {
        let mut bytes = tokio::io::join(&b"GET / HTTP/1.1\r\n\r\n"[..], tokio::io::sink());
        let answered = answer(&mut bytes, &knowing(&secret(ONE))).await;
        assert_eq!(answered, Err(Refused::Stranger));
    }

    #[test]
    fn a_short_secret_is_none_and_no_secret_is_printed() {
        assert!(Secret::new(b"too short").is_err());
        assert!(!format!("{:?}", secret(ONE)).contains("platform"));
    }
}
