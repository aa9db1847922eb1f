//! Open-loop load on a real node, over sockets.

pub mod cast;
pub mod cost;
pub mod group;
pub mod highest;
pub mod measure;
pub mod one_to_one;
pub mod stage;
