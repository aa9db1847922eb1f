//! Many sockets on one machine, a hundred thousand of them: idle at eight gateways of one platform, and then
//! each is reached, by a message of its neighbour's that went through the log, the projectors and a worker.

use std::path::Path;
use std::sync::Arc;

use infra_servers::Servers;
use infra_testkit::cluster::Cluster;
use infra_testkit::torture::apart::Stage as Platform;

use super::{Found, Options};
use crate::figure::{Figure, Goal};
use crate::scenarios::cost::resident_bytes;
use crate::scenarios::idle;
use crate::scenarios::stage::{Place, SETTINGS, Stage};

/// A process may have 20,000 files at most.
const GATEWAYS: usize = 8;
/// So many that each has far fewer sockets than it may have files, as its gateway has.
const LOADS: usize = 8;
/// Messages a second, each the first of its chat: slow, since all the processes and servers share a machine
/// that the sockets' heartbeats keep busy already. It is about who is reached, not how soon.
const RATE: u64 = 250;

pub(super) fn measure(options: &Options) -> anyhow::Result<Found> {
    let program = options.program()?;
    let servers = Arc::new(Servers::start(&["kafka", "cassandra", "redis"])?);
    let gateways: Vec<String> = (1..=GATEWAYS).map(|n| format!("gateway-{n}")).collect();
    let mut platform = set_up(servers, &program, &gateways)?;
    let entrance = platform.cluster.entrance();
    let place = Place {
        node: entrance.addresses.iter().map(ToString::to_string).collect(),
        data: Some(entrance.keys),
        program: None,
        scratch: options.scratch.clone(),
    };
    let stage = Stage::set_up(&place)?;
    let before = resident(&mut platform.cluster, &gateways)?;
    let sockets = options.sockets;
    let holds = idle::hold(&stage, sockets, LOADS, RATE)?;
    let held = resident(&mut platform.cluster, &gateways)?;
    let reached = holds.go()?.delivered(0).count;
    // Its tables are those of a hundred thousand chats: compared with the log elsewhere.
    drop(platform);
    let a_socket = held.saturating_sub(before) as f64 / sockets as f64;
    let figures = [
        Figure::alone(
            &format!("{sockets} sockets held by {GATEWAYS} gateways: reached"),
            "sockets",
            &[reached as f64],
            Some(Goal::AtLeast(sockets as f64)),
        ),
        Figure::alone(
            "idle socket with the network link: its gateway's memory",
            "bytes",
            &[a_socket],
            Some(Goal::AtMost(4_096.0)),
        ),
    ];
    Ok(Found {
        figures: figures.into_iter().flatten().collect(),
        sizes: format!(
            "{GATEWAYS} gateways, a worker, projectors, one broker, Cassandra, Redis and {LOADS} processes that \
             hold the other ends; each socket is written to once, {RATE} a second; one run"
        ),
    })
}

fn set_up(servers: Arc<Servers>, program: &Path, gateways: &[String]) -> anyhow::Result<Platform> {
    let gateways = gateways.iter().map(|name| (&**name, "gateway"));
    let others = [("projectors", "projectors"), ("worker", "worker")];
    let processes: Vec<(&str, &str)> = others.into_iter().chain(gateways).collect();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let settings: Vec<_> = SETTINGS.iter().map(owned).collect();
    Platform::set_up(servers, program, "held", &processes, &settings)
}

/// Of all gateways together, in bytes.
fn resident(cluster: &mut Cluster, gateways: &[String]) -> anyhow::Result<u64> {
    let of = |name: &String| resident_bytes(cluster.id(name)?);
    gateways.iter().map(of).sum()
}
