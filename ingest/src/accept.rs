//! The thin shell around the pure parts: limit, check, encode, append, answer.
//!
//! Ordering: nothing is awaited before the append is called, so commands are in the log in the order
//! in which their futures were first polled. Durability: an `Ok` is given only after the append
//! returned, which for `chats`, `accounts` and `receipts` means that no crash takes it back. One
//! command is one append, and so are all marks that come together; the log commits what waits
//! together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{self, Either};
use infra_ports::log::NewRecord;
use infra_ports::{EventLog, LogError, Runtime};
use schemas::avro::LogEvent;
use schemas::errors::{Code, Refusal};
use schemas::events::{AccountEvent, MarkKind, ReceiptEvent};
use schemas::frames::{Accepted, Command, Receipt, Settled};
use schemas::ids::{ChatId, DeviceId, Identity, UserId};
use schemas::position::{Partition, Timestamp};
use schemas::topics::{Topic, partition_of};
use tracing::Instrument;
use tracing::field::Empty;

use crate::check::limits::CREATE_GROUP_COST;
use crate::check::{self, Checked};
use crate::config::Config;
use crate::failures::Failures;
use crate::limit::Limits;
use crate::metrics;
use crate::tokens::{KeyError, Keys};

pub use crate::check::StampedMark;

/// The topics that ingest appends to.
pub(crate) const APPENDED_TO: [Topic; 3] = [Topic::Chats, Topic::Receipts, Topic::Accounts];

/// A command on its way into the log. What waits for the log is held as it is here, once: many wait
/// at the same time.
struct Ready {
    topic: Topic,
    partition: Partition,
    record: NewRecord,
    /// The answer, once it is durable.
    receipt: Receipt,
}

/// Ingest, for everyone who brings commands. A clone is the same one.
#[derive(Clone)]
pub struct Ingest {
    inner: Arc<Inner>,
}

struct Inner {
    keys: Keys,
    limits: Limits,
    verdict_within: Duration,
    log: Arc<dyn EventLog>,
    runtime: Arc<dyn Runtime>,
    partitions: u32,
    failures: Failures,
}

