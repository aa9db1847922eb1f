//! Who waits for a worker to be reached. Most of them stop waiting before there is one: those are
//! forgotten whenever there are twice as many as were left the last time, so that a long time without
//! workers costs what those cost who still wait.

use infra_ports::link::{Subscribed, Subscribing};
use tokio::sync::oneshot;

/// So few are not worth a look.
const FEW: usize = 64;

/// Those who wait.
#[derive(Default)]
pub(super) struct Waiting {
    waiters: Vec<oneshot::Sender<Subscribed>>,
    /// How many were left when those were forgotten last who had gone.
    left: usize,
}

impl Waiting {
    /// One more.
    pub(super) fn one(&mut self) -> Subscribing {
        if self.waiters.len() >= self.left.max(FEW) * 2 {
            self.waiters.retain(|waiter| !waiter.is_closed());
            self.left = self.waiters.len();
        }
        let (tell, told) = oneshot::channel();
        self.waiters.push(tell);
        Subscribing::later(told)
    }

    /// All of them hear `LinkGone`, and ask again.
    pub(super) fn ask_again(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use infra_ports::link::LinkGone;

    use super::*;

    #[test]
    fn those_who_have_gone_are_forgotten_and_those_who_wait_are_told() {
        let mut waiting = Waiting::default();
        let mut wait: Vec<_> = (0..100).map(|_| waiting.one()).collect();
        for _ in 0..10_000 {
            drop(waiting.one());
            assert!(waiting.waiters.len() <= 400, "{}", waiting.waiters.len());
        }
        assert!(wait.iter_mut().all(|one| one.now_or_never().is_none()));
        waiting.ask_again();
        let told = wait.into_iter().map(|one| one.now_or_never());
        assert!(told.into_iter().all(|told| told == Some(Err(LinkGone))));
        assert!(waiting.waiters.is_empty());
    }
}
