//! The first message of a new chat against the thousandth of an old one, both at the same time.

use super::cast::Cast;
use super::measure::{Measured, Span, Times, from_any, measure_all};
use super::stage::Stage;
use crate::fleet::drive::Shot;
use crate::fleet::marks::Marking;

/// Chats of either kind.
const CHATS: usize = 48;
/// Messages of an old chat before it is measured.
const BEFORE: u64 = 999;
/// At this rate the old chats grow.
const GROWING: u64 = 10_000;
/// At this rate both are measured.
const MEASURED: u64 = 200;

/// Class 0 is the first message of a chat, class 1 the thousandth.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused.
pub fn first_and_thousandth(stage: &Stage) -> anyhow::Result<Measured> {
    let mut cast = Cast::new(stage, 4 * CHATS, Marking::Delivered)?;
    cast.pairs(0..4 * CHATS);
    let mut fleet = cast.live()?;
    let chats = CHATS as u64;
    let growing = Span {
        warm_up: 0.0,
        seconds: (chats * BEFORE) as f64 / GROWING as f64,
    };
    let times = Times::from_now(&fleet, growing);
    let writer = |n: u64, class: usize| {
        let chat = usize::try_from(n % chats).unwrap_or(0);
        Shot {
            from: 2 * (chat + class * CHATS),
            ..from_any(n, 0..1, class)
        }
    };
    let shots = times.evenly(GROWING, |n| writer(n, 1));
    let grown = measure_all(&mut fleet, "old chats", &times, 2, shots, None)?;
    anyhow::ensure!(
        grown.messages as u64 == chats * BEFORE,
        "the chats have not grown"
    );
    let span = Span {
        warm_up: 0.0,
        seconds: (2 * chats) as f64 / MEASURED as f64,
    };
    let times = Times::from_now(&fleet, span);
    let shots = times.evenly(MEASURED, |n| writer(n / 2, usize::from(n % 2 == 1)));
    measure_all(&mut fleet, "new chats", &times, 2, shots, None)
}