impl Ingest {
    /// Ingest over a log whose topics exist already.
    #[must_use]
    pub fn new(
        config: &Config,
        keys: Keys,
        log: Arc<dyn EventLog>,
        runtime: Arc<dyn Runtime>,
    ) -> Self {
        let partitions = log.partitions();
        let inner = Inner {
            keys,
            limits: Limits::new(config),
            verdict_within: config.verdict_within,
            log,
            runtime,
            partitions,
            failures: Failures::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Says whether this address may ask for something now. To be asked before its token is looked
    /// at, once a request or handshake.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which it may.
    pub fn admit(&self, address: IpAddr) -> Result<(), Refusal> {
        self.inner
            .limits
            .address(address, self.inner.runtime.elapsed())
    }

    /// Says who a token speaks for.
    ///
    /// # Errors
    /// `token_expired` when its time is over, else `unauthorized`.
    pub fn authenticate(&self, token: &str) -> Result<Identity, Refusal> {
        let found = self
            .inner
            .keys
            .authenticate(token, self.inner.runtime.now());
        metrics::token(found.as_ref().err().map(|refusal| refusal.code));
        found
    }

    /// Says whether a device may read something now. Reads themselves are not ingest's.
    ///
    /// # Errors
    /// `rate_limited`, with the time after which it may.
    pub fn may_read(&self, who: &Identity) -> Result<(), Refusal> {
        let now = self.inner.runtime.elapsed();
        self.inner.limits.read(who, now)
    }

    /// Makes a token with the development key, valid from now on for `ttl`.
    ///
    /// # Errors
    /// [`KeyError::NoDevelopmentKey`] when there is none.
    pub fn mint(
        &self,
        user: &UserId,
        device: &DeviceId,
        ttl: Duration,
    ) -> Result<String, KeyError> {
        self.inner
            .keys
            .mint(user, device, self.inner.runtime.now(), ttl)
    }

    /// Takes a command: everything with a client id, and mute, archive, pin and hide. It is checked
    /// when this is called and appended when the future is first polled. Durable when it answers
    /// `Ok`.
    ///
    /// Cancel safety: dropping the future leaves the command appended or not; a resend with the same
    /// client id is harmless either way.
    ///
    /// # Errors
    /// The refusal for the client. Nothing was stored, but for `unavailable` and `shutting_down`,
    /// where it may have been.
    pub fn accept(
        &self,
        who: &Identity,
        command: Command,
    ) -> impl Future<Output = Result<Receipt, Refusal>> + Send + 'static {
        match self.take(who, command, |_| ()) {
            Ok((appending, ())) => Either::Left(appending),
            Err(refusal) => Either::Right(future::ready(Err(refusal))),
        }
    }

    /// The same for whoever has something to do between check and append; not done for what is
    /// refused. The one way of a command, over whatever it came: counted and traced here.
    pub(crate) fn take<T>(
        &self,
        who: &Identity,
        command: Command,
        before: impl FnOnce(&Checked) -> T,
    ) -> Result<
        (
            impl Future<Output = Result<Receipt, Refusal>> + Send + 'static,
            T,
        ),
        Refusal,
    > {
        let name = metrics::name_of(&command);
        let span = tracing::debug_span!("accept", command = name, user = %who.user,
            device = %who.device, topic = Empty, partition = Empty, offset = Empty);
        let made = span.in_scope(|| {
            let checked = self.check(who, command)?;
            let done = before(&checked);
            Ok((self.ready(checked)?, done))
        });
        let refused = |refusal: &Refusal| metrics::answered(name, Some(refusal.code));
        let (ready, done) = made.inspect_err(refused)?;
        let appending = append(Arc::clone(&self.inner), name, ready);
        Ok((appending.instrument(span), done))
    }

    /// Takes marks that sessions stamped, and appends them together. Each is answered, in their
    /// order; durable when its answer is `Ok`.
    ///
    /// Cancel safety: dropping the future leaves all of them appended or none. A mark that is
    /// made again is harmless.
    #[tracing::instrument(level = "debug", skip_all, fields(
        marks = marks.len(), topic = Topic::Receipts.name()))]
    pub async fn mark_all(
        &self,
        marks: Vec<(Identity, StampedMark)>,
    ) -> Vec<Result<Settled, Refusal>> {
        let mut batches: BTreeMap<Partition, Vec<NewRecord>> = BTreeMap::new();
        let mut answers = Vec::with_capacity(marks.len());
        for (who, mark) in marks {
            let name = match mark.kind {
                MarkKind::Delivered => "delivered",
                MarkKind::Read => "read",
            };
            let made = self.check_mark(&who, mark).and_then(marked);
            let answer = made.map(|(chat, record)| {
                let home = partition_of(&record.key, self.inner.partitions);
                batches.entry(home).or_default().push(record);
                Settled { chat }
            });
            answers.push((name, answer));
        }
        let appended = match batches.is_empty() {
            true => Ok(()),
            false => self.append_marks(batches.into_iter().collect()).await,
        };
        let told = |(name, answer): (&'static str, Result<Settled, Refusal>)| {
            let answer = answer.and_then(|settled| appended.clone().map(|()| settled));
            metrics::answered(name, answer.as_ref().err().map(|refusal| refusal.code));
            answer
        };
        answers.into_iter().map(told).collect()
    }

    /// The event of a command, if its author may have one made now.
    fn check(&self, who: &Identity, command: Command) -> Result<Checked, Refusal> {
        let now = self.live(who)?;
        let cost = if matches!(command, Command::CreateGroup(_)) {
            CREATE_GROUP_COST
        } else {
            1
        };
        self.inner
            .limits
            .command(who, cost, self.inner.runtime.elapsed())?;
        check::check(who, command, now)
    }

    /// When the log last refused an append, in the runtime's elapsed time; none when it has taken
    /// one of the same topic since.
    #[must_use]
    pub fn last_failed_append(&self) -> Option<Duration> {
        self.inner.failures.last()
    }

    /// How long HTTP waits for a verdict.
    pub(crate) fn verdict_within(&self) -> Duration {
        self.inner.verdict_within
    }

    fn check_mark(&self, who: &Identity, mark: StampedMark) -> Result<ReceiptEvent, Refusal> {
        let now = self.live(who)?;
        self.inner.limits.mark(who, self.inner.runtime.elapsed())?;
        check::mark(who, mark, now)
    }

    /// The time now, if the token's time is not over: a session may outlive its token.
    fn live(&self, who: &Identity) -> Result<Timestamp, Refusal> {
        let now = self.inner.runtime.now();
        if who.expires_at <= now {
            return Err(Refusal::plain(Code::TokenExpired));
        }
        Ok(now)
    }

    /// The record of a checked event, and what its author will be answered.
    fn ready(&self, checked: Checked) -> Result<Ready, Refusal> {
        let (topic, key, value, at, receipt) = match checked {
            Checked::Chat(event) => {
                let (value, origin) = (encoded(&event)?, event.origin());
                let accepted = Accepted {
                    chat: origin.chat.clone(),
                    client_id: origin.client_id.clone(),
                    id: origin.message_id().text(),
                    at: origin.at,
                };
                let key = key_of(origin.chat.as_str());
                (Topic::Chats, key, value, origin.at, Receipt::Sent(accepted))
            }
            Checked::Account(event) => {
                let value = encoded(&event)?;
                let (user, chat, at) = match event {
                    AccountEvent::ChatMuted(e) => (e.user, e.chat, e.at),
                    AccountEvent::ChatArchived(e) => (e.user, e.chat, e.at),
                    AccountEvent::ChatPinned(e) => (e.user, e.chat, e.at),
                    AccountEvent::MessageHidden(e) => (e.user, e.chat, e.at),
                };
                let receipt = Receipt::Settled(Settled { chat });
                (Topic::Accounts, key_of(user.as_str()), value, at, receipt)
            }
        };
        Ok(Ready {
            topic,
            partition: partition_of(&key, self.inner.partitions),
            record: NewRecord { key, value, at },
            receipt,
        })
    }

    async fn append_marks(&self, batches: Vec<(Partition, Vec<NewRecord>)>) -> Result<(), Refusal> {
        let began = self.inner.runtime.elapsed();
        let appended = self.inner.log.append_all(Topic::Receipts, batches).await;
        self.inner.noted(Topic::Receipts, began, appended.is_ok());
        match appended {
            Ok(_) => Ok(()),
            Err(error) => Err(refusal_of(Topic::Receipts, b"marks", &error)),
        }
    }
}

