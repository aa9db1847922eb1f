//! Refusals as they were told through `users`. An app that is killed never hears some of them, and a
//! refused command is not lost.

use std::collections::BTreeMap;

use infra_ports::{EventLog, Visibility};
use schemas::avro::LogEvent;
use schemas::errors::Code;
use schemas::events::{UserEvent, VerdictTold};
use schemas::ids::{ChatId, ClientId};
use schemas::position::Partition;
use schemas::topics::Topic;

use super::super::at_once;
use super::World;
use crate::checker::{Endpoint, Observation};

/// Commands that were refused, with their reason.
pub(super) type Refusals = BTreeMap<(Endpoint, ChatId, ClientId), Code>;

impl World {
    /// Notes what was told so far; to be done before anything of it is dropped.
    pub(super) fn note_refusals(&mut self) {
        for partition in (0..self.shape.partitions).map(Partition) {
            let visible = Visibility::Appended;
            let Ok(ends) = at_once(self.log.positions(Topic::Users, partition)) else {
                continue;
            };
            let records = self
                .log
                .read(Topic::Users, partition, ends.first, usize::MAX, visible);
            for record in at_once(records).unwrap_or_default() {
                if let Ok(UserEvent::VerdictTold(told)) = UserEvent::decode(&record.value) {
                    self.refused.extend(refusal(told));
                }
            }
        }
    }

    /// What a device saw, and what it was told while its app was down.
    pub(super) fn seen_by(&self, device: &super::Device) -> Vec<Observation> {
        let mut seen = device.recorder.observations();
        let of = |((endpoint, chat, client_id), code): (&(Endpoint, ChatId, ClientId), &Code)| {
            (*endpoint == device.endpoint).then(|| Observation::Refused {
                chat: chat.clone(),
                client_id: client_id.clone(),
                code: *code,
            })
        };
        seen.extend(self.refused.iter().filter_map(of));
        seen
    }
}

fn refusal(told: VerdictTold) -> Option<((Endpoint, ChatId, ClientId), Code)> {
    let code = Code::parse(told.code.as_deref()?)?;
    let author = told.recipients.into_iter().next()?;
    Some((((author, told.device), told.chat, told.client_id), code))
}
