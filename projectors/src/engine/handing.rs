//! How an instance hands what it folded to its writer, once all that follows from it is told, and what it
//! does when that is written.

use super::emitting::Appended;
use super::instance::Instance;
use super::projection::Projection;
use super::remember::{Done, Job};
use super::stop::Stop;

impl<P: Projection> Instance<P> {
    /// Hands what has gathered to the writer, when all of it is told.
    pub(super) async fn submit(&mut self) -> Result<(), Stop> {
        let (number, memory) = self.folding.hand_over();
        let job = Job {
            number,
            emitted: std::mem::take(&mut self.place.emitted),
            memory,
            next: std::mem::take(&mut self.place.moved).into_iter().collect(),
        };
        self.counts.cached(self.folding.cached());
        self.place.submitted = (
            std::mem::take(&mut self.place.gathered),
            self.runtime.elapsed(),
        );
        self.place.under_way = true;
        self.place.waiting = Some((self.emitting.chunk(), job));
        self.hand_on().await
    }

    /// Emit, then remember: the job that waits goes to the writer when what it told is appended.
    async fn hand_on(&mut self) -> Result<(), Stop> {
        let told = |(chunk, _): &mut (u64, Job)| self.emitting.has_told(*chunk);
        let Some((_, job)) = self.place.waiting.take_if(told) else {
            return Ok(());
        };
        let sent = self.jobs.send(job).await;
        sent.map_err(|_| Stop::Broken("the writer has ended".into()))
    }

    /// Something was appended to `users`.
    pub(super) async fn appended(&mut self, appended: Appended) -> Result<(), Stop> {
        self.counts.emitted(appended.records, appended.took);
        self.say_what_is_told();
        self.hand_on().await
    }

    /// Tells others how far users are told what follows.
    pub(super) fn say_what_is_told(&mut self) {
        for (partition, next) in self.emitting.told() {
            self.board.folded(partition, next);
        }
    }

    pub(super) fn remembered(&mut self, done: Option<Result<Done, Stop>>) -> Result<(), Stop> {
        let done = done.ok_or_else(|| Stop::Broken("the writer has ended".into()))??;
        self.place.under_way = false;
        let (records, begun) = self.place.submitted;
        let took = self.runtime.elapsed().saturating_sub(begun);
        self.counts.remembered(records, took);
        self.folding.written(done.number);
        for (partition, next) in done.next {
            self.place.written.insert(partition, next);
            self.board.applied(partition, next);
        }
        Ok(())
    }

    /// What the writer has is remembered; what gathered since is not handed over.
    pub(super) async fn wait_for_the_writer(&mut self) -> Result<(), Stop> {
        while self.place.under_way {
            tokio::select! {
                biased;
                done = self.done.recv(), if self.place.waiting.is_none() => self.remembered(done)?,
                appended = self.emitting.appended(), if self.emitting.is_busy() => {
                    self.appended(appended?).await?;
                }
            }
        }
        Ok(())
    }

    /// Everything folded is remembered before the loop ends or lets go of partitions.
    pub(super) async fn finish(&mut self) -> Result<(), Stop> {
        self.wait_for_the_writer().await?;
        while self.place.gathered > 0 {
            self.submit().await?;
            self.wait_for_the_writer().await?;
        }
        Ok(())
    }
}
