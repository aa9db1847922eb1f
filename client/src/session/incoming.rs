//! What the server says, one frame at a time: entries to their chat's order, answers to whoever
//! asked, verdicts to their command, news to the user.

use schemas::errors::{Code, Refusal};
use schemas::events::MarkKind;
use schemas::frames::{Accepted, Chats, Entries, Entry, Frame, Marked, Verdict, decode_frame};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::Seq;

use super::outgoing::is_of_session;
use super::{Own, Session};
use crate::{Event, Lost, Moment, Outcome, Output, Sent, Ticket};

/// Whose answer a `ref` says it is.
enum Asker {
    User(Ticket),
    Own(u64),
    Nobody,
}

impl Session {
    /// One text frame came. What is no frame of this protocol is passed over: if it was an entry,
    /// it shows as a gap.
    pub fn received(&mut self, now: Moment, text: &[u8]) {
        self.link.heard(now);
        match decode_frame(text) {
            Ok(received) => {
                if let Some(frame) = received.value {
                    self.take(now, received.reference.as_deref(), frame);
                }
            }
            Err(refusal) => tracing::warn!(%refusal, "a frame of the server was not understood"),
        }
    }

    fn take(&mut self, now: Moment, reference: Option<&str>, frame: Frame) {
        match frame {
            Frame::Welcome(welcome) => self.welcomed(now, welcome),
            Frame::Live {} => self.went_live(now),
            Frame::Sent(accepted) => self.sent(&accepted),
            Frame::Verdict(verdict) => self.verdict(now, verdict),
            Frame::Error(refusal) => self.error(now, reference, refusal),
            Frame::Entry(entry) => self.entry(now, entry),
            Frame::Entries(batch) => self.entries(now, reference, batch),
            Frame::Ticks(ticks) => self.tell(Event::Ticks(ticks)),
            Frame::Marked(marked) => self.marked(marked),
            Frame::Settings(settings) => self.tell(Event::Settings(settings)),
            Frame::Closing(closing) => {
                self.tell(Event::Closing(closing.code));
                self.link.closing(closing);
            }
            answer @ (Frame::Settled(_)
            | Frame::Chats(_)
            | Frame::History(_)
            | Frame::Status(_)
            | Frame::Members(_)
            | Frame::Pong {}) => self.answer(now, reference, answer),
        }
    }

    /// A server that crashed tells marks again, and another device's read mark may come after one of
    /// this device that is further: only what grew is told. The read mark is the user's.
    fn marked(&mut self, marked: Marked) {
        let device = (marked.kind == MarkKind::Delivered).then(|| marked.device.clone());
        let told = self.told.entry((marked.chat.clone(), device)).or_default();
        if marked.seq > *told {
            *told = marked.seq;
            self.tell(Event::Marked(marked));
        }
    }

    fn went_live(&mut self, now: Moment) {
        if self.is_live() {
            return self.live_anew(now);
        }
        self.link.live();
        let unheard =
            |(chat, order): (&ChatId, &super::Order)| order.last().is_none().then(|| chat.clone());
        let unheard: Vec<ChatId> = self.orders.iter().filter_map(unheard).collect();
        for chat in &unheard {
            self.advance(now, chat, |order, out| order.resumed(out));
        }
        self.tell(Event::Live);
        if self.config.verify_heads {
            self.heads.begin(now, self.orders.keys().cloned().collect());
        }
        self.ask_gaps(now);
    }

    /// The server may have left something out, and has sent since then whatever of that was an entry.
    /// A refusal is none: who waits for one asks again.
    fn live_anew(&mut self, now: Moment) {
        self.tell(Event::Live);
        self.outbox.ask_again();
        self.write_commands(now);
    }

    fn heads(&mut self, now: Moment, page: Chats) {
        for (chat, head) in self.heads.answered(now, page) {
            let order = self.order(&chat);
            order.hear_of(head);
            if order.gap().is_some() {
                self.gaps.insert(chat);
            }
        }
        let known = || self.orders.keys().cloned().collect();
        self.heads.begin_again(now, known);
        self.ask_gaps(now);
    }

    fn order(&mut self, chat: &ChatId) -> &mut super::Order {
        let owed = self.config.verify_heads;
        let unknown = || super::Order::unknown(owed);
        self.orders.entry(chat.clone()).or_insert_with(unknown)
    }

