//! The raw limits of the machine: loops without us, measured in the same run as the figure that
//! stands beside them.

pub mod echo;
pub mod fsync;
pub mod scan;
pub mod sends;
pub mod server;
pub mod zeroed;