impl Inner {
    /// Measures an append and remembers whether its topic takes any.
    fn noted(&self, topic: Topic, began: Duration, was_taken: bool) {
        let now = self.runtime.elapsed();
        metrics::appended(topic, now.saturating_sub(began));
        self.failures.note(topic, !was_taken, now);
    }
}

/// Appends a command and answers when it is durable.
fn append(
    inner: Arc<Inner>,
    name: &'static str,
    ready: Ready,
) -> impl Future<Output = Result<Receipt, Refusal>> + Send + 'static {
    let Ready {
        topic,
        partition,
        record,
        receipt,
    } = ready;
    async move {
        let began = inner.runtime.elapsed();
        let key = record.key.clone();
        let appended = inner.log.append(topic, partition, vec![record]).await;
        inner.noted(topic, began, appended.is_ok());
        let answer = match appended {
            Ok(offset) => {
                let span = tracing::Span::current();
                span.record("topic", topic.name());
                span.record("partition", partition.0)
                    .record("offset", offset.0);
                tracing::trace!(%topic, %partition, %offset, key = %key.escape_ascii(), "appended");
                Ok(receipt)
            }
            Err(error) => Err(refusal_of(topic, &key, &error)),
        };
        metrics::answered(name, answer.as_ref().err().map(|refusal| refusal.code));
        answer
    }
}

fn key_of(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

/// The chat of a mark, and its record.
fn marked(event: ReceiptEvent) -> Result<(ChatId, NewRecord), Refusal> {
    let value = encoded(&event)?;
    let ReceiptEvent::Mark(mark) = event;
    let record = NewRecord {
        key: key_of(mark.chat.as_str()),
        value,
        at: mark.at,
    };
    Ok((mark.chat, record))
}

fn encoded(event: &impl LogEvent) -> Result<Bytes, Refusal> {
    event.encode().map_err(|error| {
        // Every field was checked, so this is a defect of ours.
        tracing::error!(%error, "a checked event cannot be encoded");
        Refusal::plain(Code::Internal)
    })
}

/// What a client is told when the log does not take a record. Whoever must act is told too.
fn refusal_of(topic: Topic, key: &[u8], error: &LogError) -> Refusal {
    let code = match error {
        LogError::Full(_) => Code::LogFull,
        LogError::Unavailable(_) | LogError::Poisoned(_) => Code::Unavailable,
        LogError::Closed => Code::ShuttingDown,
        LogError::TooLarge { .. } => Code::FrameTooLarge,
        LogError::UnknownTopic(_)
        | LogError::UnknownPartition(..)
        | LogError::OutOfRange { .. }
        | LogError::Damaged { .. } => Code::Internal,
        // An error of a later log: as every other that nobody can explain to a client.
        _ => Code::Internal,
    };
    if code == Code::Internal {
        tracing::error!(%topic, key = %key.escape_ascii(), %error, "the log refused a record");
    } else if code != Code::ShuttingDown {
        tracing::warn!(%topic, key = %key.escape_ascii(), %error, "the log does not take a record");
    }
    Refusal::plain(code)
}

#[cfg(test)]
mod tests;
