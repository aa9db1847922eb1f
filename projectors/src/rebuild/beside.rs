//! What a rebuild does at the same time: work on threads of its own that ends when nobody waits for
//! it any more, and the inbox fold, fed by the chats fold.

use infra_ports::{Runtime, runtime::BoxFuture};
use schemas::events::ChatEvent;
use schemas::position::{Offset, Partition};
use tokio::sync::{mpsc, oneshot};

use super::build::Build;
use crate::engine::Ports;
use crate::engine::chunk::{Chunk, Decoded};
use crate::engine::projection::Entry;
use crate::engine::stop::Stop;
use crate::inbox::Inbox;
use crate::inbox::fold::News;

/// Chunks of news that wait for the inbox fold.
const WAITING_CHUNKS: usize = 4;

/// Something under way elsewhere.
pub(super) struct Beside<T>(oneshot::Receiver<Result<T, Stop>>);

impl<T> Beside<T> {
    /// Waits for it.
    pub(super) async fn done(self) -> Result<T, Stop> {
        let gone = |_| Stop::Broken("a part of the rebuild ended without a word".into());
        self.0.await.map_err(gone)?
    }
}

/// Starts work on a thread of its own. It is dropped at an await when its answer is not wanted.
pub(super) fn spawn<T: Send + 'static>(
    runtime: &dyn Runtime,
    name: &'static str,
    work: impl Future<Output = Result<T, Stop>> + Send + 'static,
) -> Beside<T> {
    let (mut answer, wanted) = oneshot::channel();
    let task: BoxFuture<'static, ()> = Box::pin(async move {
        let outcome = tokio::select! {
            biased;
            () = answer.closed() => return,
            outcome = work => outcome,
        };
        // Nobody may want it any more.
        drop(answer.send(outcome));
    });
    runtime.spawn_dedicated(name, task);
    Beside(wanted)
}

/// What the inbox fold is told to do.
enum Order {
    Fold(Vec<News>),
    Write(oneshot::Sender<()>),
    NextPass,
    End(Vec<(Partition, Offset)>),
}

/// The inbox fold on a thread of its own.
pub(super) struct InboxBeside {
    orders: mpsc::Sender<Order>,
    end: Beside<()>,
}

impl InboxBeside {
    /// Starts it. `from_the_first` says that it will be told of every event there ever was.
    pub(super) async fn start(
        ports: &Ports,
        mut build: Build<Inbox>,
        from_the_first: bool,
    ) -> Result<Self, Stop> {
        if from_the_first {
            build.folding.expect_nothing().await?;
        }
        let (orders, incoming) = mpsc::channel(WAITING_CHUNKS);
        let end = spawn(
            ports.runtime.as_ref(),
            "rebuild",
            carry_out(build, incoming),
        );
        Ok(Self { orders, end })
    }

    /// Hands over what the chats fold tells of a chunk.
    pub(super) async fn tell(
        &mut self,
        entries: Vec<Entry>,
        chunk: &Chunk<ChatEvent>,
    ) -> Result<(), Stop> {
        let mut records = chunk.records.iter();
        let mut news = Vec::with_capacity(entries.len());
        for entry in entries {
            // Entries come in the order of their records, at most one of each.
            let is_its = |one: &&Decoded<ChatEvent>| {
                one.partition == entry.partition && one.record.offset == entry.origin
            };
            let record = records.by_ref().find(is_its);
            let record = record.ok_or_else(|| Stop::Broken("an entry of no record".into()))?;
            news.push(News::of(entry, &record.event));
        }
        self.order(Order::Fold(news)).await
    }

    /// Has everything written that it was told; the answer is for [`Self::written`].
    pub(super) async fn write(&mut self) -> Result<oneshot::Receiver<()>, Stop> {
        let (answer, wanted) = oneshot::channel();
        self.order(Order::Write(answer)).await?;
        Ok(wanted)
    }

    /// Waits until it is written.
    pub(super) async fn written(&mut self, wanted: oneshot::Receiver<()>) -> Result<(), Stop> {
        match wanted.await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_it_ended().await),
        }
    }

    /// What is told from now on is of other chats. All it was told before must be written.
    pub(super) async fn next_pass(&mut self) -> Result<(), Stop> {
        self.order(Order::NextPass).await
    }

    /// Writes the rest and this checkpoint.
    pub(super) async fn end(self, next: Vec<(Partition, Offset)>) -> Result<(), Stop> {
        // When it has ended already, it says why.
        drop(self.orders.send(Order::End(next)).await);
        self.end.done().await
    }

    async fn order(&mut self, order: Order) -> Result<(), Stop> {
        match self.orders.send(order).await {
            Ok(()) => Ok(()),
            Err(_) => Err(self.why_it_ended().await),
        }
    }

    async fn why_it_ended(&mut self) -> Stop {
        match (&mut self.end.0).await {
            Ok(Err(stop)) => stop,
            Ok(Ok(())) | Err(_) => Stop::Broken("the inbox fold has ended".into()),
        }
    }
}

async fn carry_out(mut build: Build<Inbox>, mut orders: mpsc::Receiver<Order>) -> Result<(), Stop> {
    while let Some(order) = orders.recv().await {
        match order {
            Order::Fold(news) => {
                build.fold(&chunk_of(news)).await?;
                // Rows ahead of the states of chats do no harm.
                if build.is_full() {
                    build.write(Vec::new()).await?;
                }
            }
            Order::Write(answer) => {
                build.write(Vec::new()).await?;
                // Who asked may be gone; then so are the orders.
                let _nobody_waits = answer.send(()).is_err();
            }
            Order::NextPass => build.folding.next_pass(),
            Order::End(next) => return build.write(next).await,
        }
    }
    Ok(())
}

fn chunk_of(news: Vec<News>) -> Chunk<Option<News>> {
    let decoded = |news: News| Decoded::of_no_record(Some(news));
    let records: Vec<_> = news.into_iter().map(decoded).collect();
    Chunk {
        count: records.len(),
        records,
        dead: Vec::new(),
        next: Vec::new(),
        stop: None,
    }
}
