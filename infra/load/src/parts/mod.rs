//! A load from several processes, where one has too few files or too little of a processor: each
//! has its share of the sockets and of the rate, all begin together, and what they found is one.
//!
//! ```text
//!  whole ─ starts ─▶ part 1 … n     connect their pairs
//!        ◀─ live ───                wait
//!        ── go ────▶                write, mark, check
//!        ◀─ found ──                and end
//! ```
//!
//! With several nodes of one cluster the parts are shared out among them.

mod part;
mod whole;

pub use part::{Options, run};
pub use whole::Whole;

/// The argument under which the program is a part.
pub const ARGUMENT: &str = "part";
/// What a part says once all its sockets are live.
const LIVE: &str = "live";
/// What the whole says when all are.
const GO: &str = "go";
