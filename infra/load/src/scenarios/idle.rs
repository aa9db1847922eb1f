//! What an idle socket costs: the growth of the node's own memory while sockets are added.

use std::time::Duration;

use super::cast::Cast;
use super::cost::{kernel_bytes, resident_bytes};
use super::measure::Span;
use super::one_to_one::Load;
use super::stage::Stage;
use crate::fleet::marks::Marking;
use crate::parts::Whole;

/// After connecting, so long for the node to put away what only the handshake needed.
const SETTLE: Duration = Duration::from_secs(2);

/// Memory at some number of sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// Live sockets.
    pub sockets: usize,
    /// What the node holds in RAM.
    pub node_bytes: u64,
    /// What the kernel keeps for itself, for both ends of the sockets and all else.
    pub kernel_bytes: u64,
}

/// Adds sockets of users without chats up to each of these numbers, and looks after each. The first
/// look is before any.
///
/// # Errors
/// When a socket does not become live, or the node is not a process of ours.
pub fn grow(stage: &Stage, numbers: &[usize]) -> anyhow::Result<Vec<Memory>> {
    let id = stage.id();
    let id = id.ok_or_else(|| anyhow::anyhow!("only the memory of a node of our own is read"))?;
    let most = numbers.iter().copied().max().unwrap_or(0);
    let cast = Cast::new(stage, most, Marking::Off)?;
    let mut logins = cast.logins()?.into_iter();
    let mut fleet = cast.without_sockets();
    let mut found = Vec::new();
    for number in std::iter::once(&0).chain(numbers) {
        let more = number.saturating_sub(fleet.len());
        fleet.connect_all(logins.by_ref().take(more))?;
        fleet.attend(SETTLE)?;
        fleet.close_books()?;
        found.push(Memory {
            sockets: fleet.len(),
            node_bytes: resident_bytes(id)?,
            kernel_bytes: kernel_bytes()?,
        });
    }
    Ok(found)
}

/// Holds sockets in several processes, idle. Then each may write one message to its neighbour: every
/// socket is reached, or that fails.
///
/// # Errors
/// When a socket does not become live.
pub fn hold(stage: &Stage, sockets: usize, processes: usize, rate: u64) -> anyhow::Result<Whole> {
    let span = Span {
        warm_up: 0.0,
        seconds: sockets as f64 / rate as f64,
    };
    let load = Load {
        sockets,
        rate,
        span,
    };
    let whole = Whole::live(stage, load, processes)?;
    std::thread::sleep(SETTLE);
    Ok(whole)
}

/// Bytes a socket, from the first look to the last: of the node, of the kernel. None without
/// sockets.
#[must_use]
pub fn per_socket(looks: &[Memory]) -> Option<(f64, f64)> {
    let (first, last) = (looks.first()?, looks.last()?);
    let sockets = last.sockets.checked_sub(first.sockets).filter(|n| *n > 0)? as f64;
    let grown = |of: fn(&Memory) -> u64| (of(last) as f64 - of(first) as f64) / sockets;
    Some((grown(|m| m.node_bytes), grown(|m| m.kernel_bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_shared_among_the_sockets_added() {
        let look = |sockets, node_bytes| Memory {
            sockets,
            node_bytes,
            kernel_bytes: 2 * node_bytes,
        };
        assert_eq!(
            per_socket(&[look(0, 100), look(5, 150), look(10, 200)]),
            Some((10.0, 20.0))
        );
        assert_eq!(per_socket(&[look(0, 100)]), None);
    }
}
