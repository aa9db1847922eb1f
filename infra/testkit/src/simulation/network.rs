//! The network: who can be dialed, and how a device comes to a gateway.

use std::sync::Arc;

use cursus_client::Lost;
use delivery::Delivery;
use infra_ports::memory::runtime::Node;
use infra_ports::memory::transport::{Socket, pair};
use infra_ports::memory::{Faults, SimFaults, SimRuntime};
use infra_ports::{BoxFuture, Runtime};
use ingest::Keys;
use parking_lot::Mutex;
use schemas::errors::close;

use super::device::Device;
use super::line::Line;
use super::plan::Shape;

/// A connection being opened.
pub(super) type Dialing = BoxFuture<'static, Result<Line, Lost>>;

/// A gateway that can be dialed.
#[derive(Clone)]
pub(super) struct Gate {
    pub(super) node: Node,
    pub(super) delivery: Delivery,
    pub(super) runtime: SimRuntime,
    pub(super) faults: Arc<dyn Faults>,
}

/// Everything between devices and gateways.
pub(super) struct Network {
    keys: Keys,
    shape: Shape,
    gates: Mutex<Vec<Gate>>,
    graveyard: Arc<Mutex<Vec<Line>>>,
}

impl Network {
    pub(super) fn new(shape: &Shape) -> Arc<Self> {
        Arc::new(Self {
            keys: keys(),
            shape: shape.clone(),
            gates: Mutex::default(),
            graveyard: Arc::default(),
        })
    }

    /// A gateway can be dialed from now on.
    pub(super) fn opens(&self, gate: Gate) {
        let mut gates = self.gates.lock();
        gates.retain(|other| other.node != gate.node);
        gates.push(gate);
        gates.sort_by_key(|gate| gate.node);
    }

    /// It cannot any more.
    pub(super) fn closes(&self, node: Node) -> Option<Gate> {
        let mut gates = self.gates.lock();
        let place = gates.iter().position(|gate| gate.node == node)?;
        Some(gates.remove(place))
    }

    /// The gateways that can be dialed.
    pub(super) fn gates(&self) -> Vec<Gate> {
        self.gates.lock().clone()
    }

    /// Begins to open a connection for a device.
    pub(super) fn dial(
        self: &Arc<Self>,
        device: &Arc<Device>,
        runtime: &SimRuntime,
        faults: &SimFaults,
    ) -> Dialing {
        let (network, device) = (Arc::clone(self), Arc::clone(device));
        let (runtime, faults) = (runtime.clone(), faults.clone());
        Box::pin(async move {
            faults.point("line.dial").await;
            network.reach(&device, &runtime, &faults)
        })
    }

    fn reach(
        &self,
        device: &Device,
        runtime: &SimRuntime,
        faults: &SimFaults,
    ) -> Result<Line, Lost> {
        let gates = self.gates();
        let nth = runtime.random().checked_rem(gates.len() as u64);
        let gate = nth
            .and_then(|nth| gates.get(usize::try_from(nth).unwrap_or(0)))
            .ok_or(Lost::NotReached)?;
        if !gate.delivery.gateway.may_accept() {
            return Err(Lost::Closed(close::TRY_LATER));
        }
        let (user, name) = &device.endpoint;
        let token = self
            .keys
            .mint(user, name, gate.runtime.now(), self.shape.token_for)
            .map_err(|_| Lost::Unauthorized)?;
        let (in_handshake, hello) = match self.shape.says_hello {
            true => (None, Some(token)),
            false => (Some(token), None),
        };
        let (reader, writer, peer) = pair(Socket {
            buffer_bytes: self.shape.socket_bytes,
            faults: Arc::clone(&gate.faults),
            ..Socket::default()
        });
        let session = gate
            .delivery
            .gateway
            .serve(reader, writer, in_handshake, None);
        gate.runtime.spawn("session", Box::pin(session));
        let graveyard = Arc::clone(&self.graveyard);
        Ok(Line::new(peer, hello, runtime, faults, graveyard))
    }
}

/// The one key of a simulated world.
pub(super) fn keys() -> Keys {
    let set = ingest::development_key("simulation", &[7; 32]);
    Keys::from_jwk_set(&set).expect("made by the line above")
}
