//! Coming to rest: no more faults; soon everybody has everything, and nothing is wrong anywhere.

use std::time::Duration;

use infra_ports::EventLog;
use infra_ports::memory::runtime::{ChoiceKey, Kind};
use projectors::{Health, PROJECTIONS, generations, origin, rebuild};
use schemas::position::{Generation, Offset, Partition};

use super::super::server::Server;
use super::super::truth::{self, Truth};
use super::super::{Failure, at_once};
use super::World;
use crate::checker::{self, Violation};

/// In this time after the last fault everything is delivered, settled and applied: a silent
/// connection is given up after 45 s, a long pause between two attempts takes 10 s.
const NOBODY_FORGOTTEN_WITHIN: Duration = Duration::from_secs(120);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

impl World {
    /// Ends all trouble, lets everything come to rest and checks it, then lets trouble begin again.
    ///
    /// # Errors
    /// What is not well after that time.
    pub(in super::super) fn rest(&mut self) -> Result<(), Failure> {
        self.tell("everything comes to rest");
        self.executor.choices().set_calm(true);
        self.weather.clear();
        self.end_guest();
        let until = self.executor.elapsed() + NOBODY_FORGOTTEN_WITHIN;
        let mut wrong = vec!["nobody looked".to_owned()];
        while self.executor.elapsed() < until && !wrong.is_empty() {
            self.run_until(self.executor.elapsed() + LOOK_AGAIN)?;
            wrong = self.moving();
            if wrong.is_empty() {
                wrong = self.history_against_truth()?;
            }
        }
        if !wrong.is_empty() {
            return Err(Failure::Broken(wrong));
        }
        self.tables_are_the_fold_of_the_log()?;
        self.executor.choices().set_calm(false);
        Ok(())
    }

    /// What has not come to rest.
    fn moving(&self) -> Vec<String> {
        let unsettled = self.devices.iter().filter(|device| !device.is_settled());
        let mut moving: Vec<String> = unsettled.map(|device| device.stands()).collect();
        for (place, server) in self.servers.iter().enumerate() {
            let running = server.running.lock();
            let Some(running) = &*running else {
                moving.push(format!("server {place} is down"));
                continue;
            };
            let statuses = running.projectors.iter().flat_map(|p| p.statuses());
            for status in statuses {
                if let Health::Stopped(stop) = status.health() {
                    moving.push(format!("{} stopped: {stop}", status.name()));
                }
            }
        }
        moving.extend(PROJECTIONS.iter().filter_map(|name| self.lag(name)));
        moving
    }

    fn lag(&self, projection: &str) -> Option<String> {
        let topic = origin(projection)?;
        let lag_in = |partition| {
            let ends = at_once(self.log.positions(topic, partition)).ok()?;
            let applied = self.applied(projection, partition);
            (applied < Some(ends.end)).then(|| {
                let (durable, end) = (ends.durable_end, ends.end);
                let at = applied.map_or_else(|| "nowhere".to_owned(), |at| at.to_string());
                format!("{projection} has not applied all of {partition}: it is at {at} of {durable} durable and {end} in all")
            })
        };
        (0..self.shape.partitions).map(Partition).find_map(lag_in)
    }

    /// How far a projection is, as the server says that has the partition now.
    pub(super) fn applied(&self, projection: &str, partition: Partition) -> Option<Offset> {
        let of_one = |server: &Server| {
            let running = server.running.lock();
            let status = running.as_ref()?.projectors.as_ref()?.status(projection)?;
            status.applied(partition)
        };
        self.servers.iter().filter_map(of_one).max()
    }

    fn history_against_truth(&mut self) -> Result<Vec<String>, Failure> {
        self.note_refusals();
        let Truth { chats, mut wrong } = truth::read(&self.store, &self.shape)?;
        let seen = |device: &std::sync::Arc<super::Device>| {
            (device.endpoint.clone(), self.seen_by(device))
        };
        let history = checker::History {
            devices: self.devices.iter().map(seen).collect(),
            chats,
        };
        let violations = checker::check(&history);
        let in_order = self.every_append_was_taken();
        let counts = |v: &&Violation| in_order || !matches!(v, Violation::Overtaken { .. });
        wrong.extend(violations.iter().filter(counts).map(ToString::to_string));
        let undisturbed = self.no_projector_began_again();
        wrong.extend(self.witness.wrong_news(&history.chats, undisturbed));
        Ok(wrong)
    }

    /// True while nothing made a projector read again what it had told of, and no frame came twice.
    fn no_projector_began_again(&self) -> bool {
        let choices = self.executor.choices();
        let of_ports = |site: &str| {
            let of = ["log.", "store.", "group.", "line.down.twice"];
            of.iter().any(|of| site.starts_with(of))
        };
        let failed = |key: &ChoiceKey| key.kind == Kind::Effect && of_ports(key.site);
        let failed = choices.made().keys().any(failed);
        !failed && !self.disturbed && !self.weather.was_bad()
    }

    /// True while no append was refused: then a device's commands keep their order.
    fn every_append_was_taken(&self) -> bool {
        let choices = self.executor.choices();
        let refused = choices.made().keys().any(|key| key.site == "log.append");
        !refused && !self.weather.was_bad()
    }

    /// Builds all tables again from the log, and compares them row by row.
    fn tables_are_the_fold_of_the_log(&mut self) -> Result<(), Failure> {
        let build = Generation(self.next_build);
        self.next_build += 1;
        let ports = projectors::Ports {
            log: std::sync::Arc::new(self.log.clone()),
            store: std::sync::Arc::new(self.store.clone()),
            runtime: std::sync::Arc::new(self.executor.runtime(super::GUEST)),
        };
        let stopped = |stop: projectors::Stop| Failure::Broken(vec![format!("rebuild: {stop}")]);
        let config = projectors::Config::default();
        let built = async move { rebuild::rebuild(&ports, &config, build).await };
        let built = self.executor.block_on(super::GUEST, built);
        let halted = |halt| Failure::Broken(vec![format!("rebuild: {halt:?}")]);
        built.map_err(halted)?.map_err(stopped)?;
        let failed = |error: infra_ports::StoreError| Failure::Broken(vec![error.to_string()]);
        let compared = at_once(rebuild::compare(&self.store, generations::FIRST, build));
        let differ = compared
            .map_err(failed)?
            .into_iter()
            .filter(|c| !c.is_equal());
        let differ: Vec<String> = differ
            .map(|c| format!("table {} is not the fold of the log", c.table))
            .collect();
        at_once(rebuild::discard(&self.store, build)).map_err(failed)?;
        match differ.is_empty() {
            true => Ok(()),
            false => Err(Failure::Broken(differ)),
        }
    }
}
