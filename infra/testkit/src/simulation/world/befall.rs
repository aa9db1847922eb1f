//! What befalls the world: power cuts, zombies, weather, clocks, retention.

use std::sync::Arc;
use std::time::Duration;

use infra_ports::memory::{Deaf, NoFaults};
use infra_ports::{EventLog, TableStore};
use projectors::Share;
use schemas::position::Partition;
use schemas::topics::Topic;

use super::super::at_once;
use super::super::membership::Brokers;
use super::super::plan::Event;
use super::super::server::start_projectors;
use super::{GUEST, World};

/// How long an operator needs to start everything again after a failed fsync.
const OPERATOR: Duration = Duration::from_secs(5);

impl World {
    /// Something happens.
    pub(super) fn befall(&mut self, event: Event) {
        match event {
            Event::Kill(place) => {
                self.crashes += 1;
                self.kill(place);
            }
            Event::Restart(place) => self.take_down(place),
            Event::PowerCut => self.power_cut(),
            Event::Zombie => self.boot_guest(&Share::everything()),
            Event::ZombieEnds => self.end_guest(),
            Event::Joins(true) => self.boot_guest(&self.share(GUEST)),
            Event::Joins(false) => {
                let brokers = Brokers::reached(&self.brokers, self.exposed(GUEST));
                self.boot_guest(&Share::of(Arc::new(Deaf(brokers))));
            }
            Event::Leaves => drop(self.guest.take()),
            Event::GivenUp => {
                self.disturbed = true;
                self.brokers.give_up();
            }
            Event::DiskFull(on) => self.weather.set(|w| &w.disk_full, on),
            Event::StoreDown(on) => self.weather.set(|w| &w.store_down, on),
            Event::LogDown(on) => self.weather.set(|w| &w.log_down, on),
            Event::FsyncFails => self.fsync_fails(),
            Event::ClockJump(place, ms) => {
                if let Some(server) = self.servers.get(place) {
                    self.executor.jump_wall_clock(server.node, ms);
                }
            }
            Event::Retention => self.drop_told(),
        }
    }

    /// Everything that is on goes off, and what was not synced may be lost.
    pub(super) fn power_cut(&mut self) {
        self.tell("the power fails");
        self.crashes += 1;
        let first = self.servers.first().map_or(GUEST, |server| server.node);
        let faults = Arc::new(self.exposed(first));
        self.log.reopen(faults.clone()).crash();
        self.store.reopen(faults).crash();
        self.end_guest();
        for place in 0..self.servers.len() {
            self.kill(place);
        }
        self.reopen();
    }

    fn boot_guest(&mut self, share: &Share) {
        self.end_guest();
        self.disturbed = true;
        let ports = self.ports(GUEST);
        self.guest = Some(start_projectors(&ports, &self.shape, share));
    }

    /// Ends the further instance of the projectors where it stands. What it told and nobody waits for any
    /// more becomes durable in time, as in any log that outlives those who write to it.
    pub(super) fn end_guest(&mut self) {
        self.executor.kill(GUEST);
        if self.guest.take().is_some() {
            // A log that has just crashed has nothing left to make durable.
            let log = self.log.reopen(Arc::new(NoFaults));
            at_once(log.sync(Topic::Users)).ok();
        }
    }

    /// No node may write any more; each is started again when somebody comes to it, and the first to
    /// open the log makes durable what it finds.
    fn fsync_fails(&mut self) {
        self.log.poison();
        self.weather.turns_bad();
        let moment = self.executor.elapsed() + OPERATOR;
        for server in &mut self.servers {
            server.boots_at = Some(moment);
        }
    }

    /// Drops what every projection that may need it again has applied durably.
    fn drop_told(&mut self) {
        self.note_refusals();
        at_once(self.store.sync()).ok();
        for partition in (0..self.shape.partitions).map(Partition) {
            let most = self.applied("inbox", partition).unwrap_or_default();
            self.log.drop_before(Topic::Users, partition, most).ok();
        }
    }
}
