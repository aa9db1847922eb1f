//! What a client says, one frame after the other: hello first, then commands to whoever takes them,
//! marks to be stamped, reads to be answered. Nothing that a client sends closes more than its own
//! socket.

use std::sync::Arc;

use schemas::errors::{Code, Refusal, close};
use schemas::frames::{Command, Frame, MarkUpTo, Welcome};
use schemas::ids::Identity;

use schemas::events::MarkKind;

use super::task::{Answering, Task};
use super::unsettled::name_of;
use super::{Session, answer, refusal};
use crate::gateway::Gateway;
use crate::gateway::wheel::Alarm;
use crate::reads::Reads;
use crate::seams::Receipt;

impl Task {
    /// Carries out one command, or begins to.
    pub(super) fn carry_out(&mut self, reference: Option<String>, command: Command) {
        let reference = reference.as_deref();
        if let Command::Hello(hello) = command {
            return match (self.session.signed_in().is_some(), hello.token) {
                (true, _) => self.refuse(reference, Refusal::plain(Code::HelloTwice)),
                (false, token) => self.sign_in(reference, &token.unwrap_or_default()),
            };
        }
        let Some(signed_in) = self.session.signed_in() else {
            return self.refuse(reference, Refusal::plain(Code::HelloRequired));
        };
        let identity = &signed_in.identity;
        match command {
            Command::Ping {} => self.session.put(answer(reference, &Frame::Pong {})),
            Command::Delivered(mark) => self.mark(reference, MarkKind::Delivered, mark),
            Command::Read(mark) => self.mark(reference, MarkKind::Read, mark),
            command if is_read(&command) => {
                let reading = read(
                    Arc::clone(&self.gateway),
                    Arc::clone(&self.session),
                    reference.map(str::to_owned),
                    command,
                );
                self.others.push(reading);
            }
            command => match self.begin(identity, reference, command) {
                Ok(taking) => self.commands.push_back(taking),
                Err(refused) => self.refuse(reference, refused),
            },
        }
    }

    fn mark(&mut self, reference: Option<&str>, kind: MarkKind, mark: MarkUpTo) {
        if mark.seq.0 == 0 {
            let refused = Refusal::new(Code::InvalidField, "seq: from 1 on");
            return self.refuse(reference, refused);
        }
        let first = self.marks.want(reference, kind, mark);
        if first {
            let tick = self.gateway.config.mark_tick;
            self.marks.timer = Some(self.gateway.runtime.sleep(tick));
        }
    }

    fn refuse(&self, reference: Option<&str>, refused: Refusal) {
        self.session.put(refusal(reference, refused));
    }

    /// Brings the session to life, or ends it when the token is not valid.
    pub(super) fn sign_in(&self, reference: Option<&str>, token: &str) {
        let known = match token {
            "" => Err(Refusal::plain(Code::Unauthorized)),
            token => self.gateway.commands.authenticate(token),
        };
        let identity = match known {
            Ok(identity) => identity,
            Err(refused) => {
                let reason = refused.code.as_str();
                self.refuse(reference, refused);
                self.session.close(close::UNAUTHORIZED, reason, None);
                return;
            }
        };
        let welcome = Welcome {
            user: identity.user.clone(),
            device: identity.device.clone(),
            at: self.gateway.runtime.now(),
            heartbeat_ms: u64::try_from(self.gateway.config.ping_after.as_millis())
                .unwrap_or(u64::MAX),
        };
        self.session
            .put(answer(reference, &Frame::Welcome(welcome)));
        let expires_at = identity.expires_at;
        self.gateway.join(&self.session, identity);
        self.gateway
            .alarm_at(expires_at, self.session.id, Alarm::Expiry);
    }

    /// Hands a command over; the append is begun when the future is first polled.
    fn begin(
        &self,
        identity: &Identity,
        reference: Option<&str>,
        command: Command,
    ) -> Result<Answering, Refusal> {
        let name = name_of(identity, &command);
        if let (Some(name), Some(signed_in)) = (&name, self.session.signed_in()) {
            signed_in.unsettled.lock().begin(name)?;
        }
        let commands = Arc::clone(&self.gateway.commands);
        let session = Arc::clone(&self.session);
        let reference = reference.map(str::to_owned);
        let identity = identity.clone();
        Ok(Box::pin(async move {
            let reference = reference.as_deref();
            let frame = match commands.accept(&identity, command).await {
                Ok(Receipt::Sent(accepted)) => answer(reference, &Frame::Sent(accepted)),
                Ok(Receipt::Settled(settled)) => answer(reference, &Frame::Settled(settled)),
                Err(refused) => {
                    // It may be in the log all the same when the log did not answer; the client
                    // sends it again, so it may as well be forgotten.
                    if let (Some((chat, id)), Some(signed_in)) = (&name, session.signed_in()) {
                        signed_in.settle(chat, id);
                    }
                    refusal(reference, refused)
                }
            };
            vec![frame]
        }))
    }
}

fn is_read(command: &Command) -> bool {
    matches!(
        command,
        Command::Chats(_)
            | Command::History(_)
            | Command::Timeline(_)
            | Command::Status(_)
            | Command::Members(_)
    )
}

/// Answers a read.
fn read(
    gateway: Arc<Gateway>,
    session: Arc<Session>,
    reference: Option<String>,
    command: Command,
) -> Answering {
    Box::pin(async move {
        let reference = reference.as_deref();
        let Some(signed_in) = session.signed_in() else {
            return Vec::new();
        };
        let user = &signed_in.identity.user;
        let reads: &Reads = &gateway.reads;
        let found = match command {
            Command::Chats(query) => reads.chats(user, &query).await.map(Frame::Chats),
            Command::History(query) => reads.history(user, &query).await.map(Frame::History),
            Command::Timeline(query) => {
                gateway.rows_up_to(&session, &query.chat).await;
                reads.timeline(user, &query).await.map(Frame::Entries)
            }
            Command::Status(query) => reads.status(user, &query).await.map(Frame::Status),
            Command::Members(query) => reads.members(user, &query.chat).await.map(Frame::Members),
            _ => return Vec::new(),
        };
        vec![match found {
            Ok(frame) => answer(reference, &frame),
            Err(refused) => refusal(reference, refused),
        }]
    })
}
