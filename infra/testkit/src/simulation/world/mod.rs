//! The world: disks, servers and devices on one seeded executor, and everything that befalls them.

mod befall;
mod refusals;
mod rest;
mod servers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use infra_ports::memory::runtime::{Choices, Kind, Node};
use infra_ports::memory::{Executor, Halt, MemoryLog, MemoryStore, NoFaults};
use infra_ports::{EventLog, TableStore};
use projectors::{Projectors, Share};
use schemas::topics::TOPICS;

use self::refusals::Refusals;
use super::acts::{Doing, doing};
use super::device::Device;
use super::membership::Brokers;
use super::network::Network;
use super::plan::{Act, Action, Deed, Shape};
use super::server::{Ports, Server};
use super::weather::{Exposed, Weather};
use super::witness::Witness;
use super::{Failure, at_once, cast};
use crate::flaws::break_rule;

/// Steps of a whole run: about ten times what the longest sound one takes.
const STEPS: u64 = 6_000_000;
/// How often servers are looked after.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The node of a further instance of the projectors.
const GUEST: Node = Node(9);
/// The node of the first device.
const DEVICES: u8 = 20;

/// A running world.
pub(super) struct World {
    pub(super) executor: Executor,
    pub(super) shape: Shape,
    /// A handle without faults.
    pub(super) log: MemoryLog,
    /// A handle without faults.
    pub(super) store: MemoryStore,
    pub(super) network: Arc<Network>,
    pub(super) witness: Arc<Witness>,
    pub(super) devices: Vec<Arc<Device>>,
    pub(super) servers: Vec<Server>,
    pub(super) crashes: u32,
    /// A projector was ended in the middle of its work, or had another one beside it.
    disturbed: bool,
    /// The build that the next comparison makes.
    pub(super) next_build: u32,
    weather: Arc<Weather>,
    brokers: Arc<Brokers>,
    /// A further instance of the projectors, that nobody serves with.
    guest: Option<Projectors>,
    launches: BTreeMap<usize, Duration>,
    refused: Refusals,
}

impl World {
    /// A world with everything started, which decides as the choices say.
    pub(super) fn new(shape: &Shape, choices: Choices, keeps_a_trace: bool) -> Self {
        let mut executor = Executor::with_choices(choices);
        executor.set_step_budget(STEPS);
        let log = MemoryLog::new(shape.partitions);
        let topics: Vec<_> = TOPICS.iter().map(|spec| spec.topic).collect();
        at_once(log.create_topics(&topics)).ok();
        let network = Network::new(shape);
        let witness = Witness::new(log.clone(), keeps_a_trace);
        let mut world = Self {
            executor,
            shape: shape.clone(),
            log,
            store: MemoryStore::new(),
            devices: Vec::new(),
            servers: Server::all(shape),
            crashes: 0,
            disturbed: false,
            next_build: 2,
            weather: Arc::default(),
            brokers: Brokers::new(shape.partitions),
            guest: None,
            launches: BTreeMap::new(),
            refused: Refusals::new(),
            network,
            witness,
        };
        for place in 0..world.servers.len() {
            world.boot(place);
        }
        for (node, endpoint) in (DEVICES..).zip(cast::endpoints(shape.users)) {
            let (network, witness) = (Arc::clone(&world.network), Arc::clone(&world.witness));
            let device = Device::new(Node(node), endpoint, network, witness);
            world.devices.push(device);
            world.launch(world.devices.len() - 1);
        }
        world
    }

    /// Goes on to an action and carries it out.
    ///
    /// # Errors
    /// What went wrong before it.
    pub(super) fn come_to(&mut self, action: &Action) -> Result<(), Failure> {
        self.run_until(action.at)?;
        self.tell(&format!("#{} {:?}", action.number, action.deed));
        match &action.deed {
            Deed::Person(device, act) => self.act(*device, act, action.number),
            Deed::World(event) => self.befall(*event),
            Deed::Rest => return self.rest(),
        }
        Ok(())
    }

    fn act(&mut self, place: usize, act: &Act, number: usize) {
        let Some(device) = self.devices.get(place).map(Arc::clone) else {
            return;
        };
        match doing(&device, act, number) {
            Doing::Wish(wish) => device.wish(wish),
            Doing::Cut => device.cut(),
            Doing::Silence => device.silence(),
            Doing::Doze(pause) => device.doze(self.executor.elapsed() + pause),
            Doing::Relaunch => {
                self.executor.kill(device.node);
                device.killed();
                let again = self.executor.elapsed() + Duration::from_millis(300);
                self.launches.insert(place, again);
            }
        }
    }

