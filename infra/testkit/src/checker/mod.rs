//! The history checker: from what clients sent, were told and received, decides whether anything
//! was lost, doubled, reordered or counted wrongly.
//!
//! It knows nothing of how Cursus works; it compares what was seen with what was promised. Each
//! device's observations are in the order in which that device made them. A refusal is an answer:
//! a refused command is not lost. The truth about a chat is its timeline, read whole at the end by
//! one of its members.

mod history;
mod lists;
mod order;
mod promises;
mod status;
mod unread;

pub use history::{ChatTruth, Chosen, Endpoint, History, Observation, Stays, Told, Violation};

/// Checks a history against everything that was promised. Empty when all was kept.
pub fn check(history: &History) -> Vec<Violation> {
    let mut violations = Vec::new();
    promises::check(history, &mut violations);
    order::check(history, &mut violations);
    unread::check(history, &mut violations);
    lists::check(history, &mut violations);
    status::check(history, &mut violations);
    violations
}

#[cfg(test)]
mod tests;