    fn entry(&mut self, now: Moment, entry: Entry) {
        self.take_as_verdict(now, &entry);
        let (chat, resumed) = (entry.chat.clone(), self.is_live());
        self.advance(now, &chat, |order, out| order.take(entry, resumed, out));
        self.ask_gaps(now);
    }

    fn entries(&mut self, now: Moment, reference: Option<&str>, mut batch: Entries) {
        let mut ours = false;
        match asker(reference) {
            Asker::User(ticket) => {
                self.answered(now, ticket, Ok(Box::new(Frame::Entries(batch))));
                return;
            }
            Asker::Own(number) => ours = self.own.remove(&number).is_some(),
            Asker::Nobody => {}
        }
        let chat = batch.chat.clone();
        // A batch speaks of one chat; what is of another has its own order, and is not taken here.
        batch.entries.retain(|entry| entry.chat == chat);
        for entry in &batch.entries {
            self.take_as_verdict(now, entry);
        }
        let mut forward = false;
        self.advance(now, &chat, |order, out| {
            forward = order.take_batch(batch, out);
        });
        if ours {
            self.gap_asked(&chat, |order| order.answered(now, forward));
        }
        self.ask_gaps(now);
    }

    /// A question for a gap is over.
    fn gap_asked(&mut self, chat: &ChatId, over: impl FnOnce(&mut super::Order)) {
        self.asking = self.asking.saturating_sub(1);
        if let Some(order) = self.orders.get_mut(chat) {
            over(order);
            if order.gap().is_some() {
                self.gaps.insert(chat.clone());
            }
        }
    }

    /// The user has taken a chat up to `seq`, in `entries` entries, and has done with it what it wants
    /// to have done before the server forgets: from now on the device counts as having it.
    pub fn taken(&mut self, now: Moment, chat: &ChatId, seq: Seq, entries: usize) {
        if let Some(order) = self.orders.get_mut(chat) {
            order.took(seq);
            if let Some(taken) = order.taken() {
                self.marks.taken(now, chat, taken, entries);
            }
        }
    }

    /// Changes a chat's order, hands over what that frees, and plans mark and question.
    fn advance(
        &mut self,
        now: Moment,
        chat: &ChatId,
        change: impl FnOnce(&mut super::Order, &mut Vec<Entry>),
    ) {
        if !self.orders.contains_key(chat) {
            self.order(chat);
        }
        let Some(order) = self.orders.get_mut(chat) else {
            return;
        };
        let (before, mut out) = (order.last(), Vec::new());
        change(order, &mut out);
        order.tell(&out);
        if order.gap().is_some() {
            self.gaps.insert(chat.clone());
        }
        let moved = order.last() != before;
        match order.taken() {
            Some(taken) if !moved => self.marks.remind(now, chat, taken),
            // Places that the user may not see followed what was taken.
            Some(taken) if before.is_some() => self.marks.taken(now, chat, taken, 0),
            _ => {}
        }
        for entry in out {
            self.tell(Event::Entry(Box::new(entry)));
        }
    }

    /// An entry of this very device settles the command that made it.
    fn take_as_verdict(&mut self, now: Moment, entry: &Entry) {
        if !self.is_me(&entry.author, &entry.device) {
            return;
        }
        if let Some(ticket) = self.ticket_of(&entry.chat, &entry.client_id) {
            let outcome = Outcome::Accepted {
                chat: entry.chat.clone(),
                seq: entry.seq,
            };
            self.settled(now, ticket, outcome);
        }
    }

    fn verdict(&mut self, now: Moment, verdict: Verdict) {
        let mine = self.identity.as_ref();
        if mine.is_none_or(|(_, device)| *device != verdict.device) {
            return;
        }
        let Some(ticket) = self.ticket_of(&verdict.chat, &verdict.client_id) else {
            return;
        };
        let chat = verdict.chat;
        let outcome = match (verdict.code, verdict.seq) {
            (Some(code), _) => Outcome::Refused(Refusal::plain(code)),
            (None, Some(seq)) => Outcome::Accepted { chat, seq },
            (None, None) => return,
        };
        self.settled(now, ticket, outcome);
    }

    fn sent(&mut self, accepted: &Accepted) {
        let Some(ticket) = self.ticket_of(&accepted.chat, &accepted.client_id) else {
            return;
        };
        let told = self.outbox.get_mut(ticket);
        if told.is_some_and(|outgoing| !std::mem::replace(&mut outgoing.told_sent, true)) {
            let sent = Sent {
                chat: accepted.chat.clone(),
                client_id: accepted.client_id.clone(),
                id: accepted.id.clone(),
            };
            self.out.push_back(Output::Sent { ticket, sent });
        }
    }

