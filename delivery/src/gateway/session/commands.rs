//! What a client says, one frame after the other: hello first, then commands to whoever takes them,
//! marks to be stamped, reads to be answered. Nothing that a client sends closes more than its own
//! socket.

use std::sync::Arc;

use schemas::errors::{Code, Refusal, close};
use schemas::events::MarkKind;
use schemas::frames::{
    Chats, ChatsQuery, Command, Frame, HistoryQuery, MembersQuery, StatusQuery, TimelineQuery,
    Welcome,
};
use schemas::ids::{ChatId, Identity};

use super::owed::Pending;
use super::task::Task;
use super::unsettled::name_of;
use super::{Session, answer, refusal};
use crate::gateway::Gateway;
use crate::gateway::wheel::Alarm;

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
            Command::Chats(query) => self.read(reference, Query::Chats(query)),
            Command::History(query) => self.read(reference, Query::History(query)),
            Command::Timeline(query) => self.read(reference, Query::Timeline(query)),
            Command::Status(query) => self.read(reference, Query::Status(query)),
            Command::Members(query) => self.read(reference, Query::Members(query)),
            Command::Hello(_)
            | Command::Send(_)
            | Command::Edit(_)
            | Command::Delete(_)
            | Command::React(_)
            | Command::CreateGroup(_)
            | Command::ChangeChat(_)
            | Command::AddMember(_)
            | Command::RemoveMember(_)
            | Command::Leave(_)
            | Command::SetRole(_)
            | Command::Mute(_)
            | Command::Archive(_)
            | Command::Pin(_)
            | Command::Hide(_) => {
                if let Err(refused) = self.hand_over(identity, reference, command) {
                    self.refuse(reference, refused);
                }
            }
        }
    }

    fn read(&mut self, reference: Option<&str>, query: Query) {
        let signed_in = self.session.signed_in();
        let may_read = signed_in.map(|s| self.gateway.commands.may_read(&s.identity));
        if let Some(Err(refused)) = may_read {
            return self.refuse(reference, refused);
        }
        let (gateway, session) = (Arc::clone(&self.gateway), Arc::clone(&self.session));
        let reference = reference.map(str::to_owned);
        self.others.push(Box::pin(async move {
            let reference = reference.as_deref();
            match gateway.by_tables(ask(&gateway, &session, query)).await {
                Ok(frame) => vec![answer(reference, &frame)],
                Err(refused) => vec![refusal(reference, refused)],
            }
        }));
    }

    fn refuse(&self, reference: Option<&str>, refused: Refusal) {
        self.session.put(refusal(reference, refused));
    }

    /// Brings the session to life, or ends it when the token is not valid.
    pub(super) fn sign_in(&mut self, reference: Option<&str>, token: &str) {
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
        let expires_at = identity.expires_at;
        let welcome = Welcome {
            user: identity.user.clone(),
            device: identity.device.clone(),
            at: self.gateway.runtime.now(),
            heartbeat_ms: u64::try_from(self.gateway.config.ping_after.as_millis())
                .unwrap_or(u64::MAX),
        };
        let welcome = answer(reference, &Frame::Welcome(welcome));
        let Some(subscribing) = self.gateway.join(&self.session, identity, welcome) else {
            let refused = Refusal::plain(Code::TooManySessions);
            let reason = refused.code.as_str();
            self.refuse(reference, refused);
            self.session.close(close::TRY_LATER, reason, None);
            return;
        };
        self.joining = (!subscribing.is_done()).then_some(subscribing);
        self.until_known = None;
        self.gateway
            .alarm_at(expires_at, self.session.id, Alarm::Expiry);
    }

    /// Hands a command over; its append is begun when this returns.
    fn hand_over(
        &self,
        identity: &Identity,
        reference: Option<&str>,
        command: Command,
    ) -> Result<(), Refusal> {
        let name = name_of(identity, &command);
        if let (Some(name), Some(signed_in)) = (&name, self.session.signed_in()) {
            signed_in.unsettled.lock().begin(name, reference)?;
        }
        let taking = self.gateway.commands.accept(identity, command);
        let reference = reference.map(str::to_owned);
        Pending::begin(&self.gateway, &self.session, name, reference, taking);
        Ok(())
    }
}

/// What can be asked.
enum Query {
    Chats(ChatsQuery),
    History(HistoryQuery),
    Timeline(TimelineQuery),
    Status(StatusQuery),
    Members(MembersQuery),
}

impl Query {
    /// The chat that it is about, if its answer is made from what the chats fold writes.
    fn chat(&self) -> Option<&ChatId> {
        match self {
            Self::Chats(_) => None,
            Self::History(query) => Some(&query.chat),
            Self::Timeline(query) => Some(&query.chat),
            Self::Status(query) => Some(&query.chat),
            Self::Members(query) => Some(&query.chat),
        }
    }
}

/// Answers a read.
async fn ask(gateway: &Gateway, session: &Session, query: Query) -> Result<Frame, Refusal> {
    let Some(signed_in) = session.signed_in() else {
        return Err(Refusal::plain(Code::HelloRequired));
    };
    let (user, reads) = (&signed_in.identity.user, &gateway.reads);
    if let Some(chat) = query.chat() {
        // What this session was told of is in every answer: rows that are not there yet are waited
        // for.
        let patience = gateway.config.inbox_within;
        gateway.rows_of(signed_in, chat, patience).await;
    }
    Ok(match query {
        Query::Chats(query) => {
            // Before the rows are read: what comes meanwhile does no harm.
            let behind = !gateway.inbox_of(&signed_in.hub).await;
            let list = reads.chats(user, &query).await?;
            Frame::Chats(Chats { behind, ..list })
        }
        Query::History(query) => Frame::History(reads.history(user, &query).await?),
        Query::Timeline(query) => Frame::Entries(reads.timeline(user, &query).await?),
        Query::Status(query) => Frame::Status(reads.status(user, &query).await?),
        Query::Members(query) => Frame::Members(reads.members(user, &query.chat).await?),
    })
}
