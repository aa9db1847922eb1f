//! Zombies for tests: members of a group that go on with what others were given.

use std::sync::Arc;

use async_trait::async_trait;
use schemas::position::{Offset, Partition};
use schemas::topics::Topic;

use crate::groups::{Change, ConsumerGroups, GroupError, GroupMember};

/// Groups around others, whose members do not hear what they lose: they go on with what others have
/// by then.
pub struct Deaf(pub Arc<dyn ConsumerGroups>);

struct DeafMember(Arc<dyn GroupMember>);

#[async_trait]
impl ConsumerGroups for Deaf {
    async fn join(&self, group: &str, topic: Topic) -> Result<Arc<dyn GroupMember>, GroupError> {
        Ok(Arc::new(DeafMember(self.0.join(group, topic).await?)))
    }
}

#[async_trait]
impl GroupMember for DeafMember {
    async fn change(&self) -> Result<Change, GroupError> {
        match self.0.change().await {
            Ok(Change::Given(given)) => Ok(Change::Given(given)),
            // The group has given up waiting for it, and it does not know.
            Ok(Change::Taken(_) | Change::Lost(_)) | Err(_) => {
                self.0.leave().await?;
                std::future::pending().await
            }
        }
    }

    async fn release(&self, partitions: &[Partition]) -> Result<(), GroupError> {
        self.0.release(partitions).await
    }

    async fn commit(&self, next: &[(Partition, Offset)]) -> Result<(), GroupError> {
        self.0.commit(next).await
    }

    async fn committed(&self, partition: Partition) -> Result<Option<Offset>, GroupError> {
        self.0.committed(partition).await
    }

    async fn leave(&self) -> Result<(), GroupError> {
        self.0.leave().await
    }
}