    fn error(&mut self, now: Moment, reference: Option<&str>, refusal: Refusal) {
        if matches!(refusal.code, Code::Unauthorized | Code::TokenExpired) {
            let want = self.link.drop_for(Lost::Unauthorized);
            if let super::Want::Disconnect(why) = want {
                self.out.push_back(Output::Disconnect(why));
            }
            return;
        }
        match asker(reference) {
            Asker::User(_) if is_of_session(refusal.code) => {}
            Asker::User(ticket) if refusal.code.is_retryable() => {
                self.outbox.refused_for_now(now, ticket, &refusal);
            }
            Asker::User(ticket) => self.refused(now, ticket, refusal),
            Asker::Own(number) => self.own_refused(now, number, &refusal),
            Asker::Nobody => tracing::debug!(%refusal, "the server complains"),
        }
    }

    fn own_refused(&mut self, now: Moment, number: u64, refusal: &Refusal) {
        match self.own.remove(&number) {
            Some(Own::Gap(chat)) if refusal.code.is_retryable() => {
                self.gap_asked(&chat, |order| order.refused(now));
            }
            Some(Own::Gap(chat)) => self.gap_asked(&chat, |order| order.answered(now, false)),
            Some(Own::Mark(due)) => self.marks.refused(now, due, refusal),
            Some(Own::Heads) => self.heads.refused(now),
            Some(Own::Ping) | None => {}
        }
    }

    fn answer(&mut self, now: Moment, reference: Option<&str>, frame: Frame) {
        match asker(reference) {
            Asker::User(ticket) => self.answered(now, ticket, Ok(Box::new(frame))),
            Asker::Own(number) => match (self.own.remove(&number), frame) {
                (Some(Own::Mark(due)), Frame::Settled(_)) => self.marks.settled(due),
                (Some(Own::Heads), Frame::Chats(page)) => self.heads(now, page),
                (own, _) => tracing::trace!(?own, "answered"),
            },
            Asker::Nobody => {}
        }
    }

    /// A command without a client id has its answer.
    fn answered(&mut self, now: Moment, ticket: Ticket, answer: Result<Box<Frame>, Refusal>) {
        if self.outbox.settle(ticket).is_some() {
            self.out.push_back(Output::Answered { ticket, answer });
            self.write_commands(now);
        }
    }

    fn refused(&mut self, now: Moment, ticket: Ticket, refusal: Refusal) {
        let logged = self
            .outbox
            .get_mut(ticket)
            .is_some_and(|outgoing| outgoing.key.is_some());
        if logged {
            self.settled(now, ticket, Outcome::Refused(refusal));
        } else {
            self.answered(now, ticket, Err(refusal));
        }
    }

    fn settled(&mut self, now: Moment, ticket: Ticket, outcome: Outcome) {
        let Some(outgoing) = self.outbox.settle(ticket) else {
            return;
        };
        if let Some((_, client_id)) = outgoing.key {
            self.out.push_back(Output::Settled {
                ticket,
                client_id,
                outcome,
            });
        }
        self.write_commands(now);
    }

    /// The command under way with this client id in this chat; the group a command makes included.
    fn ticket_of(&self, chat: &ChatId, client_id: &ClientId) -> Option<Ticket> {
        if self.outbox.len() == 0 {
            return None;
        }
        let known = (Some(chat.clone()), client_id.clone());
        self.outbox.ticket(&known).or_else(|| {
            let (user, device) = self.identity.as_ref()?;
            let ticket = self.outbox.ticket(&(None, client_id.clone()))?;
            (ChatId::group(user, device, client_id) == *chat).then_some(ticket)
        })
    }

    fn is_me(&self, user: &UserId, device: &DeviceId) -> bool {
        let me = self.identity.as_ref();
        me.is_some_and(|(my_user, my_device)| my_user == user && my_device == device)
    }
}

fn asker(reference: Option<&str>) -> Asker {
    let number = |text: &str| text.parse::<u64>().ok();
    let Some(text) = reference else {
        return Asker::Nobody;
    };
    let user = text.strip_prefix('c').and_then(number).map(Ticket);
    let own = text.strip_prefix('s').and_then(number);
    match (user, own) {
        (Some(ticket), _) => Asker::User(ticket),
        (None, Some(number)) => Asker::Own(number),
        (None, None) => Asker::Nobody,
    }
}
