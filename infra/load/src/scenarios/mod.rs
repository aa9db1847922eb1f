//! Open-loop load on a real node, over sockets.

pub mod cost;
pub mod one_to_one;
pub mod stage;
