//! What one message to the largest group costs the topic `users`: one record a destination
//! partition, whatever the number of members.

use bytes::Bytes;
use infra_log_embedded::EmbeddedLog;
use infra_ports::EventLog;
use infra_ports::log::NewRecord;
use projectors::Config;
use schemas::avro::LogEvent;
use schemas::events::{Body, ChatCreated, ChatEvent, MessageSent, Origin, RULES};
use schemas::ids::{ChatId, ClientId, DeviceId, UserId};
use schemas::position::{Partition, Timestamp};
use schemas::topics::{Topic, partition_of};

use super::ground::{Ground, LIVE, Place};
use crate::figure::{Figure, Goal};

/// Members of the largest group.
const MEMBERS: usize = 1_024;

/// Sends one message to a group of 1,024 and counts what follows.
pub(super) async fn measure(ground: &Ground) -> anyhow::Result<Option<Figure>> {
    ground.say("one message to 1,024 members");
    let folder = ground.folder()?;
    let place = Place::open(folder.path()).await?;
    let projectors = projectors::start(
        &place.ports(),
        &Config::default(),
        LIVE,
        &projectors::Share::everything(),
    );
    append(&place.log, &created()?).await?;
    projectors.apply_all(place.log.as_ref()).await?;
    let before = told(&place.log).await?;
    append(&place.log, &message()?).await?;
    projectors.apply_all(place.log.as_ref()).await?;
    let records = told(&place.log).await? - before;
    projectors.stop().await?;
    let partitions = f64::from(place.log.partitions());
    place.close().await?;
    anyhow::ensure!(records > 0, "nobody was told of the message");
    #[expect(clippy::cast_precision_loss, reason = "a count of records")]
    let run = (records as f64, partitions);
    Ok(Figure::against_raw(
        "`users` records for one message to 1,024 members, against the number of partitions",
        "records",
        &[run],
        Some(Goal::AtMost(1.0)),
    ))
}

async fn append(log: &EmbeddedLog, event: &ChatEvent) -> anyhow::Result<()> {
    let key = Bytes::copy_from_slice(event.origin().chat.as_str().as_bytes());
    let partition = partition_of(&key, log.partitions());
    let record = NewRecord {
        key,
        value: event.encode()?,
        at: Timestamp(1),
    };
    log.append(Topic::Chats, partition, vec![record]).await?;
    Ok(())
}

/// Records in `users`.
async fn told(log: &EmbeddedLog) -> anyhow::Result<u64> {
    let mut records = 0;
    for partition in (0..log.partitions()).map(Partition) {
        records += log.positions(Topic::Users, partition).await?.end.0;
    }
    Ok(records)
}

fn origin(client: &str) -> anyhow::Result<Origin> {
    let (author, device) = (UserId::new("m0")?, DeviceId::new("phone")?);
    Ok(Origin {
        chat: ChatId::group(&author, &device, &ClientId::new("group")?),
        author,
        device,
        client_id: ClientId::new(client)?,
        at: Timestamp(1),
        rules: RULES,
    })
}

fn created() -> anyhow::Result<ChatEvent> {
    let others = (1..MEMBERS).map(|n| UserId::new(format!("m{n}")));
    Ok(ChatEvent::ChatCreated(ChatCreated {
        origin: origin("group")?,
        title: "all".to_owned(),
        description: String::new(),
        members: others.collect::<Result<_, _>>()?,
        max_members: u32::try_from(MEMBERS)?,
    }))
}

fn message() -> anyhow::Result<ChatEvent> {
    Ok(ChatEvent::MessageSent(MessageSent {
        origin: origin("message")?,
        body: Body::text("to all of you"),
        reply_to: None,
    }))
}
