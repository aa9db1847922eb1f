//! In-memory adapters: fast tests and the simulation run on them.

pub mod deaf;
pub mod faults;
pub mod groups;
pub mod journal;
pub mod link;
pub mod log;
pub mod registry;
pub mod runtime;
pub mod store;
pub mod transport;

pub use deaf::Deaf;
pub use faults::{Faults, NoFaults};
pub use groups::MemoryGroups;
pub use journal::MemoryJournal;
pub use link::LocalLink;
pub use log::MemoryLog;
pub use registry::MemoryRegistry;
pub use runtime::{Chances, Executor, Halt, Node, SimFaults, SimRuntime};
pub use store::MemoryStore;
