//! What sessions do when their alarm rings: no hello in time, no sign of life, a token whose time is
//! over, pushes that were not marked.

use schemas::errors::{Code, Refusal, close};
use schemas::frames::Frame;

use super::Gateway;
use super::session::Session;
use super::wheel::Alarm;
use crate::metrics;

impl Gateway {
    /// Rings alarms for ever; to be run beside everything else.
    pub(crate) async fn ring_alarms(&self) {
        loop {
            for (id, alarm) in self.wheel.ring(&self.runtime).await {
                let Some(session) = self.session(id) else {
                    continue;
                };
                match alarm {
                    Alarm::Hello => self.hello_due(&session),
                    Alarm::Heartbeat => self.heartbeat(&session),
                    Alarm::Retry => session.ring_retry(),
                    Alarm::Expiry => self.expiry(&session),
                }
            }
        }
    }

    fn hello_due(&self, session: &Session) {
        if session.signed_in().is_none() {
            session.close(close::TIMEOUT, "no hello", None);
        }
    }

    fn heartbeat(&self, session: &Session) {
        let (now, heard) = (self.runtime.elapsed(), session.last_heard());
        let silent = now.saturating_sub(heard);
        if silent >= self.config.dead_after {
            session.close(close::TIMEOUT, "no sign of life", None);
            return;
        }
        let next = if silent >= self.config.ping_after {
            session.ping();
            self.config.dead_after
        } else {
            self.config.ping_after
        };
        self.wheel.set(heard + next, session.id, Alarm::Heartbeat);
    }

    fn expiry(&self, session: &Session) {
        let Some(signed_in) = session.signed_in() else {
            return;
        };
        let expires_at = signed_in.identity.expires_at;
        if self.runtime.now() < expires_at {
            // It is later than the farthest alarm, or the wall clock was set back.
            self.alarm_at(expires_at, session.id, Alarm::Expiry);
            return;
        }
        let refused = Refusal::plain(Code::TokenExpired);
        metrics::refused(refused.code);
        session.close(
            close::UNAUTHORIZED,
            refused.code.as_str(),
            Some(&Frame::Error(refused.clone())),
        );
    }
}