    fn launch(&mut self, place: usize) {
        self.launches.remove(&place);
        if let Some(device) = self.devices.get(place) {
            let runtime = self.executor.runtime(device.node);
            let faults = self.executor.faults(device.node);
            device.launch(runtime, faults, &self.shape);
        }
    }

    /// Lets time pass, with crashes as they come.
    ///
    /// # Errors
    /// A promise that was seen broken, a task that panicked, or steps that are used up.
    pub(super) fn run_until(&mut self, moment: Duration) -> Result<(), Failure> {
        while self.executor.elapsed() < moment {
            let left = moment.saturating_sub(self.executor.elapsed());
            match self.executor.run_for(left.min(LOOK_EVERY)) {
                Halt::Done | Halt::Idle => {}
                Halt::Crashed(node, site) => self.crashed(node, site),
                Halt::BudgetSpent => return Err(Failure::StepsUsedUp),
            }
            self.look_after();
            self.judge()?;
        }
        Ok(())
    }

    fn judge(&self) -> Result<(), Failure> {
        let wrong = self.witness.wrong();
        if !wrong.is_empty() {
            return Err(Failure::Broken(wrong));
        }
        match self.executor.panics() {
            [] => Ok(()),
            panics => Err(Failure::Panicked(format!("{panics:?}"))),
        }
    }

    fn crashed(&mut self, node: Node, site: &'static str) {
        self.crashes += 1;
        self.tell(&format!("{node:?} crashed at {site}"));
        if node.0 >= DEVICES {
            let place = usize::from(node.0 - DEVICES);
            if let Some(device) = self.devices.get(place) {
                device.killed();
            }
            let again = self.executor.elapsed() + self.pause("device.down");
            self.launches.insert(place, again);
        } else if self.choose("crash.power", 4) == 1 {
            self.power_cut();
        } else if node == GUEST {
            self.end_guest();
        } else if let Some(place) = self.servers.iter().position(|s| s.node == node) {
            self.kill(place);
        }
    }

    /// Starts what is to be started again.
    fn look_after(&mut self) {
        let now = self.executor.elapsed();
        let due = self.launches.iter().filter(|(_, at)| **at <= now);
        let due: Vec<usize> = due.map(|(place, _)| *place).collect();
        due.into_iter().for_each(|place| self.launch(place));
        self.look_after_servers();
        self.brokers.look_after(now);
    }

    /// A pause before something is started again: short, unless the run chooses otherwise.
    fn pause(&self, site: &'static str) -> Duration {
        let pauses_ms = [50, 10, 500, 3_000, 12_000];
        let chosen = self.choose(site, 5);
        let chosen = usize::try_from(chosen).unwrap_or(0);
        Duration::from_millis(pauses_ms.get(chosen).copied().unwrap_or(50))
    }

    /// A choice of the world's own.
    fn choose(&self, site: &'static str, options: u32) -> u32 {
        let mut choices = self.executor.choices();
        choices.choose(Kind::Effect, site, Node(0), options)
    }

    /// Handles of a node's own.
    fn ports(&self, node: Node) -> Ports {
        let faults = Arc::new(self.exposed(node));
        let runtime = self.executor.runtime(node);
        let log: Arc<dyn EventLog> = Arc::new(self.log.reopen(faults.clone()));
        let store: Arc<dyn TableStore> = Arc::new(self.store.reopen(faults));
        let (log, store) = match self.shape.flaw {
            Some(flaw) => break_rule(flaw, log, store, Arc::new(runtime.clone())),
            None => (log, store),
        };
        Ports {
            log,
            store,
            runtime,
        }
    }

    /// What the projectors of a process have: everything, or what groups give them.
    fn share(&self, node: Node) -> Share {
        match self.shape.is_shared() {
            true => Share::of(Brokers::reached(&self.brokers, self.exposed(node))),
            false => Share::everything(),
        }
    }

    fn exposed(&self, node: Node) -> Exposed {
        Exposed {
            faults: self.executor.faults(node),
            weather: Arc::clone(&self.weather),
        }
    }

    /// Opens the disks again after they have crashed.
    fn reopen(&mut self) {
        self.log = self.log.reopen(Arc::new(NoFaults));
        self.store = self.store.reopen(Arc::new(NoFaults));
        self.witness.look_at(self.log.clone());
    }

    pub(super) fn tell(&self, line: &str) {
        self.witness.tell(self.executor.elapsed(), line);
    }
}
